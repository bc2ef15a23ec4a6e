"""The default sampler: train what is expected to improve the recommendation most."""

from collections.abc import Callable, Sequence

import numpy as np

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, SpaceExhausted
from autoscale.search.designs import Designs, Point, neighbours
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.model.conditions import ABSENT
from autoscale.search.model.feasibility import Feasibility
from autoscale.search.model.gaussian.sampled_function import SampledFunction
from autoscale.search.model.predictor import FittedModel, Predictor
from autoscale.search.model.targets import (
    AcquisitionTarget,
    Compromise,
    FrontObjective,
    PredictedCost,
    SingleObjective,
    front_of_known,
    imputed_scores_of,
)
from autoscale.search.samplers.ascent import ascend
from autoscale.search.samplers.base import DesignSampler, every_network
from autoscale.search.samplers.pool import Pool

_WALKED = 512  # points up to which every network is a candidate
_ROUNDS = 6
_PARENTS = 8  # of each round
_CHILDREN = 32
_MANY = 128  # trials from which there are half as many children, since predictions take longer
_STRANGERS = 32
_FINALISTS = 96  # candidates whose gain is computed
_STARTS = 16
_SAMPLED = 0.5  # of the trials for which little is to be gained, and of those from _MANY on
_LITTLE = 0.1  # gain, in standard deviations of noise


class GuidedSampler(DesignSampler):
    """A few designs spread over the costs, then by expected gain under a Gaussian process.

    The process predicts what has to be measured (`predictor`), with what is known taken as known
    (`targets`); the gain is that of `acquisition`. What others say of designs
    (`KnownCosts.views`) has a part in as many trials as it is probable that they agree with the
    scores. Candidates are children of promising designs and strangers, so spaces need not be small
    enough to enumerate. A design that was trained is a candidate too: in noise a second look may
    gain most. What a design gains counts by its chance to keep the constraints of the trials, and
    not to fail (`feasibility`), whatever the number of objectives.

    Gains are sure of what is believed: once the best are well known, nothing apart from them is
    expected to surpass them, and nothing is learnt of it. So of one objective that is no reward of
    known costs, every second trial whose gain is less than a tenth of a training's noise takes the
    best of one function that is drawn from the process instead (Thompson sampling), and from 128
    trials on every second one, whatever its gain.

    Of two objectives the gain is area under their front, whether one of them is known or both are
    measured; then each is predicted, and now one, now the other is taken for the cost. Three or
    more are mixed into one, at random for each trial (ParEGO), and what is known of them is not
    used.

    Sources: White et al. 2021 (BANANAS) for prediction and mutation of candidates; Frazier et al.
    2009 and Emmerich et al. 2006 for the gain; Jones et al. 1998 for designs that fill space first.

    Args:
        startup: designs before the model is asked; by default 5, or a fifth of the number of
            choices if that is more.
        repeats: whether a network may be proposed again to beat noise.
    """

    asks_for_repeats = True

    def __init__(
        self,
        *,
        seed: int | None = None,
        space: SearchSpace | None = None,
        known: KnownCosts = NOTHING,
        startup: int | None = None,
        repeats: bool = True,
    ) -> None:
        if startup is not None and startup < 1:
            raise InvalidSetting(f"startup must be at least 1, got {startup}")
        super().__init__(seed=seed, space=space, known=known)
        self.asks_for_repeats = repeats
        self._startup = startup
        self._predictors: dict[int | None, Predictor] = {}  # by the objective they learn
        self._feasibility: Feasibility | None = None
        self._plan: tuple[Designs, list[Point]] | None = None

    def choose(self, history: History, rng: np.random.Generator, number: int) -> Point:
        designs = history.designs
        self._require_use_of_known(len(history.signs))
        if _begun(history) < self._first(designs) or not len(history):
            plan = self._planned(designs, front_of_known(history.signs, self._known))
            planned = iter([p for p in plan if not _was_tried(history, p)])
            try:
                return self.unseen(
                    history, lambda _: next(planned, None) or designs.random(rng), rng
                )
            except SpaceExhausted:
                if designs.space is not None or not self.asks_for_repeats or not len(history):
                    raise
        goal, learnt = self._learnt(history, rng)
        if self._feasibility is None or self._feasibility.designs is not designs:
            self._feasibility = Feasibility(designs)
        chances = self._feasibility.learn(history)

        def allowed(points: Sequence[Point]) -> list[Point]:
            return self.keeping_limits(designs, points)

        def sampled() -> Point | None:
            found = best_of_sampled(learnt, goal, designs, allowed, rng)
            return None if found is None or designs.identity(found) in history.spent else found

        may_sample = (
            isinstance(goal, SingleObjective)
            and goal.known.reward is None
            and chances is None
            and designs.size > _WALKED
            and rng.random() < _SAMPLED
        )
        if may_sample and len(history) >= _MANY and (point := sampled()):
            return point
        pool = Pool(learnt, goal, allowed, history, chances)
        _fill(pool, designs, _CHILDREN if len(history) < _MANY else _CHILDREN // 2, rng)
        found = pool.most_gainful(_FINALISTS, repeats=self.asks_for_repeats)
        if found is None:
            return self.unseen(history, lambda _: designs.random(rng), rng)
        chosen, value = found
        little = may_sample and len(history) < _MANY and pool.in_noise(value) < _LITTLE
        return (sampled() if little else None) or chosen

    def _require_use_of_known(self, objectives: int) -> None:
        """Refuse what is known of objectives that there are not, and say what is not used.

        Raises:
            InvalidSetting: for a number of no objective, or a reward where there are several.
        """
        known = self._known
        if known.reward is not None and objectives > 1:
            raise InvalidSetting(
                f"a reward is one objective, the study has {objectives}; give values of those that "
                "are known instead"
            )
        if beyond := [n for n in (*known.values, *known.views) if not 0 <= n < objectives]:
            raise InvalidSetting(
                f"something is known of objective {beyond[0]}, the study has {objectives}, counted "
                "from 0"
            )
        if known.values and (objectives != 2 or len(known.values) != 1):
            self.warn_once(
                f"values known of {len(known.values)} of {objectives} objectives are not used: "
                "they are of fronts of two, one of which has to be measured"
            )
        if known.views and objectives > 2:
            self.warn_once(f"views are not used, since {objectives} objectives are mixed into one")

    def _learnt(
        self, history: History, rng: np.random.Generator
    ) -> tuple[AcquisitionTarget, FittedModel]:
        """What the study wants, and what has been learnt of the score that it is about.

        Of two objectives that have to be measured each has a model. Which is taken for the cost is
        drawn for each trial: candidates are sifted by what may be hoped of the other alone. Of
        three or more a random compromise is learnt.
        """
        signs = [float(sign) for sign in history.signs]
        known_front = front_of_known(history.signs, self._known)
        if known_front is not None:
            return known_front, self._learn(history, known_front, known_front.objective, rng)
        if len(signs) == 1:
            goal = SingleObjective(signs[0], self._known)
            return goal, self._learn(history, goal, 0, rng)
        if len(signs) == 2:
            goals = [SingleObjective(sign, objective=n) for n, sign in enumerate(signs)]
            pair = [self._learn(history, one, n, rng) for n, one in enumerate(goals)]
            cost = int(rng.integers(2))
            return FrontObjective(1 - cost, PredictedCost(pair[cost])), pair[1 - cost]
        compromise = Compromise(rng.dirichlet(np.ones(len(signs))))
        return compromise, self._learn(history, compromise, None, rng)

    def _learn(
        self,
        history: History,
        goal: AcquisitionTarget,
        objective: int | None,
        rng: np.random.Generator,
    ) -> FittedModel:
        predictor = self._predictors.get(objective)
        if predictor is None or predictor.designs is not history.designs:
            views = () if objective is None else self._known.views.get(objective, ())
            predictor = self._predictors[objective] = Predictor(history.designs, views)
        scores = goal.scores(history)
        guesses = imputed_scores_of(history, goal, scores)
        drawn = float(rng.random()) if predictor.views else 0.0
        return predictor.learn(history.points, scores, history.running, guesses, drawn)

    def _first(self, designs: Designs) -> int:
        return self._startup or max(5, len(designs.axes) // 5)

    def _planned(self, designs: Designs, goal: FrontObjective | None) -> list[Point]:
        if self._plan is None or self._plan[0] is not designs:
            rng = np.random.default_rng(self._seed)
            plan = self._spread(designs, rng)
            if goal is not None:
                # One end of the front is known before any training: the cheapest design.
                plan = [self._cheapest(designs, goal, plan), *plan]
            self._plan = (designs, plan[: self._first(designs)])
        return self._plan[1]

    def _cheapest(self, designs: Designs, goal: FrontObjective, starts: list[Point]) -> Point:
        """The cheapest design within the limits that single changes lead to."""
        best = min(starts, key=lambda point: goal.costs(designs, [point]).mean[0])
        while True:
            near = self.keeping_limits(designs, neighbours(designs, best))
            costs = goal.costs(designs, [best, *near]).mean
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


def _fill(pool: Pool, designs: Designs, count: int, rng: np.random.Generator) -> None:
    """Take candidates into `pool`: every network of a small space, else strangers and, in rounds,
    `count` children of the most promising."""
    if designs.size <= _WALKED:
        pool.add(every_network(designs))
        return
    pool.add(designs.all_random(_STRANGERS, rng))
    for _ in range(_ROUNDS):
        pool.add(children(designs, pool.best(_PARENTS), count, rng))


def best_of_sampled(
    learnt: FittedModel,
    goal: AcquisitionTarget,
    designs: Designs,
    allowed: Callable[[Sequence[Point]], list[Point]],
    rng: np.random.Generator,
) -> Point | None:
    """The best of a function drawn from what is believed, as far as an ascent from one of the
    foremost trained designs finds it; None if none of these is allowed (Thompson sampling)."""
    trained, mean, variance = learnt.of_trained()
    merits = goal.merit(learnt.expected(mean, variance), goal.costs(designs, trained))
    best = np.argsort(-merits, kind="stable")[:_STARTS]
    starts = allowed([trained[row] for row in best])
    if not starts:
        return None
    function = SampledFunction(learnt.posterior, rng)

    def merit(points: Sequence[Point]) -> np.ndarray:
        scores = learnt.warp.backward(function.at(learnt.predictor.inputs(points)))
        return goal.merit(scores, goal.costs(designs, points))

    return ascend(designs, starts[int(merit(starts).argmax())], merit, allowed, rng)


def _was_tried(history: History, point: Point) -> bool:
    """Whether a trial was of this design, or failed before it had asked for all of it."""
    parts = [ended for ended in history.failed + history.stopped if ABSENT in ended]
    return history.designs.identity(point) in history.tried or any(
        all(level in (ABSENT, own) for level, own in zip(part, point, strict=True))
        for part in parts
    )


def _begun(history: History) -> int:
    """Trials that count as the beginning of a search, before its model is asked."""
    if not history.designs.whole:
        return len(history)  # each is another design, whatever its point
    if history.designs.space is None:
        return len(history.tried)  # failures teach as well, see `feasibility`
    return len(history.tried) - len(history.broken)


def children(
    designs: Designs, parents: Sequence[Point], count: int, rng: np.random.Generator
) -> list[Point]:
    """Mutants of `parents` in turn: mostly one new choice, sometimes two or three."""
    if not parents:
        return []
    changes = 1 + np.searchsorted([0.7, 0.9], rng.random(count))
    chosen = [parents[number % len(parents)] for number in range(count)]
    return designs.all_mutated(chosen, rng, changes.tolist())


def _size(designs: Designs, point: Point) -> float:
    features = designs.describe(point).features
    return features[0] if designs.space is not None else float(np.sum(features))
