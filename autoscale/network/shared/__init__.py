"""One set of weights for all designs of a space, and the networks that are slices of it."""
