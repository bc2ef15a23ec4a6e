"""What a network's classifier is given, computed once where nothing before it learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What reaches the classifier for each image, float32."""

    rows: Tensor  # (N, features)
    labels: Tensor  # (N,), int64
    mirrored: Tensor | None = None  # (N, features), of the mirror images

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return sum(t.nbytes for t in (self.rows, self.mirrored) if t is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSets:
    """The features of a training's images."""

    train: Features
    validation: Features

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return self.train.bytes + self.validation.bytes
