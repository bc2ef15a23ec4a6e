"""From a folder of images to one trained network within limits: all jobs, one after the other."""
