"""Which pictures a network was trained on, told by a few of them that stay with it.

The sketch of a set is its least digests (bottom-k sampling, Cohen and Kaplan 2007): a sample in
which every picture is as likely as another, and the same wherever the pictures lie.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

_KEPT = 64  # pictures of a sketch; the share of them is right within about 0.06
_DIGITS = 16  # hexadecimal, of a digest


def names_of(digests: Iterable[bytes]) -> frozenset[str]:
    """Digests of contents as they stand in a sketch."""
    return frozenset(digest.hex()[:_DIGITS] for digest in digests)


def sketch(digests: Iterable[bytes]) -> tuple[str, ...]:
    """Some of the pictures, for `share_among`."""
    return tuple(sorted(names_of(digests))[:_KEPT])


def share_among(seen: Collection[str] | None, names: Collection[str]) -> float:
    """About which share of the sketched pictures is among others; 0 without a sketch."""
    return sum(name in names for name in seen) / len(seen) if seen else 0.0
