"""A family trained as one: one set of weights, of which every member is the first part."""
