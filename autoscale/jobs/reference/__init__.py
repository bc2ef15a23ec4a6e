"""Published networks with their weights, fine-tuned beside the candidates: honest rivals."""
