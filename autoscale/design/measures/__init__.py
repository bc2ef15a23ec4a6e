"""What a network costs, as values: a cost a file, and the registry of them."""
