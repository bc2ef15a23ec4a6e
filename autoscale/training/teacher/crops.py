"""Crops that repeat, so that a teacher can answer each of them once, for all trainings.

Source: Beyer et al. 2022, for teachers that see what the student sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscale.aspect import ImageSize
from autoscale.errors import InvalidSetting
from autoscale.training.crops import augmentation_of
from autoscale.training.recipe import Recipe

#: Apart from each other and from the random numbers of order and augmentation.
_ORDER, _CROPS = 2**32 - 1, 2**32 - 2
_DRAWN = 1024  # crops drawn together


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCrops:
    """Sets of crops, each with one crop of every image, that repeat from epoch to epoch.

    Raises:
        InvalidSetting: if there is no set, or the images have no pixel.
    """

    recipe: Recipe  # its augmentation
    size: ImageSize  # of the images that windows are drawn on, the teacher's
    count: int  # of sets
    seed: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidSetting(f"there must be at least 1 set of crops, got {self.count}")
        if min(self.size) < 1:
            raise InvalidSetting(f"images must have at least 1 pixel, got {self.size}")

    def of_epoch(self, epoch: int) -> int:
        """Which set is seen in an epoch, from 1; all are seen before one comes again."""
        turn, place = divmod(epoch - 1, self.count)
        order = np.random.default_rng([self.seed, _ORDER, turn]).permutation(self.count)
        return int(order[place])

    @property
    def used(self) -> tuple[int, ...]:
        """The sets that the recipe's epochs come to."""
        epochs = range(1, min(self.recipe.epochs, self.count) + 1)
        return tuple(sorted(self.of_epoch(epoch) for epoch in epochs))

    def windows(
        self, number: int, images: int, *, of: ImageSize
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """The crops of a set as windows of images of another size, to the nearest pixel.

        Those of the first images are the same, however many follow.

        Returns:
            (images, 4) and (images,), as `crops.Cut` takes windows and which are mirrored.
        """
        drawn = [
            augmentation_of(
                self.recipe,
                _DRAWN,
                self.size,
                np.random.default_rng([self.seed, _CROPS, number, block]),
            )
            for block in range(-(-images // _DRAWN))
        ]
        windows, mirrored = (np.concatenate(parts)[:images] for parts in zip(*drawn, strict=True))
        return scaled(windows, self.size, of), mirrored


def scaled(windows: NDArray[np.int32], drawn: ImageSize, to: ImageSize) -> NDArray[np.int32]:
    """Windows (N, 4) of images of the size `drawn`, on the same images of the size `to`.

    Edges move to the nearest pixel; whole sides stay whole, and nothing becomes empty.
    """
    if drawn == to:
        return windows
    side, wanted = np.array(drawn), np.array(to)
    start, size = windows[:, :2].astype(np.int64), windows[:, 2:].astype(np.int64)
    # In whole numbers, so that equal lengths stay equal wherever they begin.
    first, last = ((2 * wanted * edge + side) // (2 * side) for edge in (start, start + size))
    first = np.where(size < side, np.minimum(first, wanted - 1), first)
    return np.concatenate((first, np.maximum(1, last - first)), axis=1).astype(np.int32)
