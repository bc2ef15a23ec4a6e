"""What could be built, and what it would cost: arithmetic only."""
