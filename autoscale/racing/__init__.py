"""The race between candidates: what their trainings say, and whether it tells them apart."""
