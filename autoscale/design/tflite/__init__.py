"""What a design becomes as a TensorFlow Lite file: operations, their memory, and bytes."""
