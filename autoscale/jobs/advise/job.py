"""Train around a run's network, and say what more images, epochs, network or pixels would buy."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autoscale.advice.design import Point, points
from autoscale.advice.efforts import Advice, Effort, class_gains
from autoscale.advice.efforts import advise as judged
from autoscale.advice.posterior import Measured
from autoscale.design.amounts import several
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.jobs.advise.around import FACTOR, Around, around
from autoscale.jobs.advise.of_grids import pixels_of_grids, scores_of_grids
from autoscale.jobs.advise.result import RESULT, STEP, TRAININGS, Advised, Trained, trained_table
from autoscale.jobs.advise.settings import AdviseSettings
from autoscale.jobs.record import Record
from autoscale.jobs.workers.answers import unpacked
from autoscale.jobs.workers.estimate import Portion, estimate_portions
from autoscale.jobs.workers.pool import worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.listener import Listener, Silent, duration
from autoscale.runs.records import Outcome, outcome_to_record, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.scaling.scalable import network_digest
from autoscale.search.objective import Score
from autoscale.settings.function import takes_settings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvicePlan:
    """What an advice would train, and how long that would take."""

    table: pd.DataFrame  # as `result.trained_table`, without scores
    trainings: int
    kept: int  # of these, those that are there already, of the run's grids too
    seconds: float  # of the others


@takes_settings(AdviseSettings)
def plan_advice(
    run: str | Path, settings: AdviseSettings, *, listener: Listener | None = None
) -> AdvicePlan:
    """Trainings and time of `advise` with the same arguments; nothing is trained.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    prepared = _prepared(Path(run), settings, listener or Silent())
    kept = {o.key for o in outcomes_from_journal(prepared.journal) if o.score}
    kept |= prepared.of_grids.keys()
    left = [job for job in prepared.jobs if job.key not in kept]
    return AdvicePlan(
        table=prepared.plan,
        trainings=len(prepared.jobs),
        kept=len(prepared.jobs) - len(left),
        seconds=prepared.seconds(left) / settings.workers,
    )


@takes_settings(AdviseSettings)
def advise(
    run: str | Path, settings: AdviseSettings, *, listener: Listener | None = None
) -> Advised:
    """Train around a run's network, and say what more images, epochs, network or pixels would buy.

    The network is trained on all images and on nested halves of them, for its usual epochs, half
    and twice of them, and networks of half and twice its multiply-adds beside it. A law of the
    error is fitted to all these; see `advice.law`. By default each effort doubles what a training
    costs, so that efforts compare at equal cost.

    The same call continues a broken one. Other questions are answered by the same trainings, and
    more seeds or halvings add to them. Trainings of the run's grids serve where they are the same.
    The test images are not read.

    Args:
        run: the run directory of a finished search, or of a grid around a named design; this step
            writes its `learning-curves` folder.
        listener: told of progress; by default nobody.

    Returns:
        What each effort is believed to buy with its interval, and which classes gain from images.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    listener = listener or Silent()
    prepared = _prepared(Path(run), settings, listener)
    with prepared.folder.locked():
        outcomes = prepared.train(listener)
        found = prepared.advised(outcomes)
        prepared.folder.write_result(RESULT, found.to_dict())
    return found


def _prepared(run: Path, settings: AdviseSettings, listener: Listener) -> _Prepared:
    """Everything that is known before the first training."""
    found = around(run, settings)
    folder = StepFolder(run, STEP)
    largest = max(network.resolution for network in found.sizes.values())
    size = _stored_pixels(run, folder, largest)
    found = found.with_images(run, size=size, listener=listener)
    proxy = found.proxy
    planned = points(
        len(proxy.images.train),
        proxy.recipe.epochs,
        classes=len(proxy.images.classes),
        halvings=settings.halvings,
        sizes=found.sizes,
    )
    return _Prepared(settings=settings, around=found, points=planned, folder=folder)


def _stored_pixels(run: Path, folder: StepFolder, largest: int) -> int:
    """Pixels per side at which images are decoded: as before, else as the run's grids have them.

    Networks at fewer pixels see these images made smaller, so the size decides last digits.
    """
    begun = folder.read()
    if begun is not None and isinstance(before := begun["settings"].get("stored_pixels"), int):
        return max(before, largest)
    return max(largest, pixels_of_grids(run) or 0)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A network with its images, and the trainings around it."""

    settings: AdviseSettings
    around: Around
    points: tuple[Point, ...]
    folder: StepFolder

    @property
    def proxy(self) -> Proxy:
        return self.around.proxy

    @property
    def journal(self) -> Journal:
        return Journal(self.folder.file(TRAININGS))

    @property
    def seeds(self) -> range:
        first = self.proxy.source.seed
        return range(first, first + self.settings.seeds)

    @property
    def jobs(self) -> list[Job]:
        """Every training, all with the first seed before any with the next."""
        return [self._job(point, seed) for seed in self.seeds for point in self.points]

    def _job(self, point: Point, seed: int) -> Job:
        network = self._network(point)
        called = self.around.name if point.size == "base" else point.size
        return Job(
            network=network,
            seed=seed,
            name=f"{called}, {several(point.images, 'image')}, "
            f"{several(point.epochs, 'epoch')}, seed {seed}",
            key=_key(network, point, seed),
            images=point.images,
            epochs=point.epochs,
        )

    def _network(self, point: Point) -> Architecture:
        return self.around.sizes[point.size]

    @property
    def plan(self) -> pd.DataFrame:
        """One row a kind of training."""
        trained = [asdict(self._trained(point, ())) for point in self.points]
        table = trained_table(trained, self.proxy.chosen.quality)
        return table.drop(columns=self.proxy.chosen.quality.column).assign(
            seeds=self.settings.seeds
        )

    def seconds(self, jobs: Sequence[Job]) -> float:
        """Of these trainings, one after the other."""
        portions = [
            Portion(network=job.network, images=job.images, epochs=job.epochs)
            for job in jobs
            if job.images is not None and job.epochs is not None
        ]
        return estimate_portions(self.proxy, portions)

    @property
    def of_grids(self) -> dict[str, Score]:
        """Scores of the run's grids that are those of trainings asked for here, by their keys."""
        scores = scores_of_grids(self.folder.run, self.proxy)
        whole = len(self.proxy.images.train), self.proxy.recipe.epochs
        found = {}
        for seed in self.seeds:
            for point in self.points:
                network = self._network(point)
                score = scores.get(f"{network_digest(network)}/{seed}")
                if score is not None and (point.images, point.epochs) == whole:
                    found[_key(network, point, seed)] = score
        return found

    def train(self, listener: Listener) -> dict[str, Outcome]:
        """The outcome of every training, by its key; what is there already is not trained again."""
        jobs, proxy = self.jobs, self.proxy
        facts = {
            **proxy.record(),
            "network": self.around.base.base.to_dict(),
            "sizes": {size: one.to_dict() for size, one in self.around.sizes.items()},
            "stored_pixels": proxy.size,
        }
        notes = {**proxy.transfer.told, "trainings_asked": len(jobs)}
        kept = Record(settings=self.settings, facts=facts, notes=notes).begin(
            self.folder, self.journal, listener, read=outcomes_from_journal
        )
        done = {outcome.key for outcome in kept}
        taken = {key: score for key, score in self.of_grids.items() if key not in done}
        for key, score in taken.items():
            self.journal.append(outcome_to_record(Outcome(key=key, score=score)))
        if taken:
            listener.notice(f"taken over from the run's grids: {several(len(taken), 'training')}")
        done |= taken.keys()
        if left := [job for job in jobs if job.key not in done]:
            before = f", {len(jobs) - len(left)} are kept from before" if done else ""
            seconds = self.seconds(left) / self.settings.workers
            listener.notice(
                f"{several(len(left), 'training')} around {self.around.name}{before}; about "
                f"{duration(seconds)}"
            )

        def propose(outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
            begun = len(outcomes) + len(running)
            return jobs[begun] if begun < len(jobs) else None

        with worker_pool(self.settings, proxy, self.folder, listener) as workers:
            outcomes = Trainings(workers, self.journal, listener, answers=True).proposed(
                propose, most=len(jobs), leader=self._leader
            )
        return {outcome.key: outcome for outcome in outcomes}

    def _leader(self, outcomes: Sequence[Outcome]) -> str:
        """The mean of the network itself, one line."""
        keys = {_key(self._network(self.points[0]), self.points[0], seed) for seed in self.seeds}
        own = [o.score.judged for o in outcomes if o.score and o.key in keys]
        return f"{self.around.name} {statistics.mean(own):.3f}" if own else "none yet"

    def advised(self, outcomes: Mapping[str, Outcome]) -> Advised:
        """What the trainings say."""
        images = self.proxy.images
        labels = images.validation.labels
        measured = [
            self._measured(point, outcome.score)
            for point in self.points
            for seed in self.seeds
            if (outcome := outcomes[_key(self._network(point), point, seed)]).score
        ]
        trained = tuple(
            self._trained(point, self._scores(point, outcomes)) for point in self.points
        )
        effort, *others = self.efforts()
        base = self.around.amounts(self.points[0].images, self.points[0].epochs)
        advice: Advice = judged(
            measured,
            base,
            [effort, *others],
            weights=self._weights,
            ceiling=self.around.ceiling,
        )
        return Advised(
            name=self.around.name,
            metric=self.proxy.chosen.name,
            trained=trained,
            failed=sum(outcome.score is None for outcome in outcomes.values()),
            advice=advice,
            classes=class_gains(measured, base, effort, labels, images.classes),
        )

    @property
    def _weights(self) -> np.ndarray:
        found = self.around.metric.image_weights(self.proxy.images.validation.labels)
        assert found is not None, "refused before"
        return found

    def _measured(self, point: Point, score: Score) -> Measured:
        amounts = self.around.amounts(point.images, point.epochs, point.size)
        if score.right is None:  # of a grid, which keeps no answers
            return Measured(amounts=amounts, error=1 - score.judged)
        wrong = ~unpacked(score.right, len(self.proxy.images.validation))
        return Measured(amounts=amounts, error=float(self._weights @ wrong), wrong=wrong)

    def _scores(self, point: Point, outcomes: Mapping[str, Outcome]) -> tuple[float, ...]:
        network = self._network(point)
        found = [outcomes[_key(network, point, seed)].score for seed in self.seeds]
        return tuple(score.judged for score in found if score)

    def _trained(self, point: Point, scores: tuple[float, ...]) -> Trained:
        network = self._network(point)
        return Trained(
            size=point.size,
            images=point.images,
            epochs=point.epochs,
            pixels=network.resolution,
            macs=int(cost(network).macs),
            scores=scores,
        )

    def efforts(self) -> list[Effort]:
        """What is asked about, images first."""
        images, epochs = self.points[0].images, self.points[0].epochs
        base = self.around.amounts(images, epochs)
        more_images, more_epochs = self.settings.images or images, self.settings.epochs or epochs
        side = round(base.pixels * FACTOR**0.5)
        return [
            Effort(
                key="images",
                words=f"{several(more_images, 'more image')}",
                amounts=replace(base, images=images + more_images),
            ),
            Effort(
                key="epochs",
                words=f"{several(more_epochs, 'more epoch')}",
                amounts=replace(base, epochs=epochs + more_epochs),
            ),
            Effort(
                key="macs",
                words="twice the multiply-adds",
                amounts=replace(base, macs=FACTOR * base.macs),
            ),
            Effort(
                key="pixels",
                words=f"{side} instead of {base.pixels:.0f} pixels per side",
                amounts=replace(base, pixels=side),
            ),
        ]


def _key(network: Architecture, point: Point, seed: int) -> str:
    return f"{network_digest(network)}/{seed}/{point.images}/{point.epochs}"
