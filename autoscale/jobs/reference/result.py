"""What the trainings of a published network say beside the candidates'."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from autoscale.racing.paired import LEVEL, Costs, Paired, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceScores:
    """A published network, fine-tuned with several seeds."""

    name: str
    pixels: int  # per side of its images
    macs: int  # multiply-adds of one image
    params: int
    epochs: int | None  # of each training; None where not even one epoch succeeded
    accuracies: Mapping[int, float]  # by seed
    training_cost: float | None  # mean CPU-seconds of one training
    cause: str = ""  # why trainings failed, if any did


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The network that a published one is compared with."""

    name: str  # as people call it: "the baseline"
    macs: int
    accuracies: Mapping[int, float]  # by seed
    training_cost: float  # mean CPU-seconds of one training of a candidate
    images: int  # that all are measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A published network beside the one that was found."""

    scores: ReferenceScores
    own: Own

    @property
    def paired(self) -> Paired:
        """How far the own network is ahead."""
        return Paired.of(self.own.accuracies, self.scores.accuracies, images=self.own.images)

    @property
    def accuracy(self) -> float | None:
        """Mean over seeds; None where every training failed."""
        return statistics.mean(self.scores.accuracies.values()) if self.scores.accuracies else None

    @property
    def training(self) -> float | None:
        """CPU-seconds of one of its trainings, as a multiple of a candidate's."""
        spent = self.scores.training_cost
        return None if spent is None else spent / self.own.training_cost

    @property
    def verdict(self) -> str:
        """What the figures allow to say."""
        if not self.scores.accuracies or self.training is None:
            return (
                f"nothing can be said of the published network {self.scores.name}: its trainings "
                f"failed ({self.scores.cause})"
            )
        costs = Costs(macs=self.scores.macs / self.own.macs, training=self.training)
        return verdict(self.paired, own=self.own.name, reference=self.scores.name, costs=costs)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        scores, paired = self.scores, self.paired
        return {
            "name": scores.name,
            "pixels": scores.pixels,
            "macs": scores.macs,
            "params": scores.params,
            "macs_ratio": scores.macs / self.own.macs,
            "epochs": scores.epochs,
            "cpu_seconds": scores.training_cost,
            "training_ratio": self.training,
            "accuracies": [*scores.accuracies.values()],
            "accuracy": self.accuracy,
            "seeds": paired.seeds,
            "lead": paired.lead,
            "low": paired.low,
            "high": paired.high,
            "level": LEVEL,
            "standing": paired.standing,
            "verdict": self.verdict,
            "cause": scores.cause,
        }


def reference_table(references: Sequence[Reference]) -> pd.DataFrame:
    """One row for each published network.

    Columns: network; pixels; macs; params; macs_ratio (its multiply-adds / the own network's);
    epochs; training_ratio (CPU-seconds of one of its trainings / a candidate's); accuracy (mean
    over seeds); seeds (shared); lead (of the own network), low and high (its interval at 95 %,
    paired by seeds).
    """
    names = ("pixels", "macs", "params", "macs_ratio", "epochs", "training_ratio", "accuracy",
             "seeds", "lead", "low", "high")  # fmt: skip
    rows = [
        {"network": plain["name"], **{name: plain[name] for name in names}}
        for plain in (reference.to_dict() for reference in references)
    ]
    floats = dict.fromkeys(("accuracy", "training_ratio", "lead", "low", "high"), float)
    return pd.DataFrame(rows, columns=["network", *names]).astype(floats)
