"""How good a network is on images: its passes over them, and what it answers."""
