"""What a teacher answered to the training images, and how a student learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.errors import DataProblem, InvalidSetting
from autoscale.training.teacher.crops import FixedCrops

if TYPE_CHECKING:
    from autoscale.training.loss.losses import Loss

#: The label of an image whose class nobody told; it trains with a teacher's answers alone.
UNLABELLED = -1


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

    def loss(self, logits: Tensor, labels: Tensor, answers: Tensor, of_labels: Loss) -> Tensor:
        """The mean over a batch of weight * T^2 * KL(teacher || student) + (1 - weight) * L.

        Both distributions of the divergence are softmaxes of logits / T. T^2 keeps the gradient's
        size, whatever T. Images without a label have the divergence alone.
        Source: Hinton et al. 2015.

        Args:
            logits: (N, classes), the student's.
            labels: (N,), `UNLABELLED` where there is none.
            answers: (N, classes), the teacher's logits.
            of_labels: L, the loss of the labels.
        """
        heat = self.temperature
        divergence = functional.kl_div(
            functional.log_softmax(logits / heat, dim=1),
            functional.log_softmax(answers / heat, dim=1),
            reduction="none",
            log_target=True,
        ).sum(1)
        told = labels != UNLABELLED
        weight = 1 - (1 - self.weight) * told
        own = of_labels.each(logits, labels)
        return (weight * heat**2 * divergence + (1 - weight) * own).mean()
