"""Graphs as the files that runtimes read."""
