"""A design made real in torch."""
