"""Losses of labels: of logits and labels alone, with gradients by autograd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.datasets.labelling import are_several, class_counts
from autoscale.errors import DataProblem
from autoscale.training.loss.balance import ADJUSTED, FOCAL, Balance
from autoscale.training.teacher.teaching import UNLABELLED

#: By which an image counts at most for a class that it has, where an image may have several: more
#: lets single images of a rare class decide a step.
MOST_WEIGHT = 20.0


class Loss(ABC):
    """What an image's logits cost, given its label."""

    @abstractmethod
    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image: (N, classes), (N,) -> (N,)."""

    def mean(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over images: (N, classes), (N,) -> ()."""
        return self.each(logits, labels).mean()

    def mixed(self, logits: Tensor, labels: Tensor, others: Tensor, shares: Tensor) -> Tensor:
        """The mean over images that are mixtures of two.

        Of each image the loss of its first label counts by its share, that of the second by the
        rest; for a loss that is linear in a distribution over classes, such as cross-entropy, this
        is the loss of the mixed distribution.

        Args:
            logits: (N, classes).
            labels, others: (N,), the first and the second labels.
            shares: (N,), in [0, 1].
        """
        first, second = self.each(logits, labels), self.each(logits, others)
        return (shares * first + (1 - shares) * second).mean()

    def on(self, device: torch.device) -> Self:
        """The same with its numbers on a device."""
        return self


@dataclass(frozen=True, slots=True)
class CrossEntropy(Loss):
    """Negative logarithm of the label's probability; 0 without a label."""

    label_smoothing: float = 0.0  # [0, 1), share of the label that all classes have evenly

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image: (N, classes), (N,) -> (N,)."""
        return self._of(logits, labels, "none")

    def mean(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over images with a label: (N, classes), (N,) -> ()."""
        return self._of(logits, labels, "mean")

    def _of(self, logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
        return functional.cross_entropy(
            logits,
            labels,
            ignore_index=UNLABELLED,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Loss):
    """Mean over classes of each class's own cross-entropy, where an image may have several.

    A class's probability is the sigmoid of its logit. With gamma above 0 it is the focal loss,
    (1 - p)^gamma times the cross-entropy, where p is the probability of what is so. Source: Lin et
    al. 2017, section 3.2, equations 4 and 5.
    """

    gamma: float = 0.0  # at least 0
    # By which an image's part of the loss counts for each class that it has: (classes,).
    positives: Tensor | None = None

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image: (N, classes), (N, classes) of 0..1 -> (N,)."""
        targets = labels.to(logits.dtype)
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        if self.gamma:
            # Of hard targets 1 - p, without cancellation; above 0, where powers have a slope.
            missed = targets * torch.sigmoid(-logits) + (1 - targets) * torch.sigmoid(logits)
            losses = losses * missed.clamp(min=torch.finfo(missed.dtype).tiny).pow(self.gamma)
        if self.positives is not None:
            losses = losses * (1 + (self.positives - 1) * targets)
        return losses.mean(dim=1)

    def on(self, device: torch.device) -> Self:
        """The same with its numbers on a device."""
        weights = None if self.positives is None else self.positives.to(device)
        return replace(self, positives=weights)


@dataclass(frozen=True, slots=True)
class Focal(Loss):
    """-(1 - p)^gamma log p, where p is the label's probability.

    Source: Lin et al. 2017, section 3.2, equation 4, with a softmax in the place of the sigmoid.
    The balanced form of equation 5 is this one `Weighted`.
    """

    gamma: float  # at least 0, which gives cross-entropy

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image: (N, classes), (N,) -> (N,)."""
        entropy = functional.cross_entropy(logits, labels, reduction="none")
        # 1 - p without cancellation; above 0, where powers below 1 would have no slope.
        missed = -torch.expm1(-entropy)
        missed = missed.clamp(min=torch.finfo(missed.dtype).tiny)
        return torch.pow(missed, self.gamma) * entropy


@dataclass(frozen=True, slots=True, eq=False)
class LogitAdjusted(Loss):
    """Cross-entropy of logits plus tau times the logarithms of classes' shares.

    A network learns logits that lack these, so that its largest logit is the best answer where all
    classes are equally frequent. Source: Menon et al. 2021, section 5.1, equation 10.
    """

    offsets: Tensor  # (classes,)

    @classmethod
    def of(cls, counts: Sequence[int] | NDArray[np.int64], *, tau: float) -> Self:
        """For so many training images of each class; the largest class has the offset 0.

        Args:
            counts: each at least 1.
        """
        numbers = np.asarray(counts, dtype=np.float64)
        offsets = tau * np.log(numbers / numbers.max())
        return cls(torch.from_numpy(offsets).to(torch.float32))

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image: (N, classes), (N,) -> (N,)."""
        return functional.cross_entropy(logits + self.offsets, labels, reduction="none")

    def mean(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over images: (N, classes), (N,) -> ()."""
        return functional.cross_entropy(logits + self.offsets, labels)

    def on(self, device: torch.device) -> Self:
        """The same with its numbers on a device."""
        return replace(self, offsets=self.offsets.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Weighted(Loss):
    """A loss that counts by the image's class; the mean is over images, not over weights."""

    loss: Loss
    weights: Tensor  # (classes,)

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each image: (N, classes), (N,) -> (N,)."""
        return self.weights[labels.clamp(min=0)] * self.loss.each(logits, labels)

    def on(self, device: torch.device) -> Self:
        """The same with its numbers on a device."""
        return replace(self, loss=self.loss.on(device), weights=self.weights.to(device))


def balanced_weights(labels: NDArray[np.int64], classes: int) -> tuple[float, ...]:
    """Weights of classes in inverse proportion to their images, whose mean over images is 1.

    Where an image may have several classes, what an image with a class counts for it, against one
    without: the images without it divided by those with it, at most `MOST_WEIGHT` and at least 1 /
    `MOST_WEIGHT`.

    Args:
        labels: of the images, those without one left out of account.
    """
    if are_several(labels):
        held = labels.sum(axis=0)
        ratios = (len(labels) - held) / np.maximum(held, 1)
        return tuple(np.clip(ratios, 1 / MOST_WEIGHT, MOST_WEIGHT).tolist())
    counts = class_counts(labels, classes)
    held = counts > 0
    weights = np.where(held, counts.sum() / (held.sum() * np.maximum(counts, 1)), 0.0)
    return tuple(float(weight) for weight in weights)


def hard_loss(balance: Balance, labels: NDArray[np.int64], classes: Sequence[str]) -> Loss | None:
    """The loss of labels alone that is asked for; None for cross-entropy.

    Args:
        labels: of the training images.

    Raises:
        DataProblem: if it needs images of every class and there are none of one.
    """
    if are_several(labels):
        return Binary(balance.number) if balance.kind == FOCAL else None
    if balance.kind == FOCAL:
        return Focal(balance.number)
    if balance.kind != ADJUSTED:
        return None
    counts = class_counts(labels, len(classes))
    if counts.min() == 0:
        raise DataProblem(
            f"no training image of class {classes[int(counts.argmin())]!r}, whose share --loss "
            f"{balance.loss} adjusts for; add images, or take another loss"
        )
    return LogitAdjusted.of(counts, tau=balance.number)
