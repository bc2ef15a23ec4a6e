"""What a search predicts: a Gaussian process over designs, and what to train next by it."""
