"""One base at several sizes: scaled, written, and given weights to begin with."""
