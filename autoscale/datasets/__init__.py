"""Images and labels as their owner laid them out, read, split and decoded."""
