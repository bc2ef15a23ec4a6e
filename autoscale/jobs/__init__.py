"""The jobs that train networks and write a run directory."""
