"""Weights of one network moved into a network of another shape."""
