"""What a search tells while it goes on."""

import random
import statistics
from collections.abc import Sequence

from autoscale.design.budget import several
from autoscale.design.cost import cost
from autoscale.design.measures.limits import Limit, broken
from autoscale.design.space import SearchSpace
from autoscale.jobs.workers.pool import WorkerPool
from autoscale.listener import Listener, Progress, duration
from autoscale.search.engine import Standings, Trial
from autoscale.search.objective import Objective
from autoscale.search.pareto import Front

#: Random designs from which the time of a search is estimated, and how many of them are.
_DRAWN, _TIMED = 500, 20


class Watch:
    """Counts trainings and tells the listener about them."""

    def __init__(
        self,
        history: Sequence[Trial],
        total: int,
        goal: Objective,
        listener: Listener,
        *,
        at_once: int = 1,
    ) -> None:
        self._trained = sum(trial.trained for trial in history)
        told = [trial.score or trial.partial for trial in history if trial.trained]
        self._seconds = [score.seconds for score in told if score]
        self._total = total
        self._at_once = at_once
        self._goal = goal
        self._standings = Standings(goal, history)
        self._failed = 0
        self._front: Front[tuple[float, float]] = Front(("maximize", "minimize"))
        for trial in history:
            self._count(trial)
        self._listener = listener

    def announce(
        self,
        name: str,
        count: int,
        space: SearchSpace,
        workers: WorkerPool,
        seed: int,
        *,
        limits: Sequence[Limit] = (),
    ) -> None:
        """Say what is about to happen and how long it will take.

        Args:
            name, count: of the training images.
            limits: what every trained design keeps.
        """
        left = self._total - self._trained
        if left <= 0:
            self._listener.notice(f"all {self._total} trainings are done already")
            return
        rng = random.Random(seed)
        drawn = [space.sample(rng) for _ in range(_DRAWN)]
        if limits:  # the space may reach far beyond them
            allowed = [a for a in drawn if not broken(limits, a)]
            drawn = allowed or [min(drawn, key=lambda a: cost(a).macs)]
        drawn = drawn[:_TIMED]
        seconds = workers.seconds(workers.trainer.estimate_seconds(drawn) / len(drawn) * left)
        kept = f", {self._trained} are kept from before" if self._trained else ""
        self._listener.notice(
            f"{several(left, 'training')} of {several(workers.trainer.recipe.epochs, 'epoch')} on "
            f"{several(count, 'image')} of {name}{kept}; about {duration(seconds)}"
        )

    def _count(self, trial: Trial) -> None:
        """Keep failures and the front up to date."""
        self._failed += trial.status == "failed"
        if trial.status == "finished" and trial.score:
            point = (trial.score.accuracy, self._goal.cost(trial.architecture))
            self._front.add(point, point)

    def saw(self, trial: Trial) -> None:
        """One more step was recorded."""
        if not trial.trained:
            return
        self._trained += 1
        self._standings.add(trial)
        self._count(trial)
        told = trial.score or trial.partial
        if told:
            self._seconds.append(told.seconds)
        leader = self._standings.best()
        left = self._total - self._trained
        self._listener.progress(
            Progress(
                done=self._trained,
                total=self._total,
                note=trial_line(trial, self._goal),
                best=trial_line(leader, self._goal) if leader else "none yet",
                seconds_left=statistics.mean(self._seconds) * left / self._at_once
                if self._seconds
                else None,
                failed=self._failed,
                front=tuple(
                    f"{accuracy:.3f} at {self._goal.show(price).removesuffix(' multiply-adds')}"
                    for accuracy, price in sorted(self._front, key=lambda point: point[1])
                ),
            )
        )


def trial_line(trial: Trial, goal: Objective) -> str:
    """What came of a trained design, in one line."""
    at = goal.show(goal.cost(trial.architecture))
    if trial.status == "stopped":
        return f"trial {trial.number}: {trial.cause}, at {at}"
    if trial.score is None:
        return f"trial {trial.number}: failed, {trial.cause}"
    return f"trial {trial.number}: accuracy {trial.score.accuracy:.3f} at {at}"
