"""What a teacher answered to fixed crops of the training images, and how a student learns from it.

A student sees in every epoch the very crops that the teacher answered, so the teacher answers each
of them once, for all trainings. Sources: Hinton et al. 2015 for the loss; Beyer et al. 2022 for
teachers that see what the student sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.errors import DataProblem, InvalidSetting
from autoscale.training.crops import augmentation_of
from autoscale.training.recipe import Recipe

#: The label of an image whose class nobody told; it trains with a teacher's answers alone.
UNLABELLED = -1
#: Apart from each other and from the random numbers of order and augmentation.
_ORDER, _CROPS = 2**32 - 1, 2**32 - 2
_DRAWN = 1024  # crops drawn together


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCrops:
    """Sets of crops, each with one crop of every image, that repeat from epoch to epoch.

    Raises:
        InvalidSetting: if there is no set, or `side` is below 1.
    """

    recipe: Recipe  # its augmentation
    side: int  # pixels of the images that windows are drawn on, the teacher's
    count: int  # of sets
    seed: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidSetting(f"there must be at least 1 set of crops, got {self.count}")
        if self.side < 1:
            raise InvalidSetting(f"side must be at least 1 pixel, got {self.side}")

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
        self, number: int, images: int, *, side: int
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """The crops of a set as windows of images of `side` pixels, to the nearest pixel.

        Those of the first images are the same, however many follow.

        Returns:
            (images, 4) and (images,), as `crops.Cut` takes windows and which are mirrored.
        """
        drawn = [
            augmentation_of(
                self.recipe,
                _DRAWN,
                self.side,
                np.random.default_rng([self.seed, _CROPS, number, block]),
            )
            for block in range(-(-images // _DRAWN))
        ]
        windows, mirrored = (np.concatenate(parts)[:images] for parts in zip(*drawn, strict=True))
        return scaled(windows, self.side, side), mirrored


def scaled(windows: NDArray[np.int32], side: int, to: int) -> NDArray[np.int32]:
    """Windows (N, 4) of images of `side` pixels, on the same images of `to` pixels.

    Edges move to the nearest pixel; whole sides stay whole, and nothing becomes empty.
    """
    if side == to:
        return windows
    start, size = windows[:, :2].astype(np.int64), windows[:, 2:].astype(np.int64)
    # In whole numbers, so that equal lengths stay equal wherever they begin.
    first, last = ((2 * to * edge + side) // (2 * side) for edge in (start, start + size))
    first = np.where(size < side, np.minimum(first, to - 1), first)
    return np.concatenate((first, np.maximum(1, last - first)), axis=1).astype(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teaching:
    """A teacher's answers, and what they weigh.

    Raises:
        InvalidSetting: if `weight` lies outside [0, 1], or `temperature` is not above 0.
    """

    crops: FixedCrops
    answers: Mapping[int, NDArray[np.float32]]  # of each set used: (images, classes), logits
    weight: float  # of the teacher's part of the loss; the labels have the rest
    temperature: float  # by which logits are divided in the teacher's part

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise InvalidSetting(f"a teacher's weight must lie in [0, 1], got {self.weight}")
        if not self.temperature > 0:
            raise InvalidSetting(f"a temperature must be above 0, got {self.temperature}")

    def require_answers(self, images: int) -> None:
        """
        Raises:
            DataProblem: if the teacher did not answer every crop that will be seen.
        """
        for number in self.crops.used:
            answered = len(self.answers.get(number, ()))
            if answered != images:
                raise DataProblem(
                    f"the teacher answered {answered} crops of set {number}, the training has "
                    f"{images} images; let it answer all of them"
                )

    def loss(
        self, logits: Tensor, labels: Tensor, answers: Tensor, *, label_smoothing: float
    ) -> Tensor:
        """The mean over a batch of weight * T^2 * KL(teacher || student) + (1 - weight) * CE.

        Both distributions of the divergence are softmaxes of logits / T. T^2 keeps the gradient's
        size, whatever T. Images without a label have the divergence alone.

        Args:
            logits: (N, classes), the student's.
            labels: (N,), `UNLABELLED` where there is none.
            answers: (N, classes), the teacher's logits.
        """
        heat = self.temperature
        divergence = functional.kl_div(
            functional.log_softmax(logits / heat, dim=1),
            functional.log_softmax(answers / heat, dim=1),
            reduction="none",
            log_target=True,
        ).sum(1)
        entropy = functional.cross_entropy(
            logits,
            labels,
            ignore_index=UNLABELLED,
            reduction="none",
            label_smoothing=label_smoothing,
        )
        told = labels != UNLABELLED
        weight = 1 - (1 - self.weight) * told
        return (weight * heat**2 * divergence + (1 - weight) * entropy).mean()
