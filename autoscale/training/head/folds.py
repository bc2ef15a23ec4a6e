"""Classifiers of features that answer images which they were not fitted to.

A classifier that was fitted to an image tells little about it but its label. So the images are cut
into folds, and each is answered by the classifier of the other folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.training.head.features import Features
from autoscale.training.head.logistic import PENALTIES, Linear, Path, Scaled

FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldedHead:
    """Linear classifiers: one without each fold, and one of all images."""

    without: tuple[Linear, ...]  # each fold in turn
    whole: Linear
    folds: Tensor  # (images,), of those that it was fitted to
    penalty: float  # see `logistic`
    accuracy: float  # on images that were held out, in [0, 1]
    loss: float  # on those, mean cross-entropy

    def logits(self, rows: Tensor, images: slice | None = None) -> Tensor:
        """(N, features) to (N, classes).

        Args:
            images: which of the images of the fit these are crops of; None of others.
        """
        if images is None:
            return self.whole.logits(rows)
        folds = self.folds[images]
        found = torch.empty(len(rows), len(self.whole.bias))
        for fold, classifier in enumerate(self.without):
            found[folds == fold] = classifier.logits(rows[folds == fold])
        return found


def fit_folds(features: Features, num_classes: int) -> FoldedHead:
    """Logistic regressions on all images and without each fold.

    They share the penalty, the one whose loss on images that were held out is least, and are fitted
    as `logistic.fit_head` fits. The same features and thread count give the same bits on a machine.
    """
    scaled, folds = Scaled(features), _folds(features.labels.numpy())
    order = torch.argsort(folds, stable=True)  # so that what a fit is without lies in one piece
    rows, labels = scaled.features.rows[order], features.labels[order]
    ends = torch.cumsum(torch.bincount(folds), 0).tolist()
    parts = [slice(start, end) for start, end in pairwise([0, *ends])]
    paths = [
        Path([Features(rows[one], labels[one]) for one in _around(part)], num_classes)
        for part in parts
    ]
    best: tuple[float, float, float, list[Linear]] | None = None
    for penalty in PENALTIES:
        without = [path.fit(penalty) for path in paths]
        pairs = zip(without, parts, strict=True)
        logits = torch.cat([linear.logits(rows[part]) for linear, part in pairs])
        loss = functional.cross_entropy(logits, labels).item()
        if best is not None and loss >= best[0]:
            break  # along the path the loss falls, then rises
        right = (logits.argmax(1) == labels).float().mean().item()
        best = loss, right, penalty, without
    assert best is not None
    loss, right, penalty, without = best
    whole = Path([Features(rows, labels)], num_classes).fit(penalty)
    return FoldedHead(
        without=tuple(map(scaled.unscaled, without)),
        whole=scaled.unscaled(whole),
        folds=folds,
        penalty=penalty,
        accuracy=right,
        loss=loss,
    )


def _around(part: slice) -> tuple[slice, slice]:
    return slice(0, part.start), slice(part.stop, None)


def _folds(labels: NDArray[np.int64]) -> Tensor:
    """The fold of each image; those of a class are spread over all."""
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % min(FOLDS, len(labels))
    return torch.from_numpy(folds)
