"""What a network costs when it runs: traced operations and timings."""
