"""Our samplers in Optuna studies of other people's: conditional parameters, constraints, ends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import Trial, TrialState, create_trial

from autoscale.errors import InvalidSetting
from autoscale.search.designs import Designs
from autoscale.search.history import History
from autoscale.search.model.conditions import ABSENT, Branch, expected, learn
from autoscale.search.model.feasibility import Feasibility
from autoscale.search.model.recommend import recommend
from autoscale.search.samplers import make_sampler

OURS = ("guided", "evolution", "controller")
ALWAYS_NEW = ("evolution", "controller")

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:the range of low differs"),
]


def study_of(
    name: str, objective: Callable[[Trial], Any], *, trials: int, seed: int = 1, **options: Any
) -> optuna.Study:
    directions = options.pop("directions", ["maximize"])
    study = optuna.create_study(sampler=make_sampler(name, seed=seed), directions=directions)
    study.optimize(objective, n_trials=trials, **options)
    return study


def designs(study: optuna.Study) -> list[tuple[tuple[str, Any], ...]]:
    return [tuple(sorted(trial.params.items())) for trial in study.trials]


def either(trial: Trial) -> float:
    """An integer of its own for each of two kinds: 20 designs, the best of them p 10."""
    if trial.suggest_categorical("kind", ["p", "q"]) == "p":
        return float(trial.suggest_int("a", 1, 10))
    return -abs(trial.suggest_int("b", 1, 10) - 3.0)


def mixed(trial: Trial) -> float:
    """Layers as many as another parameter says, options within options, floats, logarithms."""
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    layers = [
        trial.suggest_categorical(f"layer{n}", [None, True, "wide"])
        for n in range(trial.suggest_int("layers", 1, 4))
    ]
    worth = sum(layer == "wide" for layer in layers) - abs(np.log10(rate) + 1)
    if trial.suggest_categorical("momentum", [None, True, False]):
        worth += trial.suggest_float("beta", 0.0, 1.0, step=0.25)
    if len(layers) == 3:
        worth += trial.suggest_int("odd", 1, 9, step=2) / 9
    return float(worth)


def ranges(trial: Trial) -> float:
    """The range of one parameter depends on another."""
    high = trial.suggest_int("high", 1, 5)
    return float(high - trial.suggest_int("low", 1, high))


def shaky(trial: Trial) -> float:
    """Breaks before, after, or while it asks."""
    kind = trial.suggest_categorical("kind", ["p", "q", "r"])
    if kind == "r":
        raise optuna.TrialPruned
    value = trial.suggest_int(kind, 1, 5)
    if value == 2:
        raise optuna.TrialPruned
    return float(value)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("objective", [either, mixed, ranges])
def test_a_study_whose_trials_have_different_parameters_goes_on(
    name: str, objective: Callable[[Trial], float]
) -> None:
    study = study_of(name, objective, trials=40)
    finished = {trial.state for trial in study.trials}
    assert finished == {TrialState.COMPLETE}
    ended = objective is either and name in ALWAYS_NEW
    assert len(study.trials) == (20 if ended else 40)


@pytest.mark.parametrize("name", OURS)
def test_trials_that_break_among_conditions_do_no_harm(name: str) -> None:
    study = study_of(name, shaky, trials=25)
    assert {t.state for t in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert study.best_value >= 3


@pytest.mark.parametrize("name", ["guided"])
def test_conditional_parameters_are_searched_and_not_left_to_chance(name: str) -> None:
    found = [study_of(name, mixed, trials=30, seed=seed).best_value for seed in range(4)]
    drawn = [study_of("random", mixed, trials=30, seed=seed).best_value for seed in range(4)]
    assert np.mean(found) > np.mean(drawn)


@pytest.mark.parametrize("name", ALWAYS_NEW)
def test_no_conditional_design_is_tried_twice(name: str) -> None:
    tried = designs(study_of(name, either, trials=40))
    assert len(tried) == len(set(tried)) == 20
    several = designs(study_of(name, mixed, trials=40))
    assert len(several) == len(set(several))


@pytest.mark.parametrize("name", OURS)
def test_a_rebuilt_conditional_study_goes_on_as_the_unbroken_one(name: str) -> None:
    unbroken = study_of(name, mixed, trials=16)
    rebuilt = optuna.create_study(sampler=make_sampler(name, seed=1), direction="maximize")
    rebuilt.add_trials(unbroken.trials[:12])
    rebuilt.optimize(mixed, n_trials=4)
    assert designs(rebuilt) == designs(unbroken)


SMALL: list[tuple[Callable[[Trial], float], int]] = [
    (lambda trial: trial.suggest_int("x", 1, 7), 7),
    (lambda trial: trial.suggest_int("x", 0, 12, step=4), 4),
    (lambda trial: float(trial.suggest_categorical("x", [None, True]) is True), 2),
    (lambda trial: float(trial.suggest_categorical("x", [0, (1, 2), "0"]) == "0"), 3),
    (lambda trial: trial.suggest_float("x", 0.0, 1.0, step=0.25), 5),
    (lambda trial: trial.suggest_int("x", 1, 3) * trial.suggest_int("y", 2, 2), 3),
]


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
@pytest.mark.parametrize("name", ALWAYS_NEW)
@pytest.mark.parametrize(("objective", "size"), SMALL)
def test_a_study_ends_quietly_when_all_designs_have_been_tried(
    name: str, objective: Callable[[Trial], float], size: int
) -> None:
    study = study_of(name, objective, trials=40)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * size
    assert len({repr(design) for design in designs(study)}) == size


def test_guided_repeats_designs_of_a_small_study_to_beat_noise() -> None:
    rng = np.random.default_rng(0)
    study = study_of("guided", lambda t: t.suggest_int("x", 1, 3) + rng.normal(), trials=20)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 20


@pytest.mark.parametrize("name", OURS)
def test_asking_beyond_the_last_design_repeats_one(name: str) -> None:
    study = optuna.create_study(sampler=make_sampler(name, seed=1), direction="maximize")
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, trial.suggest_int("x", 1, 3))
    assert len(study.trials) == 6


@pytest.mark.parametrize("name", ALWAYS_NEW)
def test_numbers_between_the_levels_are_no_end(name: str) -> None:
    study = study_of(name, lambda trial: trial.suggest_float("x", 0.0, 1.0), trials=40)
    assert len(set(designs(study))) == 40


@pytest.mark.parametrize("name", OURS)
def test_trials_at_once_of_a_small_study_end_it_without_a_failure(name: str) -> None:
    study = study_of(name, either, trials=30, n_jobs=3)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


# Conditions


def test_a_tree_tells_which_parameters_a_design_has() -> None:
    # kind, size, and one of two that depends on the kind
    tried = [(0, 4, 1, ABSENT), (1, 3, ABSENT, 0), (0, 2, 2, ABSENT), (1, 0, ABSENT, 2)]
    tree = learn(tried, [False, True, True, True])
    assert isinstance(tree, Branch)
    assert tree.axis == 0
    assert expected(tree, (0, 3, 0, 0)) == (True, True, True, False)
    assert expected(tree, (1, 4, 0, 0)) == (True, True, False, True)


def test_a_tree_is_right_on_every_design_it_was_learnt_from() -> None:
    rng = np.random.default_rng(0)
    tried = []
    for _ in range(60):
        a, b, c, d = rng.integers(0, 3, 4).tolist()
        tried.append((a, b if a else ABSENT, c if a == 2 and b == 1 else ABSENT, d))
    tree = learn(tried, [False, True, False, True])
    for levels in tried:
        assert expected(tree, levels) == tuple(level != ABSENT for level in levels)


def test_a_level_that_no_trial_had_goes_where_the_nearest_goes() -> None:
    tried = [(0, ABSENT), (1, ABSENT), (8, 0), (9, 1)]
    tree = learn(tried, [True, True])
    assert expected(tree, (7, 0)) == (True, True)
    assert expected(tree, (2, 0)) == (True, False)


def test_a_parameter_that_came_later_is_one_from_then_on() -> None:
    assert expected(learn([(0, ABSENT), (1, ABSENT), (1, 2)], [True, True]), (1, 0)) == (True, True)


def test_absent_parameters_agree_with_each_other_alone() -> None:
    study = study_of("random", either, trials=12)
    found = Designs.of_trials(study.trials, study.directions)
    points = [p for trial in study.trials if (p := found.point_of_trial(trial))]
    agreement = found.codes(points) @ found.codes(points).T
    assert np.allclose(np.diag(agreement), 1.0)
    kinds = np.array([trial.params["kind"] for trial in study.trials])
    assert np.allclose(agreement[kinds == "p"][:, kinds == "q"], 0.0)


def test_what_is_recommended_of_a_conditional_study_is_a_whole_design() -> None:
    study = study_of("evolution", either, trials=20)
    (best,) = recommend(study.trials, study.directions)
    assert best.params.keys() == {"kind", "a"}


# Constraints


def capped(trial: Trial) -> float:
    """The best that keeps the cap is 5.9."""
    a, b = trial.suggest_int("a", 0, 30), trial.suggest_int("b", 0, 9)
    trial.set_constraint("cap", a - 5)
    return a + b / 10


def never(trial: Trial) -> float:
    trial.set_constraint("cap", 1.0)
    trial.set_constraint("worse", float("inf"))
    return trial.suggest_int("a", 0, 50) + float(trial.suggest_int("b", 0, 3))


def keeping(study: optuna.Study) -> list[float]:
    return [t.value for t in study.trials if t.value is not None and t.constraints["cap"] <= 0]


@pytest.mark.parametrize(("name", "share"), [("guided", 0.7), ("evolution", 0.2)])
def test_what_keeps_the_constraints_is_sought(name: str, share: float) -> None:
    kept = keeping(study_of(name, capped, trials=60))
    assert len(kept) >= share * 60
    assert max(kept) >= 4.5


def test_the_controller_learns_to_keep_the_constraints() -> None:
    kept = keeping(study_of("controller", capped, trials=120, seed=0))
    drawn = keeping(study_of("random", capped, trials=120, seed=0))
    assert len(kept) > len(drawn)


@pytest.mark.parametrize("name", OURS)
def test_constraints_that_nothing_keeps_do_no_harm(name: str) -> None:
    assert len(study_of(name, never, trials=25).trials) == 25


@pytest.mark.parametrize("name", ["guided", "evolution"])
def test_constraints_hold_on_a_front_too(name: str) -> None:
    def objective(trial: Trial) -> tuple[float, float]:
        a, b = trial.suggest_int("a", 0, 20), trial.suggest_int("b", 0, 20)
        trial.set_constraint("cap", a + b - 10)
        return a, b

    study = study_of(name, objective, trials=50, directions=["maximize", "maximize"])
    kept = [t for t in study.trials if t.constraints["cap"] <= 0]
    assert len(kept) > 0.14 * 50  # the share of all designs


def test_a_constraint_is_foreseen_where_no_trial_was() -> None:
    trials = [
        create_trial(
            params={"a": a},
            distributions={"a": optuna.distributions.IntDistribution(0, 30)},
            value=float(a),
            constraints={"cap": 1000.0 * (a - 15)},
        )
        for a in (0, 4, 9, 13, 18, 22, 26, 30)
    ]
    found = Designs.of_trials(trials, [optuna.study.StudyDirection.MAXIMIZE])
    history = History.of(trials, [optuna.study.StudyDirection.MAXIMIZE], found)
    chances = Feasibility(found).learn(history)
    assert chances is not None
    low, high = np.exp(chances.of([(2,), (28,)]))
    assert low > 0.9
    assert high < 0.1


def test_a_study_without_constraints_has_no_model_of_them() -> None:
    study = study_of("random", either, trials=5)
    found = Designs.of_trials(study.trials, study.directions)
    assert Feasibility(found).learn(History.of(study.trials, study.directions, found)) is None


def test_what_breaks_the_constraints_is_not_recommended() -> None:
    study = study_of("random", capped, trials=40)
    (best,) = recommend(study.trials, study.directions)
    assert best.params["a"] <= 5
    hopeless = study_of("random", never, trials=8)
    with pytest.raises(InvalidSetting, match="keeps the limits and constraints"):
        recommend(hopeless.trials, hopeless.directions)


@pytest.mark.parametrize("name", OURS)
def test_a_rebuilt_study_with_constraints_goes_on_as_the_unbroken_one(name: str) -> None:
    unbroken = study_of(name, capped, trials=20)
    rebuilt = optuna.create_study(sampler=make_sampler(name, seed=1), direction="maximize")
    rebuilt.add_trials(unbroken.trials[:15])
    rebuilt.optimize(capped, n_trials=5)
    assert designs(rebuilt) == designs(unbroken)


@pytest.mark.parametrize("name", OURS)
def test_scores_of_any_size_do_no_harm(name: str) -> None:
    study = study_of(name, lambda t: -t.suggest_float("x", 1e-300, 1e300, log=True), trials=24)
    assert len(study.trials) == 24


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, 1e9 / 7])
def test_equal_scores_of_any_size_do_no_harm(value: float) -> None:
    def objective(trial: Trial) -> float:
        trial.set_constraint("same", -value)
        return value + 0 * trial.suggest_int("a", 0, 20)

    assert len(study_of("guided", objective, trials=15).trials) == 15
