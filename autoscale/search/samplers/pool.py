"""What `guided` chooses from: candidates, what is predicted of them, what they would gain."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from autoscale.search.designs import Point
from autoscale.search.history import History
from autoscale.search.model.acquisition import Costs
from autoscale.search.model.feasibility import BROKEN, Chances
from autoscale.search.model.gaussian.posterior import Predictions
from autoscale.search.model.predictor import FittedModel
from autoscale.search.model.targets import AcquisitionTarget, FrontObjective

_KEPT = 40  # trained designs that are recommended now, among whom the gain is measured
_ADOPTABLE = np.log(0.5)  # chance to keep the constraints from which a trained design is wanted
_HOPE = 1.5  # standard deviations above the middle that a promising design may hope for


class Pool:
    """Candidates, each network once, and what is predicted of them; first what has been trained."""

    def __init__(
        self,
        learnt: FittedModel,
        goal: AcquisitionTarget,
        allowed: Callable[[Sequence[Point]], list[Point]],
        history: History,
        chances: Chances | None = None,
    ) -> None:
        self._learnt = learnt
        self._chances = chances
        self._designs = history.designs
        self._allowed = allowed
        self._history = history
        self._seen = set(history.barred)
        points, mean, variance = learnt.of_trained()
        costs = goal.costs(self._designs, points)
        if isinstance(goal, FrontObjective):
            # The trained ones tell where the front must be.
            known = chances.of_trained(points) if chances else np.zeros(len(points))
            expected = learnt.expected(mean, variance)
            goal = goal.with_stairs(history, costs.mean, expected, known >= _ADOPTABLE)
        self._goal = goal
        self._points: list[Point] = []
        self._costs = Costs.known(np.zeros(0))
        self._expected, self._merit = np.zeros(0), np.zeros(0)
        self._chance = np.zeros(0)  # logarithms
        kept = allowed(points)
        within = set(kept) if len(kept) < len(points) else points
        rows = [i for i, point in enumerate(points) if within is points or point in within]
        networks = learnt.posterior.inputs.network
        self._seen.update(networks[rows].tolist())
        trained = [points[i] for i in rows]
        chance = chances.of_trained(trained) if chances else np.zeros(len(rows))
        self._append(trained, costs[rows], mean[rows], variance[rows], chance)
        self._trained = len(rows)
        self._inputs = np.array(rows, dtype=int)  # the posterior's own that are candidates
        self._predicted: list[Predictions] = []  # of the candidates behind those, as they came

    def add(self, points: Iterable[Point]) -> None:
        found: dict[int, Point] = {}
        for point in points:
            found.setdefault(self._designs.identity(point), point)
        unseen = [point for identity, point in found.items() if identity not in self._seen]
        self._seen.update(found)
        new = self._allowed(unseen)
        if new:
            predicted = self._learnt.predict(new)
            costs = self._goal.costs(self._designs, new)
            chance = self._chances.of(new) if self._chances else np.zeros(len(new))
            self._append(new, costs, predicted.mean, predicted.variance, chance)
            self._predicted.append(predicted)

    def _append(
        self,
        points: list[Point],
        costs: Costs,
        mean: np.ndarray,
        variance: np.ndarray,
        chance: np.ndarray,
    ) -> None:
        hope = self._learnt.hoped(mean, variance, _HOPE)
        self._points += points
        self._costs = self._costs.joined(costs)
        self._expected = np.append(self._expected, self._learnt.expected(mean, variance))
        self._merit = np.append(self._merit, self._goal.merit(hope, costs))
        self._chance = np.append(self._chance, chance)

    def best(self, count: int) -> list[Point]:
        """The `count` that may hope for most, the best first."""
        return [self._points[row] for row in self._best(count)]

    def _best(self, count: int) -> list[int]:
        wanted = self._merit
        if self._chances:
            # Without a design that keeps the constraints, nothing counts but to find one.
            found = self._adoptable.any()
            low = self._merit[: self._trained].min(initial=np.inf)
            wanted = (self._merit - low) * np.exp(self._chance) if found else self._chance
        return np.argsort(-wanted, kind="stable")[:count].tolist()

    @property
    def _adoptable(self) -> np.ndarray:
        """Which of the trained ones keep the constraints."""
        return self._chance[: self._trained] >= _ADOPTABLE

    def _recommended(self, count: int) -> list[int]:
        """Those that would be recommended if the trained ones were all designs: the best, or a
        front thinned out to `count`."""
        own = np.flatnonzero(self._adoptable)
        rows = [int(own[i]) for i in self._goal.recommended(self._expected[own], self._costs[own])]
        if isinstance(self._goal, FrontObjective) and len(rows) > count:
            rows = [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
        return rows[:count]

    def most_gainful(self, finalists: int, *, repeats: bool) -> tuple[Point, float] | None:
        """The candidate whose training is expected to gain most, and the value that is expected
        after it; None if none is left.

        The gain is worked out for `finalists` of them only, among these those that would be
        recommended now: they are what there is to be surpassed.
        """
        rows = list(dict.fromkeys(self._recommended(_KEPT) + self._best(finalists)))[:finalists]
        identities = [self._designs.identity(self._points[row]) for row in rows]
        tried = np.array([identity in self._history.spent for identity in identities], dtype=bool)
        if not rows or (tried.all() and not repeats):
            return None
        owned = np.array([identity in self._history.scored for identity in identities])
        chance = self._chance[rows]
        if self._chances and not self._adoptable.any():
            gain = np.where(owned, -np.inf, chance)
        else:
            adoptable = owned & (chance >= _ADOPTABLE) if self._chances else None
            predicted = self._prediction(rows)
            gain = self._goal.gain(self._learnt, predicted, self._costs[rows], owned, adoptable)
            if self._chances:
                gain = (gain - gain.min()) * np.exp(chance)
                hopeless = chance <= BROKEN
                if not hopeless.all():
                    gain[hopeless] = -np.inf
        if not repeats:
            gain[tried] = -np.inf
        best = int(np.argmax(gain))
        return self._points[rows[best]], float(gain[best])

    def in_noise(self, value: float) -> float:
        """How far a value lies above that of the best trained design, by what one standard
        deviation of a training's noise adds to it; of one objective. Infinite if there is none."""
        if not self._trained:
            return np.inf
        best = self._recommended(1)[0]
        mean = self._learnt.posterior.at_inputs()[0][self._inputs[[best]]]
        noise = np.array([self._learnt.noise])
        scores = np.append(*[self._learnt.hoped(mean, noise, step) for step in (0.0, 1.0)])
        middle, raised = self._goal.merit(scores, self._costs[[best, best]])
        now = self._goal.merit(self._expected[[best]], self._costs[[best]])[0]
        return float((value - now) / max(raised - middle, 1e-12))

    def _prediction(self, rows: list[int]) -> Predictions:
        """What is predicted of some candidates; that of the new ones is known already."""
        old = [row for row in rows if row < self._trained]
        own = [self._learnt.posterior.at_own(self._inputs[old])] if old else []
        place = {row: i for i, row in enumerate(old)}
        behind = len(old) - self._trained
        chosen = np.array([place.get(row, row + behind) for row in rows])
        return Predictions.joined(own + self._predicted)[chosen]
