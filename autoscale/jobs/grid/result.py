"""What a grid's race has shown: who leads, by how much, and how sure that is."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from math import exp, log
from typing import Any

import numpy as np
import pandas as pd

from autoscale.design.amounts import several
from autoscale.design.architecture import Architecture
from autoscale.design.measures.macs import MACS
from autoscale.design.rounding import Coefficients
from autoscale.jobs.reference.result import Reference
from autoscale.metrics.names import ACCURACY, Quality
from autoscale.racing.response_surface import (
    COST_EXPONENTS,
    Observation,
    SurfacePosterior,
    infer,
    surface,
)
from autoscale.racing.verdict import Verdict, judge
from autoscale.scaling.budget import Budget
from autoscale.scaling.grid import Candidate, Grid

#: Of all intervals.
LEVEL = 0.9


@dataclass(frozen=True, kw_only=True)
class GridResult:
    """The candidates, what their trainings say of them, and the pick."""

    grid: Grid
    field: tuple[Candidate, ...]
    observations: tuple[Observation, ...]
    posterior: SurfacePosterior
    verdict: Verdict
    references: tuple[Reference, ...] = ()  # published networks beside the pick
    # Of candidates by index the accuracies as trained, where the scores are those in int8.
    floats: Mapping[int, tuple[float, ...]] = dataclass_field(default_factory=dict)
    quality: Quality = ACCURACY  # what the scores are
    ended_by: float | None = None  # hours, if these ended the race before it was over

    @classmethod
    def of(
        cls,
        grid: Grid,
        field: Sequence[Candidate],
        observations: Sequence[Observation],
        *,
        floats: Mapping[int, tuple[float, ...]] | None = None,
        quality: Quality = ACCURACY,
        ended_by: float | None = None,
    ) -> "GridResult":
        """Judge the trainings of a field."""
        posterior = infer(np.log([entry.effective for entry in field]), observations)
        return cls(
            grid=grid,
            field=tuple(field),
            observations=tuple(observations),
            posterior=posterior,
            verdict=judge(posterior),
            floats=floats or {},
            quality=quality,
            ended_by=ended_by,
        )

    @property
    def _positions(self) -> np.ndarray:
        return np.log([entry.effective for entry in self.field])

    @property
    def index(self) -> int:
        """Of the pick in the field: the trained candidate of the highest estimate."""
        return self.verdict.best

    @property
    def best(self) -> Candidate:
        """The pick."""
        return self.field[self.index]

    @property
    def coefficients(self) -> Coefficients:
        """Of the pick: the multipliers of depth, width and resolution."""
        return self.best.coefficients

    @property
    def sentence(self) -> str:
        """The verdict in words, and what the pick's cost and the time take from it."""
        told = self.verdict.sentence([short(entry) for entry in self.field])
        of = (
            ""
            if self.quality == ACCURACY
            else f"; differences and scatter are of {self.quality.label}"
        )
        return told + of + self._cost_remark + self._time_remark

    @property
    def _time_remark(self) -> str:
        """That the race was ended, if it was; `trainings` of as many repeats it."""
        if self.ended_by is None:
            return ""
        count = several(len(self.observations), "training")
        return (
            f"; --hours {self.ended_by:g} ended the race after {count}, before it was over; "
            f"--trainings {len(self.observations)} repeats it"
        )

    @property
    def distance(self) -> float:
        """Of the pick's cost to the budget, signed: 0.05 is 5 % more."""
        return float(self.grid.budget.distance(self.best.growth))

    @property
    def _cost_remark(self) -> str:
        """How the pick's cost differs from the budget and the others', where that is notable.

        The posterior knows nothing of cost but where the candidates lie: a larger network that
        leads may lead because it is larger.
        """
        text = ""
        if not self.grid.keeps(self.best):
            text = (
                f"; it costs {self.best.growth:.4g}x, {self.distance:+.1%} of the "
                f"{self.grid.budget.ratio:.4g}x asked for"
            )
        rest = [entry.growth for index, entry in enumerate(self.field)
                if index != self.index and self.posterior.scores[index]]  # fmt: skip
        more = self.best.growth / min(rest, default=self.best.growth) - 1
        if self.grid.widened is not None and more > self.grid.tolerance:
            text += (
                f"; it costs up to {more:.1%} more than those it is compared with, which may be "
                "part of why it leads"
            )
        return text

    @property
    def seed_noise(self) -> float | None:
        """Standard deviation of one training over seeds, what all share left out."""
        return self.posterior.noise if self.posterior.measurable else None

    def scores(self, index: int) -> list[float]:
        """The scores of one candidate, in the order of trainings."""
        return [o.score for o in self.observations if o.candidate == index and o.score is not None]

    def accuracy(self, index: int) -> float | None:
        """Mean score of one candidate, by accuracy or another quality; None if it has none."""
        scores = self.scores(index)
        return statistics.mean(scores) if scores else None

    def accuracy_float(self, index: int) -> float | None:
        """Mean accuracy of one candidate as trained; None where no int8 networks were scored."""
        found = self.floats.get(index)
        return statistics.mean(found) if found else None

    def standing(self, index: int) -> str:
        """Of one candidate: pick, tied with it, measurably behind it, or failed."""
        if index == self.index:
            return "pick"
        if self.posterior.failed[index]:
            return "failed"
        return "tied" if index in self.verdict.tied else "behind"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each candidate, best estimate first and untrained ones last.

        Columns: those of `candidate_table`; seeds (scores); accuracy (their mean); accuracy_float
        (the mean as trained, where the scores are those in int8); accuracy_sd; all three under the
        name of what is scored, `quality.column`, where that is not accuracy;
        estimate, low and high (the mean that all trainings together suggest for this candidate,
        with its interval at 90 %); chance (of being the best); failed; standing (pick, tied,
        behind or failed).
        """
        rows, name = [], self.quality.column
        frame, both = candidate_table(self.field, self.grid.budget), any(self.floats.values())
        for index in range(len(self.field)):
            scores = self.scores(index)
            interval = self.posterior.interval(index, LEVEL).as_share
            rows.append(
                {
                    "seeds": len(scores),
                    name: self.accuracy(index),
                    **({"accuracy_float": self.accuracy_float(index)} if both else {}),
                    f"{name}_sd": statistics.stdev(scores) if len(scores) > 1 else None,
                    "estimate": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "chance": float(self.posterior.chance_of_best[index]),
                    "failed": bool(self.posterior.failed[index]),
                    "standing": self.standing(index),
                }
            )
        scored = pd.DataFrame(rows)
        scored = scored.astype({one: float for one in scored if name in str(one)})
        whole = pd.concat([frame, scored], axis=1)
        order = sorted(
            range(len(whole)),
            key=lambda p: (p != self.index, whole.seeds[p] == 0, -whole.estimate[p]),
        )
        return whole.iloc[order].reset_index(drop=True)

    def surface(self, step: float = 0.05) -> pd.DataFrame:
        """What the smooth part of the posterior says all over the surface of equal cost.

        Args:
            step: between neighbours, as a share of the logarithm of the growth.

        Returns:
            Columns: depth, width, resolution (growth); estimate, low, high (its interval at 90 %);
            step.
        """
        total = log(self.grid.budget.ratio if self.grid.budget.measure == MACS else
                    float(np.median([entry.measured for entry in self.field])))  # fmt: skip
        count = round(1 / step)
        shares = [
            (d / count, w / count, (count - d - w) / count)
            for d in range(count + 1)
            for w in range(count + 1 - d)
        ]
        at = np.array(shares) * total / COST_EXPONENTS
        surely = surface(self._positions, self.observations, at, level=LEVEL)
        found = [interval.as_share for interval in surely]
        return pd.DataFrame(
            [
                {
                    "depth": exp(d),
                    "width": exp(w),
                    "resolution": exp(r),
                    "estimate": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "step": 1 / count,
                }
                for (d, w, r), interval in zip(at, found, strict=True)
            ]
        )

    @cached_property
    def rival_table(self) -> pd.DataFrame:
        """The pick against each simpler way of growing.

        Columns: rule; alpha, beta, gamma (its multipliers); moved; growth (of the base's cost);
        distance (of that to the budget, signed); accuracy, or what is scored in its place
        (mean over seeds); seeds (that it shares
        with the pick); lead (of the pick, by the posterior), low and high (its interval at 90 %).
        """
        rows: list[dict[str, Any]] = []
        own = {o.seed for o in self.observations if o.candidate == self.index}
        for index, entry in enumerate(self.field):
            shared = {o.seed for o in self.observations if o.candidate == index} & own
            lead = self.posterior.difference(self.index, index, LEVEL)
            for rule in entry.rules:
                rows.append(
                    {
                        "rule": rule,
                        **asdict(entry.coefficients),
                        "moved": entry.moved,
                        "growth": round(entry.growth, 4),
                        "distance": round(self.grid.budget.distance(entry.growth), 4),
                        self.quality.column: self.accuracy(index),
                        "seeds": len(shared),
                        "lead": lead.mean,
                        "low": lead.low,
                        "high": lead.high,
                    }
                )
        columns = ["rule", "alpha", "beta", "gamma", "moved", "growth", "distance",
                   self.quality.column, "seeds", "lead", "low", "high"]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)


def short(entry: Candidate) -> str:
    """A candidate's name in a sentence: its multipliers, or the simple rule that it stands for."""
    point = entry.coefficients
    multipliers = f"({point.alpha:.3g}, {point.beta:.3g}, {point.gamma:.3g})"
    return f"{' / '.join(entry.rules)} {multipliers}" if entry.rules else multipliers


def candidate_table(field: Sequence[Candidate], budget: Budget) -> pd.DataFrame:
    """One row for each candidate.

    Columns: alpha, beta, gamma; nominal (alpha * beta**2 * gamma**2) and measured (multiply-adds /
    the base's), growth (of what the budget limits), distance (of that to the budget: growth /
    budget - 1); depth, width, resolution (what the multipliers became after rounding); blocks,
    channels (of the last stage; both missing for a user's model) and pixels; macs, params,
    activations; points (grid points that round to this network); moved (dimensions moved to meet
    the budget); rules (simpler ways of growing that it stands for).
    """
    rows: list[dict[str, Any]] = []
    for entry in field:
        point, network = entry.coefficients, entry.network
        design = network if isinstance(network, Architecture) else None
        rows.append(
            {
                **{name: round(value, 6) for name, value in asdict(point).items()},
                "nominal": round(point.nominal, 4),
                "measured": round(entry.measured, 4),
                "growth": round(entry.growth, 4),
                "distance": round(budget.distance(entry.growth), 4),
                **{name: round(value, 4) for name, value in entry.effective._asdict().items()},
                "blocks": design.depth if design else None,
                "channels": design.stages[-1].width if design else None,
                "pixels": network.resolution,
                "macs": int(entry.cost.macs),
                "params": int(entry.cost.params),
                "activations": int(entry.cost.activations),
                "points": len(entry.points),
                "moved": entry.moved,
                "rules": ", ".join(entry.rules),
            }
        )
    return pd.DataFrame(rows)
