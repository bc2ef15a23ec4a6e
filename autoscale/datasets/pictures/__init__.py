"""One picture: its format, its depth, its decoding and how a network wants it."""
