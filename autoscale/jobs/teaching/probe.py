"""Linear classifiers on a network's features, in closed form, for answers that were not learned.

A classifier that was fitted to an image tells little about it but its label. So the images are cut
into folds, and each is answered by the classifier of the other folds. Ridge regression's scores
become logits by the factor with which held-out images are answered best.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

FOLDS = 5
#: Penalties that are tried, in shares of the number of images, features having variance 1.
PENALTIES = (0.01, 0.1, 1.0)
#: Factors between scores and logits that are tried.
_FACTORS = torch.logspace(0, 3, 61, dtype=torch.float64)
_TOGETHER = 1024  # images whose features are in double precision at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """Linear classifiers: one without each fold, and one of all images."""

    weights: Tensor  # (folds + 1, features + 1, classes), float64; the last is that of all
    folds: NDArray[np.int64]  # (images,), of those that it was fitted to
    mean: Tensor  # (features,)
    deviation: Tensor  # (features,)
    accuracy: float  # on images that were held out, in [0, 1]

    def logits(self, features: Tensor, rows: slice | None = None) -> Tensor:
        """(N, features) to (N, classes).

        Args:
            rows: which of the images of the fit these are crops of; None of others.
        """
        inputs = _inputs(features, self.mean, self.deviation)
        if rows is None:
            return (inputs @ self.weights[-1]).float()
        scores = inputs @ self.weights  # (folds + 1, N, classes)
        return scores[torch.from_numpy(self.folds[rows]), torch.arange(len(inputs))].float()


def fit_probe(features: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int) -> Probe:
    """Classifiers of features (N, D); the penalty is the one that answers held-out images best."""
    folds = _folds(labels)
    count = int(folds.max()) + 1
    mean = torch.from_numpy(features.mean(0, dtype=np.float64))
    deviation = torch.from_numpy(features.std(0, dtype=np.float64)).clamp_min(1e-6)
    targets = functional.one_hot(torch.from_numpy(labels), num_classes).double()
    width = features.shape[1] + 1
    inner = torch.zeros(count, width, width, dtype=torch.float64)
    outer = torch.zeros(count, width, num_classes, dtype=torch.float64)
    for fold in range(count):
        for part in _parts(np.flatnonzero(folds == fold)):
            inputs = _inputs(torch.from_numpy(features[part]), mean, deviation)
            inner[fold] += inputs.T @ inputs
            outer[fold] += inputs.T @ targets[part]
    best: tuple[float, float, float, Tensor] | None = None
    for share in PENALTIES:
        held_out = _solve(inner.sum(0) - inner, outer.sum(0) - outer, share)
        probe = Probe(weights=held_out, folds=folds, mean=mean, deviation=deviation, accuracy=0.0)
        scores = torch.cat(
            [
                probe.logits(torch.from_numpy(features[first:last]), slice(first, last))
                for first, last in pairwise([*range(0, len(labels), _TOGETHER), len(labels)])
            ]
        ).double()
        loss, factor = _factor(scores, torch.from_numpy(labels))
        if best is None or loss < best[0]:
            right = float((scores.argmax(1).numpy() == labels).mean())
            whole = _solve(inner.sum(0)[None], outer.sum(0)[None], share)
            best = loss, factor, right, torch.cat([held_out, whole])
    assert best is not None
    _, factor, right, weights = best
    return Probe(
        weights=weights * factor, folds=folds, mean=mean, deviation=deviation, accuracy=right
    )


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each image; those of a class are spread over all."""
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % min(FOLDS, len(labels))
    return folds


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER)]


def _inputs(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """(N, D) features with mean 0, variance 1 and a constant behind them: (N, D + 1)."""
    known = (features.double() - mean) / deviation
    return torch.cat([known, torch.ones(len(known), 1, dtype=torch.float64)], dim=1)


def _solve(inner: Tensor, outer: Tensor, share: float) -> Tensor:
    """Ridge regression for each of some sums of products; the constant is not penalised."""
    width = inner.shape[-1]
    images = inner[:, -1, -1]  # the sum of the squared constant
    penalty = torch.full((width,), share, dtype=torch.float64)
    penalty[-1] = 1e-9
    return torch.linalg.solve(inner + (images[:, None] * penalty).diag_embed(), outer)


def _factor(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """The least cross-entropy of scores times a factor, and the factor."""
    losses = [float(functional.cross_entropy(scores * factor, labels)) for factor in _FACTORS]
    place = int(np.argmin(losses))
    return losses[place], float(_FACTORS[place])
