"""What a search believes: a Gaussian process over designs, and what to train next by it."""
