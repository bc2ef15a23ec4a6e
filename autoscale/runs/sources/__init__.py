"""Published weights: where they lie, whose they are, what they expect."""
