"""Whether weights to begin with help: short trainings with them and without, side by side."""
