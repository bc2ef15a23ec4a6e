"""Where work is done: here, in worker processes of this machine, or on a cluster."""
