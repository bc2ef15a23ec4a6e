"""What a network is worth: a recipe, images in memory, and a training run."""
