"""What happened, on disk: the only room that writes files."""
