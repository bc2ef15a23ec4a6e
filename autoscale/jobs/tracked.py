"""What trackers are told of jobs: their settings, and a point for each piece of work."""

from collections.abc import Callable, Mapping, Sequence

from autoscale.jobs.groups.tracking import TrackingSettings
from autoscale.listener import Listener
from autoscale.metrics.metric import Metric
from autoscale.metrics.names import Quality
from autoscale.runs.records import Outcome, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.engine import Standings, Trial
from autoscale.search.objective import Objective
from autoscale.search.pareto import Front, hypervolume
from autoscale.settings.command import Settings
from autoscale.tracking.point import TRIAL, Point
from autoscale.tracking.tracking import Tracking
from autoscale.training.recipe import Recipe
from autoscale.training.state import Epoch


def tracking_of(
    step: StepFolder, asked: TrackingSettings, listener: Listener, *, whole: Settings | None = None
) -> Tracking:
    """The trackers that a step is told to, to be used within `with`.

    Args:
        whole: the settings that they are told, where those are not `asked`.
    """
    told = whole or asked
    return Tracking.of(
        asked.track,
        run=step.run,
        step=step.name,
        command=told.command,
        settings=told.plain(),
        tell=listener.notice,
    )


def training_point(
    epochs: Sequence[Epoch],
    recipe: Recipe,
    *,
    images: int,
    resolution: int,
    metric: Metric | None = None,
) -> Point:
    """The last of `epochs` of a training on so many images, of a network for `resolution` pixels.

    The learning rate is that of the epoch's last step; images per second are those of training,
    the evaluation not counted.
    """
    epoch = epochs[-1]
    batch = min(recipe.batch_size, images)
    steps = images // batch
    progress = (epoch.number - 1 + (steps - 0.5) / steps) / recipe.epochs
    values = {
        "loss": epoch.loss,
        "learning rate": recipe.learning_rate_at(progress),
        "images per second": steps * batch / (epoch.seconds - epoch.evaluation_seconds),
        "resolution": recipe.resolution_at(epoch.number, resolution),
    }
    if epoch.accuracy is not None:
        values["validation accuracy"] = epoch.accuracy
    if metric is not None and epoch.score is not None:
        values[f"validation {metric.label}"] = epoch.score
    return Point(step=epoch.number, seconds=sum(epoch.seconds for epoch in epochs), values=values)


class SearchPoints:
    """The points of a search, one for each finished trial, with its choices.

    `front/hypervolume` is the share that the front dominates of the rectangle from accuracy 0 at
    twice the target's cost to accuracy 1 at no cost. The clock counts the seconds of trainings,
    one after the other.
    """

    def __init__(self, goal: Objective) -> None:
        self._goal = goal
        self._standings = Standings(goal)
        self._front: Front[int] = Front(("maximize", "minimize"))
        self._seconds = 0.0

    def of(self, trial: Trial) -> Point | None:
        """That of the next step of the search; None unless it is a finished trial."""
        told = trial.measured
        if told and trial.trained:
            self._seconds += told.seconds
        if trial.status != "finished" or trial.score is None:
            return None
        self._standings.add(trial)
        share, price = trial.score.judged, self._goal.cost(trial.architecture)
        self._front.add((share, price), trial.number)
        leader = self._standings.best()
        assert leader is not None
        assert leader.score is not None
        return Point(
            step=trial.number,
            seconds=self._seconds,
            values={
                f"{TRIAL}{self._goal.quality.label}": share,
                f"{TRIAL}{self._price}": price,
                f"{TRIAL}reward": self._goal.worth(share, trial.architecture),
                f"best/{self._goal.quality.label}": leader.score.judged,
                f"best/{self._price}": self._goal.cost(leader.architecture),
                "front/hypervolume": self._hypervolume(),
            },
            choices=trial.params,
        )

    @property
    def _price(self) -> str:
        return self._goal.measure.noun

    def _hypervolume(self) -> float:
        worst = 2 * self._goal.target
        return hypervolume(self._front.points, (0.0, worst), ("maximize", "minimize")) / worst


class TrackedTrainings:
    """Tells trackers of the trainings of a grid or a check, as their journal has them.

    Args:
        journal: with those of earlier calls.
        quality: what they are judged by.
        choices: what was chosen for the training of a key.
    """

    def __init__(
        self,
        tracking: Tracking,
        journal: Journal,
        quality: Quality,
        choices: Callable[[str], Mapping[str, object]],
    ) -> None:
        self._tracking, self._quality, self._choices = tracking, quality, choices
        self._number, self._seconds = 0, 0.0
        if tracking:
            earlier = map(self._point, outcomes_from_journal(journal))
            tracking.begin([point for point in earlier if point])

    def add(self, outcome: Outcome) -> None:
        """One more that the journal has; a failure is not told."""
        if self._tracking and (point := self._point(outcome)):
            self._tracking.add(point)

    def _point(self, outcome: Outcome) -> Point | None:
        score = outcome.score
        if score is None:
            return None
        self._number, self._seconds = self._number + 1, self._seconds + score.seconds
        return Point(
            step=self._number - 1,
            seconds=self._seconds,
            values={
                f"{TRIAL}{self._quality.label}": score.judged,
                f"{TRIAL}multiply-adds": score.macs,
            },
            choices=self._choices(outcome.key),
        )
