"""What trainings with weights and without came to, and what is advised."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autoscale.design.cost import cost
from autoscale.jobs.starts.networks import Tried
from autoscale.racing.crossed import Advice, CrossedLead, advise
from autoscale.racing.paired import LEVEL
from autoscale.runs.store import StepFolder

if TYPE_CHECKING:
    import pandas as pd

STEP = "advice"
RESULT = "advice.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """The trainings of a network from one start."""

    start: str  # "weights" or "scratch"
    epochs: int  # of each
    rate: float  # at the peak
    right: Mapping[int, NDArray[np.bool_]]  # by seed, which images were answered right
    training_cost: float | None  # mean CPU-seconds of one; None where all failed
    inherited: float | None = None  # mean share of its parameters that the weights gave

    @property
    def accuracy(self) -> float | None:
        """Mean over seeds, on validation images; None where all failed."""
        found = [float(own.mean()) for own in self.right.values()]
        return statistics.mean(found) if found else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, accuracies in place of answers."""
        return {
            "start": self.start,
            "epochs": self.epochs,
            "rate": self.rate,
            "accuracies": {str(seed): float(own.mean()) for seed, own in self.right.items()},
            "accuracy": self.accuracy,
            "cpu_seconds": self.training_cost,
            "inherited": self.inherited,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartsCompared:
    """One network, begun with weights and afresh."""

    tried: Tried
    weights: Side
    scratch: Side

    @property
    def lead(self) -> CrossedLead:
        """Of the weights, over seeds and images; of pairs neither of which failed."""
        shared = sorted(self.weights.right.keys() & self.scratch.right.keys())
        return CrossedLead.of(
            [self.weights.right[seed] for seed in shared],
            [self.scratch.right[seed] for seed in shared],
        )

    @property
    def advice(self) -> Advice:
        """Which start to take."""
        return self.lead.advice

    @property
    def training(self) -> float | None:
        """CPU-seconds of a training with weights, as a multiple of one without."""
        own, other = self.weights.training_cost, self.scratch.training_cost
        return own / other if own is not None and other else None

    @property
    def sentence(self) -> str:
        """What the figures allow to say."""
        return advise(self.lead, size=self.tried.size, training=self.training or 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        lead, design = self.lead, self.tried.architecture
        return {
            "network": self.tried.name,
            "key": self.tried.key,
            "pixels": design.resolution,
            "macs": int(cost(design).macs),
            "params": int(cost(design).params),
            "starts": [self.weights.to_dict(), self.scratch.to_dict()],
            "training_ratio": self.training,
            "pairs": lead.pairs,
            "images": lead.images,
            "lead": lead.lead,
            "low": lead.low,
            "high": lead.high,
            "level": LEVEL,
            "error_of_seeds": lead.of_seeds,
            "error_of_images": lead.of_images,
            "pairs_to_show": lead.pairs_to_show,
            "advice": self.advice,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightsTried:
    """A source of weights, tried with networks of one or several sizes."""

    source: str  # as people call the weights
    compared: tuple[StartsCompared, ...]

    @property
    def table(self) -> pd.DataFrame:
        """Two rows for each network, as `starts_table` has them."""
        return starts_table([one.to_dict() for one in self.compared])

    @property
    def sentences(self) -> tuple[str, ...]:
        """The advice for each network."""
        return tuple(one.sentence for one in self.compared)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {"source": self.source, "networks": [one.to_dict() for one in self.compared]}


def starts_table(networks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Two rows for each network, the weights first.

    Columns: network; pixels; macs; params; start (weights or scratch); epochs; rate (at the
    peak); accuracy (on validation images, mean over pairs); cpu_seconds (of one training);
    lead (of the weights; the same in both rows), low and high (its interval at 95 %).

    Args:
        networks: as `StartsCompared.to_dict` gives them.
    """
    import pandas as pd

    rows = []
    for plain in networks:
        about = {n: plain[n] for n in ("network", "pixels", "macs", "params")}
        lead = {n: plain[n] for n in ("lead", "low", "high")}
        for side in plain["starts"]:
            own = {n: side[n] for n in ("start", "epochs", "rate", "accuracy", "cpu_seconds")}
            rows.append({**about, **own, **lead})
    floats = dict.fromkeys(("accuracy", "cpu_seconds", "lead", "low", "high"), float)
    return pd.DataFrame(rows).astype(floats)


def advice_in(run: str | Path, digest: str | None) -> tuple[str, ...]:
    """The advice on weights that a run holds, a sentence for each network; empty if it has none.

    Args:
        digest: of the file of the weights; advice on others is none.

    Raises:
        RunConflict: if the run's files are not readable.
    """
    folder = StepFolder(Path(run), STEP)
    found, begun = folder.read_result(RESULT), folder.read()
    if found is None or begun is None or begun["settings"].get("start") != digest:
        return ()
    networks: Sequence[Mapping[str, Any]] = found.get("networks") or ()
    return tuple(str(one["sentence"]) for one in networks if "sentence" in one)
