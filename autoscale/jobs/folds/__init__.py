"""Networks of one design on folds of the images: how good it is on images that it has not seen."""
