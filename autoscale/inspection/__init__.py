"""What a run directory holds, and how it stands."""
