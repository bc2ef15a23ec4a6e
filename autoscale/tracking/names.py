"""Names of the trackers, for settings and their help; reading them loads no library."""

#: Each has a file of its own here, an extra of its name, and an entry in `tracking.open_tracker`.
TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
