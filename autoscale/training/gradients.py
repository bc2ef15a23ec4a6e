"""Gradients of a batch, and the losses of an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from autoscale.datasets.pictures.preparation import Preparation
from autoscale.training.batches import Batch, normalised
from autoscale.training.failures import OutOfMemory, TrainingDiverged, out_of_memory
from autoscale.training.loss.losses import Loss
from autoscale.training.recipe import Recipe
from autoscale.training.teacher.teaching import Teaching

#: Steps whose losses are asked for together on a graphics card.
_ASKED_TOGETHER = 20


class Gradients:
    """Computes the gradients of a batch; in two halves, once it did not fit into memory.

    Attributes:
        halved: whether batches go through in halves by now.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        *,
        loss: Loss,
        preparation: Preparation,
        teaching: Teaching | None,
        may_halve: bool,
    ) -> None:
        self.halved = False
        self._preparation, self._of_labels = preparation, loss.on(device)
        self._teaching = teaching
        self._network, self._device, self._may_halve = network, device, may_halve

    def __call__(self, batch: Batch) -> Tensor:
        """Give every parameter its gradient of the batch's mean loss, which is returned.

        Raises:
            OutOfMemory: if half a batch does not fit.
        """
        images = len(batch.labels)
        size = math.ceil(images / 2) if self.halved else images
        try:
            return self._sum(batch.split(size))
        except (MemoryError, RuntimeError) as problem:
            if not out_of_memory(problem):
                raise
            if self.halved or images < 4 or not self._may_halve:
                raise OutOfMemory(
                    f"memory ran out at {size} images a step of {batch.pixels.shape[-1]} pixels"
                    f"{', half a batch' if self.halved else ''}; lower the batch size or the "
                    "resolution"
                ) from None
        self.halved = True  # here, where the failed pass and its memory are gone
        return self(batch)

    def of(self, batches: Iterable[Batch]) -> Tensor:
        """Give every parameter the mean of its gradients of some batches of one size.

        The batches go through one after the other, so that batch norm sees one at a time.

        Returns:
            The mean of their losses.

        Raises:
            OutOfMemory: if half a batch does not fit.
        """
        drawn = iter(batches)
        total, count = self(next(drawn)), 1
        weights = [weight for weight in self._network.parameters() if weight.requires_grad]
        sums: list[Tensor | None] = []
        for batch in drawn:
            sums = sums or [weight.grad for weight in weights]
            # This begins with new gradients, so that a batch that is tried again counts once.
            total, count = total + self(batch), count + 1
            sums = [_added(held, weight.grad) for held, weight in zip(sums, weights, strict=True)]
        for weight, gradient in zip(weights, sums, strict=False):
            weight.grad = None if gradient is None else gradient / count
        return total if count == 1 else total / count

    def _sum(self, parts: list[Batch]) -> Tensor:
        self._network.zero_grad(set_to_none=True)
        images = sum(len(part.labels) for part in parts)
        total = torch.zeros((), device=self._device)
        for part in parts:
            with self._autocast():
                loss = self._loss(part, self._logits(part))
            if len(parts) > 1:
                loss = loss * (len(part.labels) / images)
            loss.backward()
            total += loss.detach()
        return total

    def _autocast(self) -> torch.autocast:
        """By torch bfloat16 pays on graphics cards; on a CPU it is a choice of kernels."""
        return torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda")

    def _logits(self, part: Batch) -> Tensor:
        logits: Tensor = self._network(normalised(part.pixels.to(self._device), self._preparation))
        return logits

    def _loss(self, part: Batch, logits: Tensor) -> Tensor:
        labels = part.labels.to(self._device, non_blocking=True)
        if part.mixture is not None:
            others, shares = (t.to(self._device, non_blocking=True) for t in part.mixture)
            return self._of_labels.mixed(logits, labels, others, shares)
        if self._teaching is None or part.answers is None:
            return self._of_labels.mean(logits, labels)
        answers = part.answers.to(self._device, non_blocking=True)
        return self._teaching.loss(logits, labels, answers, self._of_labels)


def _added(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return one if other is None else other if one is None else one + other


class Losses:
    """The losses of the steps of an epoch.

    A graphics card is asked for them only now and then: asking waits until it has done all that it
    was given. So a training there may go on for some steps after it diverged.
    """

    def __init__(self, recipe: Recipe, *, epoch: int, steps: int, device: torch.device) -> None:
        self._recipe, self._epoch, self._steps = recipe, epoch, steps
        self._together = 1 if device.type == "cpu" else _ASKED_TOGETHER
        self._new: list[Tensor] = []
        self._known: list[float] = []

    def add(self, loss: Tensor, *, steps: int = 1) -> None:
        """Note the mean loss of the next steps.

        Raises:
            TrainingDiverged: if this or an earlier one is infinite or not a number.
        """
        self._new += [loss] * steps
        if len(self._new) >= self._together:
            self._ask()

    def mean(self) -> float:
        """The mean loss of all steps.

        Raises:
            TrainingDiverged: if one of them is infinite or not a number.
        """
        self._ask()
        return float(np.mean(self._known))

    def _ask(self) -> None:
        for loss in torch.stack(self._new).tolist() if self._new else []:
            self._known.append(loss)
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss became {loss} in epoch {self._epoch}, step {len(self._known)} of "
                    f"{self._steps}; lower the learning rate (peak "
                    f"{self._recipe.learning_rate:g}) or lengthen the warm-up"
                )
        self._new.clear()
