"""Pictures that lie in arrays of pixels, a file a kind; nothing pickled is trusted."""
