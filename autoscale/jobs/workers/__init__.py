"""How trainings get done: here, in worker processes, or on a cluster."""
