"""Train one network for good: a family's member, a design or a published network."""
