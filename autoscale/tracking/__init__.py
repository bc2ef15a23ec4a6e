"""What jobs do, told to trackers of experiments."""
