"""What a source of images holds, before anything is decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.splits import Split
from autoscale.errors import DataProblem


@dataclass(frozen=True)
class Pictures:
    """Pictures not yet decoded."""

    names: Sequence[str]  # for messages and fingerprints
    sizes: Sequence[int]  # bytes
    labels: NDArray[np.int64]
    read: Callable[[int], bytes]
    keys: Sequence[str] | None = None  # for fingerprints, where other names serve people
    # Of the content of each picture that was read so far, by position; see `watched`.
    digests: dict[int, bytes] = field(default_factory=dict)
    groups: Sequence[str] | None = None  # pictures of one lie in one part only
    places: NDArray[np.int64] | None = None  # among those of which they are a subset, where asked

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: NDArray[np.int64]) -> Pictures:
        """Those at `indices`, in that order."""
        return Pictures(
            [self.names[i] for i in indices],
            [self.sizes[i] for i in indices],
            self.labels[indices],
            lambda i: self.read(int(indices[i])),
            [self.keys[i] for i in indices] if self.keys is not None else None,
            groups=[self.groups[i] for i in indices] if self.groups is not None else None,
            places=self.places[indices] if self.places is not None else None,
        )

    def placed(self) -> Pictures:
        """These pictures, whose subsets know their places among them."""
        return replace(self, places=np.arange(len(self)))

    def forget(self, i: int) -> None:
        """Drop the digest of what turned out to be no picture."""
        self.digests.pop(i, None)

    def watched(self) -> Pictures:
        """These pictures, with `digests` that grow as pictures are read."""
        digests: dict[int, bytes] = {}

        def read(i: int) -> bytes:
            content = self.read(i)
            if i not in digests:
                digests[i] = hashlib.blake2b(content, digest_size=16).digest()
            return content

        return replace(self, read=read, digests=digests)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Everything that a source offers."""

    train: Pictures
    validation: Pictures | None
    test: Pictures | None
    classes: tuple[str, ...]
    splits: bool  # whether the source names its own training split
    skipped: tuple[str, ...]  # one line for each file left out
    unused: tuple[str, ...]  # what else lies there, relative to the source; folders end with /
    loose: tuple[str, ...]  # of them, files beside folders of classes
    notices: tuple[str, ...]  # what the owner should know, a sentence each
    # Splits that the source names without naming one for training; `train` holds the first.
    untrained: tuple[str, ...]


def listing(
    parts: Mapping[Split, Pictures],
    classes: tuple[str, ...],
    *,
    splits: bool,
    skipped: tuple[str, ...] = (),
    unused: tuple[str, ...] = (),
    loose: tuple[str, ...] = (),
    notices: tuple[str, ...] = (),
) -> Listing:
    """A listing of the pictures of some splits; of a source without splits all are "train"."""
    whole = "train" in parts
    return Listing(
        train=parts["train"] if whole else next(iter(parts.values())),
        validation=parts.get("validation") if whole else None,
        test=parts.get("test") if whole else None,
        classes=classes,
        splits=splits and whole,
        skipped=skipped,
        unused=(*unused, *loose),
        loose=loose,
        notices=notices,
        untrained=() if whole else tuple(parts),
    )


def shown(text: str | Path) -> str:
    """A path or a name as printable text: bytes that are not UTF-8 are escaped, as \\xe9."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def size_of(path: str | Path) -> int:
    """Bytes of a file; 0 where the system does not tell, as reading it says why."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def unknown_class(name: str, split: str, classes: Iterable[str]) -> DataProblem:
    """What to say of a class that no training image has."""
    known = ", ".join(classes)
    return DataProblem(
        f"class {name!r} of {split} has no training images; the training classes are {known}: "
        "rename it or add training images"
    )
