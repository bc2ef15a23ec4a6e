"""The default sampler: train what is expected to improve the recommendation most."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Design, Designs, Point, neighbours
from autoscale.search.goals import BestFront, Goal, goal_of, guesses_of
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, Known
from autoscale.search.predictor import Learnt, Predictor
from autoscale.search.samplers.base import DesignSampler, every_network

_WALKED = 512  # points up to which every network is a candidate
_PARENTS = 24
_CHILDREN = 96  # in each of two rounds
_STRANGERS = 32
_FINALISTS = 96  # candidates whose gain is computed
_KEPT = 40  # trained designs that are recommended now, among whom the gain is measured
_HOPE = 1.5  # standard deviations above the middle that a promising design may hope for


class GuidedSampler(DesignSampler):
    """A few designs spread over the costs, then by expected gain under a Gaussian process.

    The process predicts what has to be measured (`predictor`), with what is known taken as known
    (`goals`); the gain is that of the knowledge gradient (`acquisition`). Candidates are children
    of promising designs and strangers, so spaces need not be small enough to enumerate. A design
    that was trained is a candidate too: in noise a second look may gain most.

    Sources: White et al. 2021 (BANANAS) for prediction and mutation of candidates; Frazier et al.
    2009 for the gain; Jones et al. 1998 for designs that fill space first.

    Args:
        startup: designs before the model is asked; by default 5, or a fifth of the number of
            choices if that is more.
        repeats: whether a network may be proposed again to beat noise.
    """

    asks_for_repeats = True

    def __init__(
        self,
        *,
        seed: int,
        space: SearchSpace | None = None,
        known: Known = NOTHING,
        identify: Callable[[Design], Hashable] | None = None,
        startup: int | None = None,
        repeats: bool = True,
    ) -> None:
        if startup is not None and startup < 1:
            raise InvalidSetting(f"startup must be at least 1, got {startup}")
        super().__init__(seed=seed, space=space, known=known, identify=identify)
        self.asks_for_repeats = repeats
        self._startup = startup
        self._predictor: Predictor | None = None
        self._plan: tuple[Designs, list[Point]] | None = None

    def choose(self, history: History, rng: np.random.Generator, number: int) -> Point:
        designs = history.designs
        if len(history.tried) - len(history.broken) < self._first(designs) or not len(history):
            planned = iter(self._planned(designs, goal_of(history.signs, self._known, rng)))
            return self.unseen(history, lambda _: next(planned, None) or designs.random(rng), rng)
        goal = goal_of(history.signs, self._known, rng)
        if self._predictor is None or self._predictor.designs is not designs:
            self._predictor = Predictor(designs)
        scores = goal.scores(history)
        guesses = guesses_of(history, goal, scores)
        learnt = self._predictor.learn(history.points, scores, history.running, guesses)
        pool = Pool(learnt, goal, lambda point: self.keeps_limits(designs, point), history.barred)
        pool.add_trained(history)
        kept = pool.recommended(_KEPT)
        if designs.size <= _WALKED:
            pool.add(every_network(designs))
        else:
            pool.add(designs.random(rng) for _ in range(_STRANGERS))
            for _ in range(2):
                pool.add(children(designs, pool.best(_PARENTS), _CHILDREN, rng))
        points = list(dict.fromkeys(kept + pool.best(_FINALISTS)))[:_FINALISTS]
        return self._most_gainful(points, history, learnt, pool.goal, rng)

    def _most_gainful(
        self,
        points: list[Point],
        history: History,
        learnt: Learnt,
        goal: Goal,
        rng: np.random.Generator,
    ) -> Point:
        designs = history.designs
        tried = np.array([designs.identity(point) in history.tried for point in points], dtype=bool)
        if not points or (tried.all() and not self.asks_for_repeats):
            return self.unseen(history, lambda _: designs.random(rng), rng)
        owned = np.array([designs.identity(point) in history.scored for point in points])
        gain = goal.gain(learnt, learnt.believe(points), points, owned)
        if not self.asks_for_repeats:
            gain[tried] = -np.inf
        return points[int(np.argmax(gain))]

    def _first(self, designs: Designs) -> int:
        return self._startup or max(5, len(designs.axes) // 5)

    def _planned(self, designs: Designs, goal: Goal) -> list[Point]:
        if self._plan is None or self._plan[0] is not designs:
            rng = np.random.default_rng(self._seed)
            plan = self._spread(designs, rng)
            if isinstance(goal, BestFront):
                # One end of the front is known before any training: the cheapest design.
                plan = [self._cheapest(designs, goal, plan), *plan]
            self._plan = (designs, plan[: self._first(designs)])
        return self._plan[1]

    def _cheapest(self, designs: Designs, goal: BestFront, starts: list[Point]) -> Point:
        """The cheapest design within the limits that single changes lead to."""
        best = min(starts, key=lambda point: goal.costs(designs, [point])[0])
        while True:
            near = [p for p in neighbours(designs, best) if self.keeps_limits(designs, p)]
            costs = goal.costs(designs, [best, *near])
            if costs.argmin() == 0:
                return best
            best = near[int(costs.argmin()) - 1]

    def _spread(self, designs: Designs, rng: np.random.Generator) -> list[Point]:
        """Designs of evenly spread costs, each unlike those before it.

        The sample is wider than a random one: random walks up and down the costs are part of it,
        because sums of many random choices crowd around the middle.
        """
        count = self._first(designs)
        sample = [self.within_limits(designs, rng) for _ in range(16 * count)]
        for start in sample[: 2 * count]:
            point, up = start, rng.random() < 0.5
            for _ in range(2 * len(designs.axes)):
                step = designs.mutated(point, rng)
                if (_size(designs, step) > _size(designs, point)) == up and self.keeps_limits(
                    designs, step
                ):
                    point = step
                    sample.append(point)
        sizes = np.array([_size(designs, point) for point in sample])
        low, high = np.quantile(sizes, [0.05, 0.95])
        chosen: list[Point] = []
        for target in rng.permutation(np.linspace(low, high, count)):
            near = [sample[i] for i in np.argsort(np.abs(sizes - target), kind="stable")[:16]]
            agreement = designs.codes(near) @ designs.codes(chosen).T
            alike = agreement.max(axis=1, initial=0.0)
            chosen.append(near[int(np.argmin(alike))])
        return chosen


class Pool:
    """Candidates, each network once, and what is believed of them."""

    def __init__(
        self,
        learnt: Learnt,
        goal: Goal,
        allowed: Callable[[Point], bool],
        barred: Iterable[int],
    ) -> None:
        self.goal = goal
        self._learnt = learnt
        self._designs = learnt.predictor.designs
        self._allowed = allowed
        self._seen = set(barred)
        self._points: list[Point] = []
        self._expected = np.zeros(0)
        self._merit = np.zeros(0)

    def add(self, points: Iterable[Point]) -> None:
        new = []
        for point in points:
            identity = self._designs.identity(point)
            if identity not in self._seen and self._allowed(point):
                self._seen.add(identity)
                new.append(point)
        if new:
            belief = self._learnt.believe(new)
            self._append(new, belief.mean, belief.variance)

    def add_trained(self, history: History) -> None:
        """Add what has been trained; a front's goal is then told where the front must be."""
        points, mean, variance = self._learnt.of_trained()
        if isinstance(self.goal, BestFront):
            expected = self._learnt.expected(mean, variance)
            self.goal = self.goal.with_stairs(history, points, expected)
        rows = [i for i, point in enumerate(points) if self._allowed(point)]
        self._seen.update(self._designs.identity(points[i]) for i in rows)
        self._append([points[i] for i in rows], mean[rows], variance[rows])

    def _append(self, points: list[Point], mean: np.ndarray, variance: np.ndarray) -> None:
        hope = self._learnt.hoped(mean, variance, _HOPE)
        self._points += points
        self._expected = np.append(self._expected, self._learnt.expected(mean, variance))
        self._merit = np.append(self._merit, self.goal.merit(self._designs, points, hope))

    def best(self, count: int) -> list[Point]:
        """The `count` that may hope for most, the best first."""
        return [self._points[i] for i in np.argsort(-self._merit, kind="stable")[:count]]

    def recommended(self, count: int) -> list[Point]:
        """Those that would be recommended if these were all designs: the best, or a front thinned
        out to `count`."""
        rows = self.goal.recommended(self._designs, self._points, self._expected)
        if isinstance(self.goal, BestFront) and len(rows) > count:
            rows = [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
        return [self._points[i] for i in rows[:count]]


def children(
    designs: Designs, parents: Sequence[Point], count: int, rng: np.random.Generator
) -> list[Point]:
    """Mutants of `parents` in turn: mostly one new choice, sometimes two or three."""
    if not parents:
        return []
    changes = 1 + np.searchsorted([0.7, 0.9], rng.random(count))
    return [
        designs.mutated(parents[number % len(parents)], rng, int(changes[number]))
        for number in range(count)
    ]


def _size(designs: Designs, point: Point) -> float:
    features = designs.describe(point).features
    return features[0] if designs.space is not None else float(np.sum(features))
