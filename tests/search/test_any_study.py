"""The contract of every sampler in any Optuna study; see `test_studies_of_others` for conditional
parameters and constraints. Adding a sampler adds nothing here."""

import copy
import math
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import PartialFixedSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from autoscale.search.samplers import SAMPLERS, make_sampler

NAMES = [name for name in SAMPLERS if name != "gp" or find_spec("scipy")]
SEVERAL = [name for name in NAMES if name != "controller"]  # those that take several objectives
TRIALS = 11  # the model, the second generation and the like have begun by then
UP = ["maximize"]
MIXED = ["maximize", "minimize"]
Objective = Callable[[Trial], Any]

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:Choices for a categorical"),
]
every = pytest.mark.parametrize("name", NAMES)


def study_of(name: str, directions: list[str] = UP, seed: int = 1, **options: Any) -> optuna.Study:
    sampler = make_sampler(name, seed=seed)
    return optuna.create_study(sampler=sampler, directions=directions, **options)


def asked(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def usual(trial: Trial) -> float:
    """A float, a wide integer and a category."""
    worth = -abs(trial.suggest_float("x", 0, 1) - 0.3) - trial.suggest_int("k", 0, 90) / 90
    return worth + (trial.suggest_categorical("c", ["a", "b"]) == "b")


def front(trial: Trial) -> tuple[float, float]:
    x = trial.suggest_float("x", 0, 10)
    return x, x + trial.suggest_int("k", 1, 100, log=True)


def three(trial: Trial) -> tuple[float, float, float]:
    x, cost = front(trial)
    trial.set_constraint("x", x - 5)
    return x, cost, -float(trial.params["k"])


def numbers(trial: Trial) -> float:
    """Steps, logarithms and ranges of one value, as far as Optuna has them."""
    worth = trial.suggest_float("step", 0, 0.9, step=0.3) + trial.suggest_int("odd", 1, 21, step=2)
    worth += math.log(trial.suggest_float("log", 1e-8, 1e8, log=True))
    worth += math.log(trial.suggest_int("int log", 1, 1 << 20, log=True))
    return worth + trial.suggest_int("wide", -(10**15), 10**15) / 1e15


def constant(trial: Trial) -> float:
    """One parameter that can change, among those that cannot."""
    trial.suggest_categorical("only", ["one"])
    return trial.suggest_int("three", 3, 3) * trial.suggest_float("x", 0, 1)


def choices(trial: Trial) -> float:
    """Choices that are equal to each other, none at all, and lists."""
    chosen = trial.suggest_categorical("any", [1, True, "1", None, (1, 2)])
    return float(chosen is None) + trial.suggest_int("k", 0, 20)


def nothing(trial: Trial) -> float:
    return float(trial.number)


def annotated(trial: Trial) -> float:
    """Attributes whose names and contents are the user's own."""
    trial.set_user_attr("rungs", {"first": 1} if trial.number % 2 else "none")
    trial.set_user_attr("status", [1])
    if trial.number % 4 == 3:
        trial.suggest_int("k", 0, 50)
        raise optuna.TrialPruned
    return float(trial.suggest_int("k", 0, 50))


def nan(trial: Trial) -> float:
    k = trial.suggest_int("k", 0, 60)
    return math.nan if k % 3 == 0 else float(k)


def infinite(trial: Trial) -> float:
    k = trial.suggest_int("k", 0, 60)
    return math.inf if k % 3 == 0 else -math.inf if k % 3 == 1 else float(k)


def broken(trial: Trial) -> float:
    if trial.suggest_int("k", 0, 60) % 3 == 0:
        raise ValueError
    return float(trial.params["k"])


def pruned(trial: Trial) -> float:
    """Reports that the pruner goes by, numbers that are none among them."""
    x = trial.suggest_float("x", -5, 5)
    for epoch in range(4):
        trial.report(math.nan if x > 4 and epoch else -(x**2) / (epoch + 1), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return -(x**2)


def moved(trial: Trial) -> float:
    """A range that is wider from the seventh trial on."""
    high = 1 if trial.number < 6 else 4
    return -abs(trial.suggest_float("x", 0, high) - 2) - trial.suggest_int("k", 0, 5)


OBJECTIVES = [numbers, constant, choices, nothing, annotated, nan, infinite, broken, pruned, moved]


@every
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.__name__)
def test_a_study_goes_on_to_its_end(name: str, objective: Objective) -> None:
    study = study_of(name)
    study.optimize(objective, n_trials=TRIALS, catch=(ValueError,))
    assert len(study.trials) == TRIALS
    for trial in study.trials:
        assert all(
            trial.distributions[parameter]._contains(
                trial.distributions[parameter].to_internal_repr(value)
            )
            for parameter, value in trial.params.items()
        )


@every
def test_one_seed_has_the_same_trials_and_another_has_others(name: str) -> None:
    studies = [study_of(name, seed=seed) for seed in (3, 3, 4)]
    for study in studies:
        study.optimize(usual, n_trials=TRIALS)
    one, other, third = map(asked, studies)
    assert one == other
    assert one != third


@every
def test_without_a_seed_there_is_another_one_each_time(name: str) -> None:
    if not hasattr(type(make_sampler(name, seed=0)), "choose"):
        pytest.skip("Optuna's own")
    kind = type(make_sampler(name, seed=0))
    studies = [optuna.create_study(sampler=kind(), directions=UP) for _ in range(2)]
    for study in studies:
        study.optimize(usual, n_trials=2)
    assert asked(studies[0]) != asked(studies[1])


@every
@pytest.mark.parametrize("directions", [UP, MIXED], ids=len)
def test_a_study_in_another_storage_goes_on_as_the_unbroken_one(
    name: str, directions: list[str], tmp_path: Path
) -> None:
    if len(directions) > 1 and name not in SEVERAL:
        pytest.skip("one objective only")
    objective = usual if len(directions) == 1 else front
    unbroken = study_of(name, directions)
    unbroken.optimize(objective, n_trials=TRIALS)

    def storage() -> JournalStorage:
        return JournalStorage(JournalFileBackend(str(tmp_path / "journal")))

    study_of(name, directions, study_name="a", storage=storage()).optimize(
        objective, n_trials=TRIALS - 3
    )
    sampler = make_sampler(name, seed=1)
    resumed = optuna.load_study(study_name="a", storage=storage(), sampler=sampler)
    resumed.optimize(objective, n_trials=3)
    assert asked(resumed) == asked(unbroken)


@every
def test_two_trials_at_once_end(name: str) -> None:
    study = study_of(name)
    study.optimize(usual, n_trials=TRIALS, n_jobs=2)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * TRIALS


@every
def test_what_is_enqueued_is_tried(name: str) -> None:
    study = study_of(name)
    whole = {"x": 0.123, "k": 45, "c": "b"}
    study.enqueue_trial(whole)
    study.enqueue_trial({"x": 0.5})
    study.optimize(usual, n_trials=12)
    study.enqueue_trial({"k": 33})
    study.optimize(usual, n_trials=2)
    assert study.trials[0].params == whole
    assert study.trials[1].params["x"] == 0.5
    assert study.trials[12].params["k"] == 33


@every
def test_fixed_parameters_stay_fixed(name: str) -> None:
    sampler = PartialFixedSampler({"c": "b"}, make_sampler(name, seed=1))
    study = optuna.create_study(sampler=sampler, directions=UP)
    study.optimize(usual, n_trials=13)
    assert {params["c"] for params in asked(study)} == {"b"}


@every
def test_trials_of_another_study_are_learnt_from_or_left_alone(name: str) -> None:
    other = optuna.create_study(sampler=RandomSampler(seed=0), directions=UP)
    other.optimize(usual, n_trials=8)
    other.optimize(lambda trial: trial.suggest_float("theirs", 0, 1), n_trials=2)
    study = study_of(name)
    study.add_trials(other.trials)
    study.optimize(usual, n_trials=6)
    assert len(study.trials) == 16


@every
def test_a_study_of_one_trial_at_a_time(name: str) -> None:
    study = study_of(name)
    for _ in range(12):
        study.optimize(usual, n_trials=1)
    assert len(study.trials) == 12


@every
def test_ask_and_tell_with_ranges_told_beforehand(name: str) -> None:
    study = study_of(name)
    ranges = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
    for _ in range(3):
        study.ask(ranges)  # never told
    for _ in range(12):
        trial = study.ask(ranges)
        study.tell(trial, trial.params["x"])
    assert all(trial.params.keys() == ranges.keys() for trial in study.trials)


@every
def test_a_sampler_can_be_copied_and_goes_on_in_another_study(name: str) -> None:
    study = study_of(name)
    study.optimize(usual, n_trials=TRIALS)
    copies = [copy.deepcopy(study.sampler), pickle.loads(pickle.dumps(study.sampler))]
    found = []
    for sampler in (make_sampler(name, seed=1), study.sampler, *copies):
        fresh = optuna.create_study(sampler=sampler, directions=UP)
        fresh.optimize(usual, n_trials=TRIALS)
        found.append(asked(fresh))
    assert found[1:] == found[:1] * 3


@pytest.mark.parametrize("name", SEVERAL)
def test_mixed_directions_and_three_objectives_with_constraints(name: str) -> None:
    for directions, objective in ((MIXED, front), (["maximize", "minimize", "maximize"], three)):
        study = study_of(name, directions)
        study.optimize(objective, n_trials=TRIALS)
        assert len(study.best_trials) > 0
        assert len(study.trials) == TRIALS


@every
@pytest.mark.parametrize(
    "changed",
    [
        lambda trial: trial.suggest_categorical("x", ["a", "b", "c"]) == "c",
        lambda trial: trial.suggest_float("x", 0, 1),
    ],
    ids=["choices", "kind"],
)
def test_what_optuna_forbids_to_change_is_refused_by_it(name: str, changed: Objective) -> None:
    study = study_of(name)
    study.optimize(lambda trial: trial.suggest_categorical("x", ["a", "b"]) == "b", n_trials=1)
    with pytest.raises(ValueError, match=r"does not support dynamic|different distribution kind"):
        study.optimize(changed, n_trials=1)
