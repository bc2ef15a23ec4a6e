"""What a source of images holds, before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import DataProblem


@dataclass(frozen=True)
class Pictures:
    """Pictures not yet decoded."""

    names: Sequence[str]  # for messages and fingerprints
    sizes: Sequence[int]  # bytes
    labels: NDArray[np.int64]
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: NDArray[np.int64]) -> Pictures:
        """Those at `indices`, in that order."""
        return Pictures(
            [self.names[i] for i in indices],
            [self.sizes[i] for i in indices],
            self.labels[indices],
            lambda i: self.read(int(indices[i])),
        )


@dataclass(frozen=True)
class Listing:
    """Everything that a source offers."""

    train: Pictures
    validation: Pictures | None
    test: Pictures | None
    classes: tuple[str, ...]
    splits: bool  # whether the source names its own training split
    skipped: tuple[str, ...]  # one line for each file left out


def unknown_class(name: str, split: str, classes: Iterable[str]) -> DataProblem:
    """What to say of a class that no training image has."""
    known = ", ".join(classes)
    return DataProblem(
        f"class {name!r} of {split} has no training images; the training classes are {known}: "
        "rename it or add training images"
    )
