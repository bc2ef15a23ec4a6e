"""What a network costs when it runs: traced operations, counted a second way."""
