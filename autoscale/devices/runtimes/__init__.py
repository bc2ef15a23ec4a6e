"""What runs networks on this device: a file for each runtime."""
