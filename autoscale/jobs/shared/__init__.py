"""One set of weights for all designs of a space, trained once, by which a search ranks them."""
