"""A network in training: what a step changes, what goes to disk, and what is scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoscale.metrics.metric import Metric
from autoscale.training.batches import Batch
from autoscale.training.ema import EMA
from autoscale.training.gradients import Gradients
from autoscale.training.nested.gradients import NestedGradients
from autoscale.training.nested.shared import SharedGradients
from autoscale.training.nested.turns import TurnGradients
from autoscale.training.optimizers import (
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
)
from autoscale.training.process_group import ProcessGroup
from autoscale.training.recipe import Recipe
from autoscale.training.task import TrainingTask


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images."""

    number: int  # from 1
    loss: float  # mean over the steps of the epoch, of the labels and of a teacher's answers
    accuracy: float | None  # on the validation images, in [0, 1]; None when not evaluated
    seconds: float  # evaluation included
    evaluation_seconds: float = 0.0
    # Of the metric that decides, where that is not accuracy; None when not evaluated.
    score: float | None = None

    @property
    def decisive(self) -> float | None:
        """What decides which epoch is best: the metric's score, else accuracy."""
        return self.accuracy if self.score is None else self.score

    def to_dict(self) -> dict[str, Any]:
        """As plain data; without a score where accuracy decides."""
        plain = asdict(self)
        return plain if self.score is not None else {k: v for k, v in plain.items() if k != "score"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training after some epochs: what it needs to go on as if it had never stopped."""

    epochs: tuple[Epoch, ...]
    tensors: Mapping[str, Tensor]  # by `network/`, `average/` and `optimizer/` and a name
    halved: bool = False

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights that are evaluated: the averaged ones when the recipe averages."""
        averaged = self.part("average/")
        return averaged or self.part("network/")

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, by the rest of their names."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def is_over(epochs: Sequence[Epoch], recipe: Recipe, metric: Metric | None = None) -> bool:
    """Whether a training ends after these epochs: they are all, or its patience is at its end."""
    if not epochs or not recipe.patience:
        return len(epochs) >= recipe.epochs
    return len(epochs) >= min(recipe.epochs, best_epoch(epochs, metric).number + recipe.patience)


def best_epoch(epochs: Sequence[Epoch], metric: Metric | None = None) -> Epoch:
    """The best of those that were evaluated, the first of equals.

    Args:
        metric: decides; None for accuracy.
    """
    sign = 1 if metric is None or metric.higher_is_better else -1
    known = [(one.decisive, one) for one in epochs if one.accuracy is not None]
    return max(known, key=lambda pair: (sign * (pair[0] or 0.0), -pair[1].number))[1]


class TrainingState:
    """A network and all that a training changes beside it.

    Attributes:
        network: is trained in place.
        epochs: those that are done.
    """

    def __init__(
        self,
        network: nn.Module,
        task: TrainingTask,
        device: torch.device,
        peers: ProcessGroup,
    ) -> None:
        recipe = task.recipe
        self.network = network
        self.epochs: list[Epoch] = []
        self._peers, self._moves, self._clip_norm = peers, task.moves, recipe.clip_norm
        self._optimizer = make_optimizer(network, recipe)
        self._average = EMA(network, recipe.ema_decay) if recipe.ema_decay else None
        self._gradients = _gradients(network, task, device, may_halve=peers.size == 1)

    @property
    def scored(self) -> nn.Module:
        """What is evaluated and kept: the averaged network when the recipe averages."""
        return self._average.network if self._average else self.network

    @property
    def halved(self) -> bool:
        """Whether memory ran out once, and batches go through in two halves since."""
        return self._gradients.halved

    def step(self, batches: Iterable[Batch], *, learning_rate: float) -> Tensor:
        """One move of the optimiser; the batches' mean loss, over all processes.

        Args:
            batches: of one size, at least one; their gradients are averaged. Each is drawn when
                its turn comes.
            learning_rate: of the classifier; the recipe may give other parts less.

        Raises:
            OutOfMemory: if half a batch does not fit.
        """
        set_learning_rate(self._optimizer, learning_rate)
        loss = self._gradients.of(batches)
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        self._peers.average([loss, *gradients])
        if self._clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self._clip_norm)
        self._optimizer.step()
        if self._average:
            self._average.update(self.network)
        return loss

    def share_statistics(self) -> None:
        """Give every process the mean of all their running statistics."""
        for module in (self.network, self._average.network) if self._average else (self.network,):
            self._peers.average([b for b in module.buffers() if b.is_floating_point()])

    def snapshot(self) -> Snapshot:
        """What a later call needs to go on; its tensors are the live ones."""
        parts = {
            "network/": self.network.state_dict(),
            "optimizer/": optimizer_tensors(self._optimizer),
        }
        if self._average:
            parts["average/"] = self._average.network.state_dict()
        tensors = {prefix + name: t for prefix, part in parts.items() for name, t in part.items()}
        return Snapshot(tuple(self.epochs), tensors, self.halved)

    def restore(self, snapshot: Snapshot) -> None:
        """Take what `snapshot` gave of the same training."""
        self.network.load_state_dict(snapshot.part("network/"))
        restore_optimizer(self._optimizer, snapshot.part("optimizer/"))
        self.epochs, self._gradients.halved = list(snapshot.epochs), snapshot.halved
        if self._average:
            self._average.network.load_state_dict(snapshot.part("average/"))
            self._average.steps = self._moves * len(self.epochs)

    def finish(self) -> None:
        """Leave the network in eval mode with the weights that were scored."""
        if self._average:
            self.network.load_state_dict(self._average.network.state_dict())
        self.network.eval()


def _gradients(
    network: nn.Module, task: TrainingTask, device: torch.device, *, may_halve: bool
) -> Gradients:
    """What computes gradients: of the network, of those inside it too, or of slices of it."""
    given: dict[str, Any] = {
        "loss": task.loss_of_labels,
        "preparation": task.preparation,
        "teaching": task.teaching,
        "may_halve": may_halve,
    }
    if task.paths is None and not task.inner:
        return Gradients(network, device, **given)
    given["resolution"] = task.resolution
    if task.paths is not None:
        return SharedGradients(network, device, paths=task.paths, **given)
    kind = TurnGradients if task.turns else NestedGradients
    return kind(network, device, inner=task.inner, **given)
