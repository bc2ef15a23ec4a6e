"""Several networks trained in one set of weights: the smaller ones inside the largest."""
