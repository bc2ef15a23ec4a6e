"""A network as other programs read it."""
