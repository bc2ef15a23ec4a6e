"""Is the baseline better than a random network of its space? Asked of images no search has seen."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from autoscale.datasets.data import Images
from autoscale.design.amounts import format_count
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import BudgetUnreachable, EvaluationFailed
from autoscale.jobs.clock import now
from autoscale.jobs.deadline import Deadline, noted
from autoscale.jobs.groups.workers import WorkerSettings
from autoscale.jobs.record import Record
from autoscale.jobs.reference.network import ReferenceNetwork, find_references
from autoscale.jobs.reference.result import Own, Reference
from autoscale.jobs.reference.training import ReferenceTrainings, cost_of_one, notes_of
from autoscale.jobs.search.result import load_baseline, load_proxy, with_images
from autoscale.jobs.search.settings import CheckSettings
from autoscale.jobs.tracked import TrackedTrainings, tracking_of
from autoscale.jobs.workers.pool import worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.listener import Listener, Silent
from autoscale.metrics.names import USUAL, Quality, quality_of
from autoscale.runs.records import Outcome, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.objective import floats_of
from autoscale.settings.function import takes_settings
from autoscale.tracking.tracking import Tracking, require_trackers
from autoscale.training.chance import chance_warning

STEP = "check"

#: Draws for random networks that are at least as expensive as the baseline.
DRAWS = 5000

#: Added to the run's seed, so that no training of the search is repeated.
UNSEEN = 1000

#: Trainings of the baseline, and of random networks, that make a comparison.
FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The baseline against random networks of its space that cost at least as much."""

    split: str  # "test", or "validation" where the data has no test images
    baseline: tuple[float, ...]  # accuracies or another quality, one for each seed
    random: tuple[float, ...]  # the same, one for each random network
    baseline_macs: int
    random_macs: int  # mean of the random networks
    each_random_macs: tuple[int, ...] = ()  # of each; plain data has it with published networks
    references: tuple[Reference, ...] = ()  # published networks beside the baseline
    baseline_float: tuple[float, ...] = ()  # accuracies as trained, where `baseline` and `random`
    random_float: tuple[float, ...] = ()  # are those in int8
    metric: str = USUAL  # what `baseline` and `random` are shares of, see `quality`

    @property
    def quality(self) -> Quality:
        """What the networks are compared by."""
        return quality_of(self.metric)

    @property
    def margin(self) -> float:
        """Mean quality of the baseline less that of the random networks."""
        return statistics.mean(self.baseline) - statistics.mean(self.random)

    @property
    def seed_noise(self) -> float:
        """Standard deviation of the baseline's quality over seeds."""
        return statistics.stdev(self.baseline)

    @property
    def margin_error(self) -> float:
        """Standard error of the margin: seeds of the baseline, spread of the random networks."""
        return sqrt(
            statistics.variance(self.baseline) / len(self.baseline)
            + statistics.variance(self.random) / len(self.random)
        )

    @property
    def verdict(self) -> str:
        """What the figures allow to say."""
        if self.margin > max(self.seed_noise, 2 * self.margin_error):
            return "the baseline is better than a random network of its cost"
        if self.margin < -max(self.seed_noise, 2 * self.margin_error):
            return "the baseline is worse than a random network of its cost"
        return "the data cannot tell the baseline from a random network of its cost"

    @property
    def answer(self) -> dict[str, float | str]:
        """What trackers are told of it."""
        label = f"{self.split} {self.quality.label}"
        return {
            f"baseline/{label}": statistics.mean(self.baseline),
            f"random networks/{label}": statistics.mean(self.random),
            "margin": self.margin,
            "margin error": self.margin_error,
            "verdict": self.verdict,
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        names = ("margin", "margin_error", "seed_noise", "verdict")
        plain = asdict(replace(self, references=())) | {n: getattr(self, n) for n in names}
        if not self.baseline_float:
            del plain["baseline_float"], plain["random_float"]
        if self.metric == USUAL:
            del plain["metric"]
        else:
            plain["quality"] = self.quality.label
        if not self.references:
            del plain["references"], plain["each_random_macs"]
            return plain
        return plain | {"references": [reference.to_dict() for reference in self.references]}


@takes_settings(CheckSettings, gone={"staff": WorkerSettings})
def check_baseline(
    run: str | Path, settings: CheckSettings, *, listener: Listener | None = None
) -> Check:
    """Train the baseline with new seeds and random networks beside it, and compare on test images.

    The same call continues a broken check. With `hours` there are fewer random networks where they
    do not fit. Seeds differ from the search's, so that no luck of the
    search carries over. Random networks cost at least what the baseline costs, and at most half as
    much again where the space has such. Published networks that are asked for are fine-tuned with
    the baseline's seeds, each for as many epochs as cost what a training of the baseline costs.

    Args:
        run: the run directory of a finished search; this step writes its `check` folder.
        listener: told of progress; by default nobody.

    Returns:
        The accuracies of both, the margin and its error, and a verdict.

    Raises:
        InvalidSetting: if the run holds no finished search, or for fewer than two seeds or
            networks, or a published network without weights that tell what it is.
        BudgetUnreachable: if the space has no networks that cost at least as much.
    """
    began, listener = now(), listener or Silent()
    require_trackers(settings.track)
    baseline = load_baseline(run)
    proxy = load_proxy(
        run,
        data=settings.data,
        weights=settings.weights,
        teacher=settings.teacher,
        device=settings.device,
        threads=settings.threads,
    )
    chosen, seed = baseline.trial.architecture, proxy.source.seed
    others = networks_at_least_as_expensive(baseline.space, chosen, settings.networks, seed=seed)
    references = find_references(
        settings,
        resolution=chosen.resolution,
        aspect=chosen.aspect,
        classes=chosen.num_classes,
        listener=listener,
        dtype=proxy.dtype,
        quality=proxy.chosen.quality,
    )
    folder = StepFolder(Path(run), STEP)
    deadline = Deadline.of(settings.hours, folder, listener, since=began)
    tracking = tracking_of(folder, settings, listener)
    with folder.locked(), noted(deadline), tracking:
        listener = deadline or listener
        size = max(baseline.space.resolution)
        proxy = with_images(run, proxy, size=size, test=True, listener=listener)
        comparison = _Comparison(settings, chosen, others, references, proxy)
        outcomes = comparison.train(folder, listener, deadline, tracking)
        check = comparison.judged(outcomes)
        beside = comparison.beside(outcomes, folder, listener)
        check = replace(check, references=beside)
        folder.write_result("check.json", check.to_dict())
        tracking.conclude(check.answer)
        mean, metric = statistics.mean(check.baseline), proxy.metric
        if warning := chance_warning(
            mean if metric is None else metric.of_quality(mean),
            comparison.measured.labels,
            proxy.images.classes,
            part=check.split,
            metric=metric,
        ):
            listener.notice(f"warning: {warning}")
    return check


@dataclass(frozen=True)
class _Comparison:
    """The baseline and what it is compared with, as they are trained and judged."""

    settings: CheckSettings
    chosen: Architecture
    others: Sequence[Architecture]  # random networks
    references: Sequence[ReferenceNetwork]
    proxy: Proxy  # with its images

    @property
    def split(self) -> str:
        return "test" if self.proxy.test else "validation"

    @property
    def measured(self) -> Images:
        """The images on which all are judged."""
        images = self.proxy.images
        return images.test if images.test is not None else images.validation

    @property
    def seeds(self) -> list[int]:
        """Of the baseline's new trainings."""
        first = self.proxy.source.seed + UNSEEN
        return [first + n for n in range(self.settings.seeds)]

    @property
    def jobs(self) -> list[Job]:
        """The baseline with each seed, then each random network with the first."""
        again = [
            Job(network=self.chosen, seed=seed, name=f"baseline, seed {n}")
            for n, seed in enumerate(self.seeds, start=1)
        ]
        return again + [
            Job(
                network=other,
                seed=self.seeds[0],
                name=f"random network at {format_count(cost(other).macs)} multiply-adds",
            )
            for other in self.others
        ]

    def train(
        self,
        folder: StepFolder,
        listener: Listener,
        deadline: Deadline | None,
        tracking: Tracking,
    ) -> list[Outcome]:
        """The outcome of every job, in order; those that the folder holds are not trained again.

        Raises:
            InvalidSetting: if there is no time for as many as make a comparison.
        """
        journal, seeds = Journal(folder.file("trainings.jsonl")), self.settings.seeds
        facts = {**self.proxy.record(), "baseline": self.chosen.to_dict()}
        rivals = notes_of(self.references, self.proxy, seeds=seeds)
        notes = {**self.proxy.transfer.told, **rivals}
        Record(settings=self.settings, facts=facts, notes=notes).begin(
            folder, journal, listener, read=outcomes_from_journal
        )
        jobs = self.jobs
        tracked = TrackedTrainings(
            tracking,
            journal,
            self.proxy.chosen.quality,
            lambda key: {"network": jobs[int(key)].name, "seed": jobs[int(key)].seed},
        )
        with worker_pool(self.settings, self.proxy, folder, listener) as workers:
            trainings = Trainings(
                workers, journal, listener, held_out=self.proxy.test, told=tracked.add
            )
            trainings = trainings.within(
                deadline, [job.network for job in jobs], least=seeds + FEWEST
            )
            outcomes = trainings.all(
                jobs,
                purpose=f"the baseline with {seeds} new seeds against {len(self.others)} random "
                f"networks of at least {format_count(cost(self.chosen).macs)} multiply-adds, on "
                f"{self.split} images",
                leader=lambda done: _leader([o for o in done if int(o.key) < seeds]),
            )
        if trainings.pacer and trainings.pacer.ended:
            others = max(0, len(outcomes) - seeds)
            listener.notice(
                f"--hours {self.settings.hours:g} ended the check after {others} of "
                f"{len(self.others)} random networks"
            )
        return outcomes

    def judged(self, outcomes: Sequence[Outcome]) -> Check:
        """What the trainings say.

        Raises:
            EvaluationFailed: if too few of them succeeded.
        """
        seeds = self.settings.seeds
        own = [o.score for o in outcomes if o.score and int(o.key) < seeds]
        others = [o.score for o in outcomes if o.score and int(o.key) >= seeds]
        if min(len(own), len(others)) < FEWEST:
            if len(outcomes) < len(self.jobs):
                raise EvaluationFailed(
                    f"--hours {self.settings.hours:g} ended before there were {FEWEST} trainings "
                    "of the baseline and of random networks; give more, what is trained is kept"
                )
            raise EvaluationFailed(
                "too many trainings failed for a comparison; see trainings.jsonl"
            )
        return Check(
            split=self.split,
            baseline=tuple(score.judged for score in own),
            random=tuple(score.judged for score in others),
            metric=self.proxy.chosen.name,
            baseline_float=floats_of(own),
            random_float=floats_of(others),
            baseline_macs=cost(self.chosen).macs,
            random_macs=round(statistics.mean(score.macs for score in others)),
            each_random_macs=tuple(score.macs for score in others),
        )

    def beside(
        self, outcomes: Sequence[Outcome], folder: StepFolder, listener: Listener
    ) -> tuple[Reference, ...]:
        """The published networks, trained with the baseline's seeds at its training cost."""
        if not self.references:
            return ()
        pairs = zip(self.seeds, outcomes, strict=False)
        scores = {seed: outcome.score for seed, outcome in pairs if outcome.score}
        own = Own(
            name="the baseline",
            macs=int(cost(self.chosen).macs),
            accuracies={seed: score.accuracy for seed, score in scores.items()},
            training_cost=cost_of_one([*scores.values()]),
            images=len(self.measured),
        )
        trainings = ReferenceTrainings(
            settings=self.settings,
            folder=folder,
            listener=listener,
            judge=self.proxy,
            seeds=self.seeds,
            aim=own.training_cost,
        )
        return tuple(Reference(scores=trainings.scores(r), own=own) for r in self.references)


def networks_at_least_as_expensive(
    space: SearchSpace, chosen: Architecture, count: int, *, seed: int
) -> list[Architecture]:
    """`count` different random networks that cost at least as much as `chosen`.

    Raises:
        BudgetUnreachable: if that many were not met in some thousand draws.
    """
    rng = random.Random(f"check/{seed}")
    least = cost(chosen).macs
    drawn = dict.fromkeys(space.sample(rng) for _ in range(DRAWS))
    expensive = [a for a in drawn if a != chosen and cost(a).macs >= least]
    near = [a for a in expensive if cost(a).macs <= 1.5 * least]
    others = near if len(near) >= count else expensive
    if len(others) < count:
        way_out = "ask for fewer with --networks"
        if len(others) < 2:  # with which there is no comparison
            way_out = "search with a lower --target or in another space, in another --run"
        raise BudgetUnreachable(
            f"only {len(others)} networks of {space.name} cost at least {least:,} multiply-adds, "
            f"{count} are asked for; {way_out}"
        )
    return others[:count]


def _leader(outcomes: Sequence[Outcome]) -> str:
    judged = [outcome.score.judged for outcome in outcomes if outcome.score]
    return f"baseline {statistics.mean(judged):.3f}" if judged else "none yet"
