"""Which design to try next, and how good the tried ones are."""
