"""The job behind `autoscale search-baseline`."""
