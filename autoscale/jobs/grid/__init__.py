"""The job behind `autoscale grid`."""
