"""How good networks of one design are on images that they have not seen, fold by fold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.metrics.folds import OverFolds
from autoscale.runs.store import StepFolder

STEP = "folds"
RESULT = "result.json"
ANSWERS = "answers.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """The network that was trained without one fold."""

    fold: int  # from 1
    images: int  # of the fold
    accuracy: float  # on these
    score: float | None  # of the metric, on these; None where accuracy decides
    validation_accuracy: float  # of its best epoch, on images of the other folds
    epochs: int
    best_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    """Networks of one design and recipe, each tested on the fold that it was trained without."""

    name: str  # of the design
    macs: int
    params: int
    images: int  # that were answered, each once
    folds: tuple[FoldResult, ...]
    accuracy: OverFolds
    metric: OverFolds | None  # what decided, where that is not accuracy
    answers: Path  # a table of every image, its class, the answer and the fold
    weights: tuple[Path, ...]  # of each fold's best epoch

    def to_dict(self) -> dict[str, Any]:
        """As plain data; without files, which lie where the run lies."""
        return {
            "name": self.name,
            "macs": self.macs,
            "params": self.params,
            "images": self.images,
            "accuracy": self.accuracy.to_dict(),
            **({} if self.metric is None else {"metric": self.metric.to_dict()}),
            "folds": [asdict(fold) for fold in self.folds],
        }


def folds_table(found: CrossValidated) -> pd.DataFrame:
    """One row a fold, with a column of the metric that decides, if that is not accuracy."""
    rows = [
        {
            "fold": one.fold,
            "images": one.images,
            **({} if found.metric is None else {found.metric.metric.column: one.score}),
            "accuracy": one.accuracy,
            "validation_accuracy": one.validation_accuracy,
            "best_epoch": one.best_epoch,
            "epochs": one.epochs,
        }
        for one in found.folds
    ]
    return pd.DataFrame(rows)


def fold_folder(run: Path, number: int) -> StepFolder:
    """The folder of a fold's training in a run, as `train` writes one."""
    return StepFolder(run, f"{STEP}/fold-{number}")
