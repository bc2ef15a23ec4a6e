"""A Gaussian process over designs: its covariance, its evidence, what it says, functions of it."""
