"""Shared weights of a search: trained and used for scores before its first training."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import TYPE_CHECKING, Any

from autoscale.design.cost import cost
from autoscale.design.measures.limits import Limit, broken
from autoscale.design.space import SearchSpace
from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.jobs.deadline import Deadline
from autoscale.jobs.shared.paths import Point
from autoscale.jobs.shared.scores import SharedScores
from autoscale.jobs.shared.settings import SharedPlan
from autoscale.jobs.shared.training import SharedTraining
from autoscale.jobs.workers.estimate import pace
from autoscale.jobs.workers.proxy import Proxy
from autoscale.listener import Listener, Progress, duration
from autoscale.runs.at_work import AtWork
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.search.identity import network_of
from autoscale.search.model.earlier import LEAST, EarlierSearch
from autoscale.training.failures import TrainingFailed

if TYPE_CHECKING:
    import pandas as pd

#: Files of a search's folder: the weights in training, a line a scored network, these as a table,
#: and what they were made for.
WEIGHTS, SCORES, TABLE, MADE_FOR = "shared.safetensors", "shared.jsonl", "shared.csv", "shared.json"
NAME = "shared weights"
#: Draws for each network that is wanted; narrow limits leave few.
_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class SharedRanking:
    """Random designs of a space, ranked by weights that all of them share.

    Both are made once and kept in the search's folder; a call that was broken off goes on.

    Args:
        facts: plain data that decide the scores; weights and scores made for others are made anew.
    """

    folder: StepFolder
    space: SearchSpace  # with the classes and the resolution of the images
    proxy: Proxy  # with its images
    limits: Sequence[Limit]  # which the ranked designs keep
    plan: SharedPlan
    seed: int
    facts: Mapping[str, Any]
    listener: Listener
    deadline: Deadline | None = None

    def made(self) -> EarlierSearch:
        """The ranking, as an earlier search tells it to a sampler.

        Raises:
            InvalidSetting: if there are too few designs within the limits, or there is no time.
            EvaluationFailed: if the training diverges, or memory runs out.
        """
        points = self._drawn()
        self._claim()
        journal = Journal(self.folder.file(SCORES))
        known = [float(record["score"]) for record in journal.read()]
        if len(known) < len(points):
            with AtWork(self.folder) as at_work:
                done = at_work.begin(NAME)
                try:
                    self._score(points, known, journal)
                except TrainingFailed as problem:
                    raise EvaluationFailed(f"{NAME}: {problem}") from None
                done()
            table = self._table(points, known)
            write_text(self.folder.file(TABLE), table.to_csv(index=False))
        params = [self._params(point) for point in points]
        return EarlierSearch(NAME, params, known[: len(points)])

    def _claim(self) -> None:
        """Leave out what was made for something else: as long as no network is trained, nothing
        binds a search to it."""
        told = dumps({**self.facts, "seed": self.seed}, sort_keys=True, default=str)
        made_for = sha256(told.encode()).hexdigest()
        kept = self.folder.read_result(MADE_FOR)
        if kept is None or kept.get("made_for") != made_for:
            self.folder.forget(WEIGHTS, SCORES, TABLE)
            self.folder.write_result(MADE_FOR, {"made_for": made_for})

    def _score(self, points: Sequence[Point], known: list[float], journal: Journal) -> None:
        """Train the weights, unless that is done, and score the points that are not known yet."""
        seconds = self._estimate(points)
        self.listener.notice(
            f"{NAME}: {self.plan.epochs} epochs for all {self.space.size:,} designs of "
            f"{self.space.name}, then {len(points)} random ones are scored; about "
            f"{duration(seconds)}"
        )
        if self.deadline is not None and not self.folder.file(WEIGHTS).exists():
            self.deadline.require(seconds, f"{NAME} before the first training")
        training = SharedTraining(
            space=self.space,
            proxy=self.proxy,
            epochs=self.plan.epochs,
            seed=self.seed,
            file=self.folder.file(WEIGHTS),
            listener=self.listener,
        )
        scores = SharedScores(weights=training.run(), proxy=self.proxy, task=training.task)
        first, began = len(known), time.perf_counter()
        for number, point in enumerate(points[first:], start=first + 1):
            known.append(scores.of(point))
            journal.append({"params": self._params(point), "score": known[-1]})
            each = (time.perf_counter() - began) / (number - first)
            self.listener.progress(
                Progress(
                    done=number,
                    total=len(points),
                    note=f"{NAME}, design {number}: {known[-1]:.4f}",
                    best=f"{max(known):.4f}",
                    seconds_left=each * (len(points) - number),
                )
            )

    def _estimate(self, points: Sequence[Point]) -> float:
        """Seconds of training and scores, from a few steps of a design of median cost."""
        designs = [self.space.architecture_at(point) for point in points]
        median = sorted(designs, key=lambda design: cost(design).macs)[len(designs) // 2]
        told = pace(self.proxy, median)
        judged = told.evaluation * SharedScores.share(self.proxy)
        return self.plan.epochs * told.epoch + len(points) * judged

    def _drawn(self) -> list[Point]:
        """Random points, no two of one network, within the limits.

        Raises:
            InvalidSetting: if there are too few.
        """
        rng = random.Random(self.seed)
        found: dict[Any, Point] = {}
        for _ in range(_TRIES * self.plan.designs):
            point = self.space.draw(rng)
            design = self.space.architecture_at(point)
            identity = network_of(design)
            if identity not in found and not broken(self.limits, design):
                found[identity] = point
            if len(found) == min(self.plan.designs, self.space.size):
                break
        if len(found) < LEAST:
            raise InvalidSetting(
                f"{len(found)} networks of {self.space.name} were found for --shared-weights; at "
                f"least {LEAST} are needed: widen the limits or the space, or leave it out"
            )
        return list(found.values())

    def _params(self, point: Point) -> dict[str, Any]:
        named = zip(self.space.parameters, point, strict=True)
        return {parameter.name: parameter.labels[index] for parameter, index in named}

    def _table(self, points: Sequence[Point], scores: Sequence[float]) -> pd.DataFrame:
        """A row a scored design: score, macs, params, then its choices."""
        import pandas as pd

        rows = []
        for point, score in zip(points, scores, strict=True):
            counted = cost(self.space.architecture_at(point))
            told = {"score": score, "macs": counted.macs, "params": counted.params}
            rows.append({**told, **self._params(point)})
        return pd.DataFrame(rows)
