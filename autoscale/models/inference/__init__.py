"""A trained network in use: its answers to a data set and to single images."""
