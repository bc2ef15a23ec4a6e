"""A network in int8: calibrated on images, compared with itself in float, and its file."""
