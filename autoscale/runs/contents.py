"""What a run directory holds, read back as values: for the report, for notebooks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.engine import Trial
from autoscale.search.objective import Objective

Record = Mapping[str, Any]  # plain data, as a JSON file has it


@dataclass(frozen=True, kw_only=True)
class SearchContents:
    """A search, finished or not."""

    steps: tuple[Trial, ...]  # every step, repeats and refusals too
    trials: pd.DataFrame  # one row a trained design, as `jobs.search.result.trial_table`
    space: SearchSpace  # with the classes and the resolution of the images
    objective: Objective
    baseline: Trial | None  # None as long as the search is not finished
    accuracies: tuple[float, ...]  # of the baseline on validation images, one a seed
    # What decided, one a seed: accuracies, or shares of the objective's quality.
    judged: tuple[float, ...]
    confirmed: int  # how many of the best were trained again, as `--confirm`
    record: Record  # settings.json: settings, notes, environment
    shared: str = ""  # how well shared weights rank the networks, in words; "" where there are none

    @property
    def accuracy(self) -> float | None:
        """Mean accuracy of the baseline over its seeds."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else None

    @property
    def mean_judged(self) -> float | None:
        """Mean of what decided, over the baseline's seeds."""
        return sum(self.judged) / len(self.judged) if self.judged else None


@dataclass(frozen=True, kw_only=True)
class GridContents:
    """A finished grid: how to grow, or how to shrink."""

    name: str  # of its folder, "grid" or "shrink"
    candidates: pd.DataFrame  # grid.csv, the pick first
    rivals: pd.DataFrame  # rivals.csv; may have no rows
    surface: pd.DataFrame | None  # surface.csv; None where an older version made the grid
    picked: Record  # coefficients.json
    record: Record  # settings.json


@dataclass(frozen=True, kw_only=True)
class FamilyContents:
    """The members written so far."""

    members: pd.DataFrame  # family.csv
    names: tuple[str, ...]  # in the order in which they were asked for
    alternatives: pd.DataFrame  # the base grown in one dimension alone: rule, growth, macs, params
    record: Record


@dataclass(frozen=True, kw_only=True)
class FamilyTraining:
    """A finished training of a family's members by one command."""

    step: str  # of its folder: "nested" in one set of weights, "grown" each out of the one before
    members: pd.DataFrame  # members.csv, smallest first
    images: str  # fingerprint of the training and validation images


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a finished training of one network came to, as result.json has it."""

    name: str  # of the network
    epochs: int
    best_epoch: int  # the best on the validation images, the first of equals
    validation_accuracy: float  # of the best epoch
    last_validation_accuracy: float
    test_accuracy: float | None  # of the best weights; None without test images
    macs: int
    params: int
    metric: str | None = None  # decides which epoch is best; None for accuracy
    validation_score: float | None = None  # of that metric, of the best epoch
    validation_quality: float | None = None  # the share that this is, see `metrics.names.Quality`
    test_score: float | None = None  # of that metric, of the best weights

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; nothing of a metric where accuracy decides."""
        plain = asdict(self)
        if self.metric is None:
            for name in ("metric", "validation_score", "validation_quality", "test_score"):
                del plain[name]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "TrainingResult":
        """Read `to_dict` back; keys that are not ours are left out.

        Raises:
            KeyError, TypeError, ValueError: if it is something else.
        """
        return cls(
            name=str(plain["name"]),
            epochs=int(plain["epochs"]),
            best_epoch=int(plain["best_epoch"]),
            validation_accuracy=float(plain["validation_accuracy"]),
            last_validation_accuracy=float(plain["last_validation_accuracy"]),
            test_accuracy=_number(plain["test_accuracy"]),
            macs=int(plain["macs"]),
            params=int(plain["params"]),
            metric=None if (metric := plain.get("metric")) is None else str(metric),
            validation_score=_number(plain.get("validation_score")),
            validation_quality=_number(plain.get("validation_quality")),
            test_score=_number(plain.get("test_score")),
        )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


@dataclass(frozen=True, kw_only=True)
class TrainingContents:
    """A finished training of one network in full."""

    result: TrainingResult
    images: str  # fingerprint of the training and validation images
    path: Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run directory; None and empty stand for steps that were not made."""

    path: Path
    search: SearchContents | None = None
    check: Record | None = None  # check.json
    advice: Record | None = None  # learning-curves/advice.json
    grids: tuple[GridContents, ...] = ()
    family: FamilyContents | None = None
    whole: tuple[FamilyTraining, ...] = ()
    trainings: tuple[TrainingContents, ...] = ()

    @property
    def name(self) -> str:
        """Of the directory."""
        return self.path.resolve().name

    @property
    def trials(self) -> pd.DataFrame:
        """One row for each design that the search trained; see `trial_table` for the columns.

        Raises:
            InvalidSetting: if the run holds no search.
        """
        if self.search is None:
            raise InvalidSetting(
                f"{self.path} holds no search; begin with: autoscale search-baseline --run "
                f"{self.path}"
            )
        return self.search.trials
