"""How logits become an answer: at which temperature, and when it is "none of these"."""
