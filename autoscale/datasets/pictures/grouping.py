"""Pictures that belong together, as those of one patient, place or day, and a cut that keeps them.

A cut of single pictures puts near-copies of one into training and others into the test, which then
measures memory. Here a group lies in one part only, and class shares come as near as groups allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.labelling import are_several
from autoscale.errors import DataProblem


def carve_groups(
    labels: NDArray[np.int64], groups: Sequence[str], fraction: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted lists of positions: those kept, and groups of about `fraction` of each class.

    Groups are looked at in a random order, but large ones (by powers of two) first, and each goes
    where the shares of its classes are then nearer to what is wanted of the pictures looked at so
    far. What is kept has every class; what is put aside is empty only if no group can leave.
    """
    members, queue = by_group(groups, seed=seed)
    counts = {name: _counted(labels[members[name]]) for name in members}
    total = _counted(labels)
    seen: Counter[int] = Counter()
    aside: Counter[int] = Counter()
    chosen: list[str] = []
    for name in queue:
        own = counts[name]
        seen.update(own)
        leaves = all(total[c] - aside[c] > n for c, n in own.items())
        if leaves and _gain(own, aside, seen, total, fraction) > 0:
            aside.update(own)
            chosen.append(name)
    if not chosen:
        fit = [
            name for name in reversed(queue) if all(total[c] > n for c, n in counts[name].items())
        ]
        chosen = fit[:1]
    away = np.zeros(len(labels), dtype=bool)
    for name in chosen:
        away[members[name]] = True
    return np.flatnonzero(~away), np.flatnonzero(away)


def by_group(groups: Sequence[str], *, seed: int) -> tuple[dict[str, list[int]], list[str]]:
    """Positions of each group's pictures, and the groups in the order in which cuts take them.

    That is a random one, but large ones (by powers of two) come first.
    """
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    names = list(members)
    order = np.random.default_rng(seed).permutation(len(names))
    queue = sorted((names[i] for i in order), key=lambda name: -len(members[name]).bit_length())
    return members, queue


def _counted(labels: NDArray[np.int64]) -> Counter[int]:
    """Images of each class that there is; of several labels also of -1, those of no class."""
    if not are_several(labels):
        return Counter(labels.tolist())
    counts = Counter({i: int(n) for i, n in enumerate(labels.sum(axis=0)) if n})
    if bare := int((~labels.any(axis=1)).sum()):
        counts[-1] = bare
    return counts


def _gain(
    own: Mapping[int, int],
    aside: Mapping[int, int],
    seen: Mapping[int, int],
    total: Mapping[int, int],
    fraction: float,
) -> float:
    """By how much the squared distance from the wanted shares is smaller if a group goes aside."""
    gain = 0.0
    for label, count in own.items():
        short = fraction * seen[label] - aside[label]
        gain += (short**2 - (short - count) ** 2) / total[label] ** 2
    return gain


def require_apart(parts: Mapping[str, Sequence[str] | None], by: str) -> None:
    """Refuse groups that lie in two of a source's own splits.

    Args:
        parts: the groups of each split's pictures, by the split's name.
        by: what --group-by said.

    Raises:
        DataProblem: naming the first.
    """
    where: dict[str, str] = {}
    both: dict[str, tuple[str, str]] = {}
    for part, groups in parts.items():
        for group in groups or ():
            other = where.setdefault(group, part)
            if other != part:
                both.setdefault(group, (other, part))
    if both:
        group, (one, other) = next(iter(both.items()))
        count = "1 group lies" if len(both) == 1 else f"{len(both):,} groups lie"
        raise DataProblem(
            f"--group-by {by}: {count} in two of the source's own splits, the first ({group!r}) in "
            f"{one} and {other}; give the pictures as one set without splits to have them cut by "
            "groups, or leave out --group-by"
        )


def groups_sentence(by: str, parts: Mapping[str, Sequence[str] | None]) -> str:
    """Such as "groups by patient: 40 train, 10 validation, 12 test"."""
    each = {part: len(set(groups or ())) for part, groups in parts.items()}
    counted = [f"{count:,} {part}" for part, count in each.items()]
    alone = sum(each.values()) == sum(len(groups or ()) for groups in parts.values())
    note = "; each picture is a group of its own, so nothing is kept together" if alone else ""
    return f"groups by {by}: {', '.join(counted)}{note}"
