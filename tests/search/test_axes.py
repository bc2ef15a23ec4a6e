"""Numbers of an Optuna study, searched finely where the best trials are."""

from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, create_trial

from autoscale.search.designs import Designs
from autoscale.search.model.axes import Axis
from autoscale.search.model.leading import leaders, violation
from autoscale.search.samplers import make_sampler

UP = [StudyDirection.MAXIMIZE]
WIDE: list[BaseDistribution] = [
    IntDistribution(0, 1000),
    IntDistribution(-500, 10**12 - 4, step=7),
    IntDistribution(0, 2**62 - 1),
    IntDistribution(1, 10**6, log=True),
    FloatDistribution(-1.0, 3.0),
    FloatDistribution(1e-9, 1.0, log=True),
    FloatDistribution(0.1, 100.0, step=0.3),
]

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def trial_of(value: Any, score: Any = 1.0, **constraints: float) -> FrozenTrial:
    scores = score if isinstance(score, list) else [score]
    return create_trial(
        params={"a": value},
        distributions={"a": IntDistribution(0, 1000)},
        values=scores,
        constraints=constraints,
    )


@pytest.mark.parametrize("distribution", WIDE, ids=repr)
def test_levels_are_values_of_the_parameter_ascending(distribution: Any) -> None:
    axis = Axis.of("x", distribution)
    for value in (axis.levels[0], axis.levels[7], axis.levels[-1]):
        fine = axis.refined([value], [value])
        assert all(distribution._contains(level) for level in fine.levels)
        assert list(fine.levels) == sorted(set(fine.levels))
        assert set(axis.levels) <= set(fine.levels)
        assert fine.places is not None
        assert (np.diff(fine.places) > 0).all()
        assert (fine.places[0], fine.places[-1]) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize("distribution", WIDE, ids=repr)
def test_levels_come_ever_nearer_to_the_best(distribution: Any) -> None:
    axis = Axis.of("x", distribution)
    kept = [axis.levels[5]]
    for _ in range(5):
        fine = axis.refined(kept[:1], kept)
        kept = [fine.levels[fine.levels.index(kept[0]) + 1], *kept]
    nearest = min(np.diff(sorted(kept)))
    step = distribution.step or 0.0
    assert nearest <= max(1.001 * step, 1e-6 * (distribution.high - distribution.low))


def test_a_number_with_few_values_has_them_all_and_stays_as_it_is() -> None:
    axis = Axis.of("x", IntDistribution(0, 31))
    assert axis.refined([4], [4]) is axis
    nearly = Axis.of("x", IntDistribution(0, 40)).refined([20], list(range(41)))
    assert nearly.levels == tuple(range(41))
    assert not nearly.thinned


def test_two_levels_are_never_one_but_for_the_last_digits() -> None:
    axis = Axis.of("x", FloatDistribution(0.1, 0.7))
    kept = [0.1 + 0.6 * share for share in (1 / 31, 1.5 / 31, 2 / 31, 1 / 3)]
    levels = np.array(axis.refined(kept[:3], kept).levels)
    assert np.diff(levels).min() > 1e-12


def test_uneven_levels_agree_by_their_distance_and_are_drawn_by_the_room_they_take() -> None:
    trials = [trial_of(10 * n, float(-n)) for n in range(10)]
    found = Designs.of_trials(trials, UP)
    (axis,) = found.axes
    assert len(axis.levels) > 40
    ends = found.codes([(0,), (axis.levels.index(90),), (len(axis.levels) - 1,)])
    assert (ends @ ends[0]).tolist() == pytest.approx([1.0, 1 - 0.09, 0.0])
    rng = np.random.default_rng(0)
    drawn = [axis.levels[found.random(rng)[0]] for _ in range(400)]
    assert abs(np.mean(drawn) - 500) < 60


def several_kinds() -> list[Designs]:
    """Even choices, levels that lie unevenly, and choices that not every design has."""
    even = Designs.of_distributions({name: IntDistribution(0, 4) for name in "abc"})
    uneven = Designs.of_trials([trial_of(10 * n, float(-n)) for n in range(10)], UP)
    return [even, uneven, replace(even, tree=(True,) * 3)]


@pytest.mark.parametrize("designs", several_kinds(), ids=["even", "uneven", "conditional"])
def test_designs_drawn_together_are_those_drawn_one_after_the_other(designs: Designs) -> None:
    together, each = np.random.default_rng(0), np.random.default_rng(0)
    points = designs.all_random(40, together)
    assert points == [designs.random(each) for _ in range(40)]
    changes = [1, 2, 3, 4] * 10  # more than there are choices as well
    mutants = designs.all_mutated(points, together, changes)
    assert mutants == [designs.mutated(p, each, n) for p, n in zip(points, changes, strict=True)]
    assert together.random() == each.random()


def test_numbers_of_designs_are_those_of_the_designs_that_are_asked_about() -> None:
    designs = several_kinds()[0]
    points = designs.all_random(6, np.random.default_rng(0))
    for asked in (points[:3], points[3:], points[:3], points[:2]):
        found = designs.numbers(asked)
        assert found.identities.tolist() == [designs.identity(point) for point in asked]
        assert found.features.tolist() == [list(designs.describe(p).features) for p in asked]
        assert (found.codes == designs.codes(asked)).all()


def test_the_best_trials_keep_the_constraints_first() -> None:
    good = [trial_of(n, float(n), cap=-1.0) for n in range(4)]
    bad = [trial_of(900 + n, 1000.0 + n, cap=n + 1.0) for n in range(4)]
    found = leaders([*bad, *good], UP)
    assert [t.params["a"] for t in found] == [3, 2, 1, 0, 900, 901, 902, 903]
    assert violation(bad[2]) == 3.0


def test_the_ends_of_a_front_are_among_the_best_three() -> None:
    trials = [trial_of(n, [float(n), 20.0 - n]) for n in range(10)]
    found = leaders(trials, UP * 2)
    assert sorted(t.params["a"] for t in found[:3]) == [0, 4, 9]
    assert len(found) == 10


def test_few_trials_have_no_best() -> None:
    assert leaders([trial_of(n, float(n)) for n in range(7)], UP) == []


def narrow(trial: Trial) -> float:
    """A cap that one of 32 even levels keeps; the best that keeps it is 20.9."""
    a, b = trial.suggest_int("a", 0, 1000), trial.suggest_int("b", 0, 9)
    trial.set_constraint("cap", a - 20)
    return a + b / 10


def test_guided_finds_the_edge_of_a_narrow_constraint() -> None:
    study = optuna.create_study(sampler=make_sampler("guided", seed=0), direction="maximize")
    study.optimize(narrow, n_trials=40)
    kept = [t.value for t in study.trials if t.value is not None and t.constraints["cap"] <= 0]
    assert max(kept) >= 18


def test_guided_finds_a_float_between_even_levels() -> None:
    study = optuna.create_study(sampler=make_sampler("guided", seed=0))
    study.optimize(lambda t: (t.suggest_float("x", -5, 5) - 1.2345) ** 2, n_trials=25)
    assert abs(study.best_params["x"] - 1.2345) < 0.02
