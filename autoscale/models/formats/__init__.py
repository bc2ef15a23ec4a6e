"""Formats of other programs that a network is written in, each held against torch."""
