"""Is the baseline better than a random network of its space? Asked of images no search has seen."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.design.budget import format_count
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import BudgetUnreachable, EvaluationFailed, InvalidSetting
from autoscale.jobs.search.job import load_baseline, load_images, load_task
from autoscale.jobs.workers.pool import WorkerSettings, worker_pool
from autoscale.jobs.workers.queue import Job, train_all
from autoscale.listener import Listener, Silent
from autoscale.runs.records import Outcome, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.training.chance import chance_warning

STEP = "check"

#: Draws for random networks that are at least as dear as the baseline.
DRAWS = 5000

#: Added to the run's seed, so that no training of the search is repeated.
UNSEEN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The baseline against random networks of its space that cost at least as much."""

    split: str  # "test", or "validation" where the data has no test images
    baseline: tuple[float, ...]  # accuracies, one for each seed
    random: tuple[float, ...]  # accuracies, one for each random network
    baseline_macs: int
    random_macs: int  # mean of the random networks

    @property
    def margin(self) -> float:
        """Mean accuracy of the baseline less that of the random networks."""
        return statistics.mean(self.baseline) - statistics.mean(self.random)

    @property
    def seed_noise(self) -> float:
        """Standard deviation of the baseline's accuracy over seeds."""
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

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        names = ("margin", "margin_error", "seed_noise", "verdict")
        return asdict(self) | {name: getattr(self, name) for name in names}


def check_baseline(
    run: str | Path,
    *,
    networks: int = 8,
    seeds: int = 3,
    data: str | None = None,
    device: str = "cpu",
    threads: int = 1,
    staff: WorkerSettings | None = None,
    listener: Listener | None = None,
) -> Check:
    """Train the baseline with new seeds and random networks beside it, and compare on test images.

    The same call continues a broken check. Seeds differ from the search's, so that no luck of the
    search carries over. Random networks cost at least what the baseline costs, and at most half as
    much again where the space has such.

    Args:
        run: the run directory of a finished search; this step writes its `check` folder.
        networks: random networks to train.
        seeds: trainings of the baseline.
        data: where the images lie now, if they were moved.
        device: cpu, or a CUDA device such as cuda:0.
        threads: of torch in one training; more than one pay on idle cores only.
        staff: who trains; by default this process.
        listener: told of progress; by default nobody.

    Returns:
        The accuracies of both, the margin and its error, and a verdict.

    Raises:
        InvalidSetting: if the run holds no finished search, or for fewer than two seeds or
            networks.
        BudgetUnreachable: if the space has no networks that cost at least as much.
    """
    listener = listener or Silent()
    if networks < 2 or seeds < 2:
        raise InvalidSetting(
            f"a comparison needs at least 2 networks and 2 seeds, got {networks} and {seeds}"
        )
    found = load_baseline(run)
    task = load_task(run, data=data)
    chosen = found.trial.architecture
    rivals = networks_at_least_as_expensive(found.space, chosen, networks, seed=task.seed)
    jobs = [
        Job(network=chosen, seed=task.seed + UNSEEN + n, name=f"baseline, seed {n + 1}")
        for n in range(seeds)
    ]
    jobs += [
        Job(
            network=rival,
            seed=task.seed + UNSEEN,
            name=f"random network at {format_count(cost(rival).macs)} multiply-adds",
        )
        for rival in rivals
    ]
    step = StepFolder(Path(run), STEP)
    journal = Journal(step.file("trainings.jsonl"))
    with step.locked():
        size = max(found.space.resolution)
        images = load_images(run, task, size=size, test=True, listener=listener)
        step.begin(
            {
                "baseline": chosen.to_dict(),
                "networks": networks,
                "seeds": seeds,
                "task": task.settings(),
                "images": images.fingerprint,
            },
            notes={"data": task.place, "device": device},
            journal=journal,
            read=outcomes_from_journal,
        )
        split = "test" if images.test is not None else "validation"
        with worker_pool(
            staff or WorkerSettings(),
            task,
            images,
            step,
            size=size,
            device=device,
            threads=threads,
            listener=listener,
        ) as workers:
            outcomes = train_all(
                jobs,
                workers,
                journal,
                listener,
                held_out=images.test is not None,
                purpose=f"the baseline with {seeds} new seeds against {networks} random networks "
                f"of at least {format_count(cost(chosen).macs)} multiply-adds, on {split} images",
                leader=lambda done: _leader([o for o in done if int(o.key) < seeds]),
            )
        own = [outcome.score for outcome in outcomes[:seeds] if outcome.score]
        others = [outcome.score for outcome in outcomes[seeds:] if outcome.score]
        if len(own) < 2 or len(others) < 2:
            raise EvaluationFailed(
                "too many trainings failed for a comparison; see trainings.jsonl"
            )
        check = Check(
            split=split,
            baseline=tuple(score.accuracy for score in own),
            random=tuple(score.accuracy for score in others),
            baseline_macs=cost(chosen).macs,
            random_macs=round(statistics.mean(score.macs for score in others)),
        )
        step.write_result("check.json", check.to_dict())
        measured = images.test if images.test is not None else images.validation
        mean = statistics.mean(check.baseline)
        if warning := chance_warning(mean, measured.labels, images.classes, part=split):
            listener.notice(f"warning: {warning}")
    return check


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
    dear = [a for a in drawn if a != chosen and cost(a).macs >= least]
    near = [a for a in dear if cost(a).macs <= 1.5 * least]
    rivals = near if len(near) >= count else dear
    if len(rivals) < count:
        raise BudgetUnreachable(
            f"only {len(rivals)} networks of {space.name} cost at least {least:,} multiply-adds, "
            f"{count} are asked for; ask for fewer"
        )
    return rivals[:count]


def _leader(outcomes: Sequence[Outcome]) -> str:
    accuracies = [outcome.score.accuracy for outcome in outcomes if outcome.score]
    return f"baseline {statistics.mean(accuracies):.3f}" if accuracies else "none yet"
