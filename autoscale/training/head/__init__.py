"""The classifier alone: what it is given, kept, and the fit of it on that."""
