"""What TensorBoard shows of trainings and searches."""

from collections.abc import Sequence
from pathlib import Path

from autoscale.metrics.metric import Metric
from autoscale.runs.tensorboard import Curves, Point
from autoscale.search.engine import Standings, Trial
from autoscale.search.objective import Objective
from autoscale.search.pareto import Front, hypervolume
from autoscale.training.recipe import Recipe
from autoscale.training.state import Epoch


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


class SearchCurves:
    """The curves of a search over its finished trials, and a folder for the choices of each.

    `front/hypervolume` is the share that the front dominates of the rectangle from accuracy 0 at
    twice the target's cost to accuracy 1 at no cost. The clock counts the seconds of trainings,
    one after the other.

    Raises:
        InvalidSetting: if TensorBoard's package is not installed.
        StorageProblem: if the disk does not take them.
    """

    def __init__(self, folder: Path, goal: Objective, history: Sequence[Trial]) -> None:
        self._folder, self._goal = folder, goal
        self._standings = Standings(goal)
        self._front: Front[int] = Front(("maximize", "minimize"))
        self._seconds = 0.0
        drawn = [(trial, point) for trial in history if (point := self._point(trial))]
        self._curves = Curves(folder, [point for _, point in drawn])
        for trial, point in drawn:
            self._write_choices(trial, point)

    def add(self, trial: Trial) -> None:
        """One more step of the search."""
        if point := self._point(trial):
            self._curves.add(point)
            self._write_choices(trial, point)

    def _point(self, trial: Trial) -> Point | None:
        """The curves after the trial; None unless it is finished."""
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
                f"trial/{self._goal.quality.label}": share,
                f"trial/{self._price}": price,
                "trial/reward": self._goal.worth(share, trial.architecture),
                f"best/{self._goal.quality.label}": leader.score.judged,
                f"best/{self._price}": self._goal.cost(leader.architecture),
                "front/hypervolume": self._hypervolume(),
            },
        )

    @property
    def _price(self) -> str:
        return self._goal.measure.noun

    def _hypervolume(self) -> float:
        worst = 2 * self._goal.target
        return hypervolume(self._front.points, (0.0, worst), ("maximize", "minimize")) / worst

    def _write_choices(self, trial: Trial, point: Point) -> None:
        own = {name: v for name, v in point.values.items() if name.startswith("trial/")}
        Curves(
            self._folder / "trials" / f"{trial.number:05}",
            [Point(step=trial.number, seconds=point.seconds, values=own)],
            begun=self._curves.begun,
            choices=trial.params,
        )
