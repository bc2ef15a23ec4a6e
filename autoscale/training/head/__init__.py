"""The classifier alone: the features that it is given, and its fit on them."""
