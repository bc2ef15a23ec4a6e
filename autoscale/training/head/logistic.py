"""A classifier fitted on features: logistic regression, its penalty chosen by validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.training.head.features import Features
from autoscale.training.optimizers import LBFGS

#: Half of it times the squared weights is added to the loss; from the strongest to the weakest.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_ITERATIONS = 100  # for each penalty; a weaker one begins where the stronger one ended


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHead:
    """How well a classifier fits features."""

    penalty: float
    train_loss: float  # mean cross-entropy, without the penalty
    loss: float  # on the validation images, mean cross-entropy
    accuracy: float  # on the validation images, in [0, 1]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear classifier of features."""

    weight: Tensor  # (classes, features)
    bias: Tensor  # (classes,)

    def logits(self, rows: Tensor) -> Tensor:
        """(N, features) to (N, classes)."""
        return rows @ self.weight.t() + self.bias


def fit_head(classifier: nn.Linear, train: Features, validation: Features) -> FittedHead:
    """Give a classifier the weights of a logistic regression on features.

    Features are scaled to deviation 1, the squared weights are penalised, and the loss is minimised
    by L-BFGS. The penalty is the one whose loss on the validation images is least. The same
    features and thread count give the same bits on a machine.

    Source: the linear probe of Radford et al. 2021 (CLIP), appendix A.3; as the first step of a
    fine-tuning, Kumar et al. 2022 (LP-FT).
    """
    scaled = Scaled(train)
    path = Path([scaled.features], classifier.out_features)
    best: tuple[FittedHead, Linear] | None = None
    for penalty in PENALTIES:
        linear = scaled.unscaled(path.fit(penalty))
        logits = linear.logits(validation.rows)
        found = FittedHead(
            penalty=penalty,
            train_loss=path.loss().item(),
            loss=functional.cross_entropy(logits, validation.labels).item(),
            accuracy=(logits.argmax(1) == validation.labels).float().mean().item(),
        )
        if best is not None and found.loss >= best[0].loss:
            break  # along the path the loss falls, then rises
        best = found, linear
    assert best is not None
    chosen, linear = best
    with torch.no_grad():
        classifier.weight.copy_(linear.weight)
        if classifier.bias is not None:
            classifier.bias.copy_(linear.bias)
    return chosen


class Scaled:
    """Features with mean 0 and deviation 1."""

    def __init__(self, features: Features) -> None:
        self._mean = features.rows.mean(0)
        self._deviation = features.rows.std(0, correction=0) + 1e-6
        self.features = Features((features.rows - self._mean) / self._deviation, features.labels)

    def unscaled(self, linear: Linear) -> Linear:
        """The classifier that gives for features as they were what `linear` gives for these."""
        weight = linear.weight / self._deviation
        return Linear(weight, linear.bias - weight @ self._mean)


class Path:
    """Logistic regressions on the same features, each begun with the weights of the one before.

    Args:
        parts: of the features, which are taken together.
    """

    def __init__(self, parts: Sequence[Features], classes: int) -> None:
        self._parts = [part for part in parts if len(part.rows)]
        self._images = sum(len(part.rows) for part in parts)
        self._weight = torch.zeros(classes, parts[0].rows.shape[1], requires_grad=True)
        self._bias = torch.zeros(classes, requires_grad=True)

    def loss(self) -> Tensor:
        """The mean cross-entropy."""
        now = Linear(self._weight, self._bias)
        sums = [
            functional.cross_entropy(now.logits(part.rows), part.labels, reduction="sum")
            for part in self._parts
        ]
        return torch.stack(sums).sum() / self._images

    def fit(self, penalty: float) -> Linear:
        """The regression for a penalty."""
        solver = LBFGS(
            [self._weight, self._bias], max_iter=_ITERATIONS, tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def penalised() -> Tensor:
            solver.zero_grad()
            found = self.loss() + penalty / 2 * self._weight.square().sum()
            found.backward()
            return found

        solver.step(penalised)
        return Linear(self._weight.detach().clone(), self._bias.detach().clone())
