"""What a search tells while it goes on."""

import random
import statistics
from collections.abc import Sequence

from autoscale.design.amounts import several
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.limits import broken
from autoscale.jobs.search.problem import SearchProblem
from autoscale.jobs.workers.pool import WorkerPool
from autoscale.listener import Progress, duration
from autoscale.search.engine import Standings, Trial
from autoscale.search.objective import Objective
from autoscale.search.pareto import Front

#: Random designs from which the time of a search is estimated, and how many of them are.
_DRAWN, _TIMED = 500, 20


class SearchProgress:
    """Counts trainings and tells the listener about them.

    Attributes:
        seconds: of each training.
    """

    def __init__(
        self, problem: SearchProblem, history: Sequence[Trial], workers: WorkerPool
    ) -> None:
        self._problem = problem
        self._workers = workers
        self._objective, self._listener = problem.objective, problem.listener
        self._total = problem.settings.trials
        self._trained = sum(trial.trained for trial in history)
        told = [trial.measured for trial in history if trial.trained]
        self.seconds = [score.seconds for score in told if score]
        self._standings = Standings(self._objective, history)
        self._failed = 0
        self._front: Front[tuple[float, float]] = Front(("maximize", "minimize"))
        for trial in history:
            self._count(trial)

    def announce(self) -> float:
        """Say what is about to happen and how long it will take.

        Returns:
            Estimated seconds of one training in its worker; 0 if none is left.
        """
        left = self._total - self._trained
        if left <= 0:
            self._listener.notice(f"all {self._total} trainings are done already")
            return 0.0
        proxy, drawn = self._workers.proxy, self._drawn()
        each = self._workers.estimate(drawn) / len(drawn)
        kept = f", {self._trained} are kept from before" if self._trained else ""
        self._listener.notice(
            f"{several(left, 'training')} of {several(proxy.recipe.epochs, 'epoch')} on "
            f"{several(len(proxy.images.train), 'image')} of {proxy.images.name}{kept}; about "
            f"{duration(each * left)}"
        )
        return each * self._workers.at_once

    def _drawn(self) -> list[Architecture]:
        """Random designs as the search may train them."""
        space, limits = self._problem.space, self._problem.limits
        rng = random.Random(self._problem.seed)
        drawn = [space.sample(rng) for _ in range(_DRAWN)]
        if limits:  # the space may reach far beyond them
            allowed = [a for a in drawn if not broken(limits, a)]
            drawn = allowed or [min(drawn, key=lambda a: cost(a).macs)]
        return drawn[:_TIMED]

    def _count(self, trial: Trial) -> None:
        """Keep failures and the front up to date."""
        self._failed += trial.status == "failed"
        if trial.status == "finished" and trial.score:
            point = (trial.score.judged, self._objective.cost(trial.architecture))
            self._front.add(point, point)

    def trial_finished(self, trial: Trial) -> None:
        """One more step was recorded."""
        if not trial.trained:
            return
        self._trained += 1
        self._standings.add(trial)
        self._count(trial)
        told = trial.measured
        if told:
            self.seconds.append(told.seconds)
        leader, show = self._standings.best(), self._objective.show
        left = self._total - self._trained
        self._listener.progress(
            Progress(
                done=self._trained,
                total=self._total,
                note=trial_line(trial, self._objective),
                best=trial_line(leader, self._objective) if leader else "none yet",
                seconds_left=self._workers.seconds(statistics.mean(self.seconds) * left)
                if self.seconds
                else None,
                failed=self._failed,
                front=tuple(
                    f"{share:.3f} at {show(price).removesuffix(' multiply-adds')}"
                    for share, price in sorted(self._front, key=lambda point: point[1])
                ),
            )
        )


def trial_line(trial: Trial, objective: Objective) -> str:
    """What came of a trained design, in one line."""
    at = objective.show(objective.cost(trial.architecture))
    if trial.status == "stopped":
        return f"trial {trial.number}: {trial.cause}, at {at}"
    if trial.score is None:
        return f"trial {trial.number}: failed, {trial.cause}"
    return f"trial {trial.number}: {trial.score.told(objective.quality)} at {at}"
