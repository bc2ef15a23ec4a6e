"""Cuts of images that have several labels each, so that every part has its share of each label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.labelling import Labels


def carve_several(
    labels: Labels, fraction: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted lists of positions: those kept, and about `fraction` of the images of each class.

    Images of the class that has the fewest left are dealt first, in random order, each to the part
    that still lacks more of the class; where both lack the same, to the one that lacks more images.
    Images of no class come last. Source: Sechidis, Tsoumakas & Vlahavas 2011, algorithm 1. What is
    kept has an image of every class that has one.

    Args:
        labels: (N, K).
        fraction: above 0 and at most 0.5.
    """
    count = len(labels)
    order = np.random.default_rng(seed).permutation(count)
    shares = np.array([1 - fraction, fraction])
    lacking = shares[:, None] * labels.sum(axis=0)  # (2, K): of each class, in each part
    room = shares * count
    aside = np.zeros(count, dtype=bool)
    left = np.ones(count, dtype=bool)

    def deal(image: int, short: NDArray[np.float64]) -> None:
        # Both lack the same only by rounding, which must not decide.
        even = abs(short[1] - short[0]) < 1e-9
        part = int(room[1] > room[0] if even else short[1] > short[0])
        lacking[part] -= labels[image]
        room[part] -= 1
        aside[image], left[image] = bool(part), False

    while left.any():
        remaining = labels[left].sum(axis=0)
        if not remaining.any():
            break
        rarest = int(np.where(remaining > 0, remaining, count + 1).argmin())
        for image in order[(left & (labels[:, rarest] > 0))[order]]:
            deal(int(image), lacking[:, rarest])
    for image in order[left[order]]:
        deal(int(image), room)
    _keep_every_class(labels, aside, order)
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _keep_every_class(labels: Labels, aside: NDArray[np.bool_], order: NDArray[np.int64]) -> None:
    """Take back the first image of each class of which none would be kept."""
    for label in np.flatnonzero(labels.any(axis=0)):
        own = order[labels[order, label] > 0]
        if aside[own].all():
            aside[own[0]] = False


def in_turn(labels: Labels, *, seed: int) -> NDArray[np.int64]:
    """An order of images of which any beginning has about each class's share of all: (N,).

    One image of each class comes first, of rare classes before others. Behind them images of the
    same rarest class take turns with those of other such, in proportion to their numbers.

    Args:
        labels: (N, K).
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    counts = labels.sum(axis=0)
    first: dict[int, None] = {}
    for label in np.argsort(counts, kind="stable"):
        own = order[labels[order, label] > 0]
        if len(own) and not labels[list(first), label].any():
            first[int(own[0])] = None
    strata = rarest_class(labels)
    place = np.zeros(len(labels))
    for stratum in np.unique(strata):
        own = order[strata[order] == stratum]
        place[own] = np.arange(len(own)) / len(own)
    place[list(first)] = -np.arange(len(first), 0, -1)
    return np.argsort(place, kind="stable")


def rarest_class(labels: Labels) -> NDArray[np.int64]:
    """Of each image the one of its classes that fewest images have; -1 of one of none: (N,)."""
    counts = labels.sum(axis=0)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    ranks = np.where(labels > 0, rank, len(counts))
    rarest = ranks.argmin(axis=1)
    return np.where(labels.any(axis=1), rarest, -1)
