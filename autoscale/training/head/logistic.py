"""A classifier fitted on features: logistic regression, its penalty chosen by validation images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.training.head.features import FeatureSets

#: Half of it times the squared weights is added to the loss; from the strongest to the weakest.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_ITERATIONS = 100  # of each penalty; those of the weaker ones begin where the stronger ones ended


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHead:
    """A classifier fitted on features."""

    penalty: float
    loss: float  # on the validation images, mean cross-entropy
    accuracy: float  # on the validation images, in [0, 1]


def fit_head(classifier: nn.Linear, features: FeatureSets) -> FittedHead:
    """Give a classifier the weights of a logistic regression on features.

    Features are scaled to deviation 1, the squared weights are penalised, and the loss is minimised
    by L-BFGS. The penalty is the one whose loss on the validation images is least. The same
    features and thread count give the same bits on a machine.

    Source: the linear probe of Radford et al. 2021 (CLIP), appendix A.3; as the first step of a
    fine-tuning, Kumar et al. 2022 (LP-FT).
    """
    train, validation = features.train, features.validation
    rows = train.rows if train.mirrored is None else torch.cat([train.rows, train.mirrored])
    labels = train.labels.repeat(len(rows) // len(train.rows))
    mean, deviation = rows.mean(0), rows.std(0, correction=0) + 1e-6
    path = _Path((rows - mean) / deviation, labels, classifier.out_features)
    unseen = (validation.rows - mean) / deviation
    best: tuple[FittedHead, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        weight, bias = path.fit(penalty)
        logits = unseen @ weight.t() + bias
        found = FittedHead(
            penalty=penalty,
            loss=functional.cross_entropy(logits, validation.labels).item(),
            accuracy=(logits.argmax(1) == validation.labels).float().mean().item(),
        )
        if best is not None and found.loss >= best[0].loss:
            break  # the loss falls and then rises along the path
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

    def fit(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Weight (classes, features) and bias (classes,) for a penalty."""
        weight, bias = self._weight, self._bias
        solver = torch.optim.LBFGS(
            [weight, bias], max_iter=_ITERATIONS, tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def loss() -> Tensor:
            solver.zero_grad()
            logits = self._rows @ weight.t() + bias
            found = functional.cross_entropy(logits, self._labels)
            found = found + penalty / 2 * weight.square().sum()
            found.backward()
            return found

        solver.step(loss)  # type: ignore[no-untyped-call]
        return weight.detach().clone(), bias.detach().clone()
