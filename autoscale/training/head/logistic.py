"""A classifier fitted on features: logistic regression, its penalty chosen by validation images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.training.head.features import Features

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


def fit_head(classifier: nn.Linear, train: Features, validation: Features) -> FittedHead:
    """Give a classifier the weights of a logistic regression on features.

    Features are scaled to deviation 1, the squared weights are penalised, and the loss is minimised
    by L-BFGS. The penalty is the one whose loss on the validation images is least. The same
    features and thread count give the same bits on a machine.

    Source: the linear probe of Radford et al. 2021 (CLIP), appendix A.3; as the first step of a
    fine-tuning, Kumar et al. 2022 (LP-FT).
    """
    mean, deviation = train.rows.mean(0), train.rows.std(0, correction=0) + 1e-6
    path = _Path((train.rows - mean) / deviation, train.labels, classifier.out_features)
    unseen = (validation.rows - mean) / deviation
    best: tuple[FittedHead, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        weight, bias = path.fit(penalty)
        logits = unseen @ weight.t() + bias
        found = FittedHead(
            penalty=penalty,
            train_loss=path.loss().item(),
            loss=functional.cross_entropy(logits, validation.labels).item(),
            accuracy=(logits.argmax(1) == validation.labels).float().mean().item(),
        )
        if best is not None and found.loss >= best[0].loss:
            break  # along the path the loss falls, then rises
        best = found, weight, bias
    assert best is not None
    chosen, weight, bias = best
    with torch.no_grad():
        classifier.weight.copy_(weight / deviation)
        if classifier.bias is not None:
            classifier.bias.copy_(bias - (weight / deviation) @ mean)
    return chosen


class _Path:
    """Logistic regressions on the same rows, each begun with the weights of the one before."""

    def __init__(self, rows: Tensor, labels: Tensor, classes: int) -> None:
        self._rows, self._labels = rows, labels
        self._weight = torch.zeros(classes, rows.shape[1], requires_grad=True)
        self._bias = torch.zeros(classes, requires_grad=True)

    def loss(self) -> Tensor:
        """The mean cross-entropy."""
        return functional.cross_entropy(self._rows @ self._weight.t() + self._bias, self._labels)

    def fit(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Weight (classes, features) and bias (classes,) for a penalty."""
        solver = torch.optim.LBFGS(
            [self._weight, self._bias], max_iter=_ITERATIONS, tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def penalised() -> Tensor:
            solver.zero_grad()
            found = self.loss() + penalty / 2 * self._weight.square().sum()
            found.backward()
            return found

        solver.step(penalised)
        return self._weight.detach().clone(), self._bias.detach().clone()
