"""What `guided` makes of failures, pruned trials, ranges that change and costs told in batches."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import Trial, TrialState, create_trial

from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting
from autoscale.search.batched import Batched
from autoscale.search.designs import Designs
from autoscale.search.history import History, rungs_of
from autoscale.search.knowledge import KnownCosts
from autoscale.search.model.conditions import parameters
from autoscale.search.model.feasibility import Feasibility
from autoscale.search.objective import Reward
from autoscale.search.samplers import make_sampler
from autoscale.search.samplers.guided import GuidedSampler
from tests.search.test_samplers_contract import MACRO, TINY, macs, score

UP = [optuna.study.StudyDirection.MAXIMIZE]

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


# Failures


def beyond(trial: Trial) -> float:
    """Fails where it would be best."""
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    if x + y > 0.8:
        raise ValueError
    return x + y


def test_designs_near_failures_are_avoided_as_those_that_break_a_constraint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def successes() -> int:
        found = 0
        for seed in range(2):
            study = optuna.create_study(sampler=GuidedSampler(seed=seed), direction="maximize")
            study.optimize(beyond, n_trials=25, catch=(ValueError,))
            found += sum(trial.state is TrialState.COMPLETE for trial in study.trials)
        return found

    foreseen = successes()
    monkeypatch.setattr(Feasibility, "learn", lambda self, history: None)
    assert foreseen > 2 * successes()


def test_a_failure_is_foreseen_where_no_trial_was() -> None:
    ranges = {"x": FloatDistribution(0, 1)}
    good = [create_trial(params={"x": x}, distributions=ranges, value=x) for x in (0.1, 0.3, 0.4)]
    bad = [
        create_trial(params={"x": x}, distributions=ranges, state=TrialState.FAIL)
        for x in (0.65, 0.8, 0.95)
    ]
    trials = [*good, *bad]
    for number, trial in enumerate(trials):
        trial.number = number
    designs = Designs.of_trials(trials, UP)
    history = History.of(trials, UP, designs)
    chances = Feasibility(designs).learn(history)
    assert chances is not None
    low, high = np.exp(chances.of([designs.nearest({"x": x}) or () for x in (0.2, 0.9)]))
    assert low > 0.8
    assert high < 0.2
    assert Feasibility(designs).learn(History.of(good, UP, designs)) is None


# Pruned trials


def test_what_a_pruned_trial_reported_is_a_rung() -> None:
    told: dict[str, Any] = {"params": {}, "distributions": {}, "state": TrialState.PRUNED}
    reported = create_trial(**told, intermediate_values={0: 0.5, 2: float("nan"), 4: 0.7})
    assert rungs_of(reported, 1) == {"0": [0.5], "4": [0.7]}
    assert rungs_of(reported, 2) == {}
    ours = create_trial(**told, user_attrs={"rungs": {"1": [0.5, 3.0]}})
    assert rungs_of(ours, 2) == {"1": [0.5, 3.0]}
    for theirs in ("text", {"first": [1.0]}, {"1": 2.0}, {"1": ["a"]}, [1]):
        assert rungs_of(create_trial(**told, user_attrs={"rungs": theirs}), 1) == {}


def test_a_pruned_trial_tells_about_how_good_it_would_have_been() -> None:
    ranges = {"x": FloatDistribution(0, 1)}
    trials = [
        create_trial(
            params={"x": x}, distributions=ranges, value=x, intermediate_values={3: x - 0.5}
        )
        for x in (0.2, 0.4, 0.6)
    ]
    trials.append(
        create_trial(
            params={"x": 0.9},
            distributions=ranges,
            state=TrialState.PRUNED,
            intermediate_values={1: -3.0, 3: -1.0},
        )
    )
    for number, trial in enumerate(trials):
        trial.number = number
    history = History.of(trials, UP, Designs.of_trials(trials, UP))
    assert history.hints.gains.tolist() == [pytest.approx([-0.5])]
    assert history.failed == []


# Ranges


def trials_of(highs: Sequence[float]) -> list[optuna.trial.FrozenTrial]:
    found = []
    for number, high in enumerate(highs):
        ranges = {"x": FloatDistribution(0, high)}
        trial = create_trial(params={"x": high}, distributions=ranges, value=1.0)
        trial.number = number
        found.append(trial)
    return found


def test_a_range_that_was_changed_for_good_is_what_it_is_now() -> None:
    wider = trials_of([1, 1, 1, 4])
    assert parameters(wider) == ({"x": FloatDistribution(0, 4)}, [])
    narrower = trials_of([4, 4, 1, 1, 1])
    assert parameters(narrower) == ({"x": FloatDistribution(0, 1)}, [])
    designs = Designs.of_trials(narrower, UP)
    history = History.of(narrower, UP, designs)
    assert history.numbers == [2, 3, 4]  # the others lie outside


@pytest.mark.parametrize("highs", [[1, 4, 1, 1, 1], [1, 2, 3, 4, 5], [1, 2, 3, 3, 3]])
def test_a_range_that_comes_and_goes_is_none(highs: Sequence[float]) -> None:
    assert parameters(trials_of(highs)) == ({}, ["x"])


def test_a_range_that_was_widened_is_searched_and_not_left_to_chance() -> None:
    def objective(trial: Trial) -> float:
        wide = 1 if trial.number < 8 else 4
        return -((trial.suggest_float("x", -wide, wide) - 2.7) ** 2)

    study = optuna.create_study(sampler=GuidedSampler(seed=0), direction="maximize")
    study.optimize(objective, n_trials=24)
    assert study.best_value > -0.01


# What is not modelled is said


def test_a_range_that_differs_from_trial_to_trial_is_said_once() -> None:
    def objective(trial: Trial) -> float:
        return float(trial.suggest_int("low", 1, trial.suggest_int("high", 1, 5)))

    study = optuna.create_study(sampler=GuidedSampler(seed=0), direction="maximize")
    with pytest.warns(UserWarning, match="range of low differs") as told:
        study.optimize(objective, n_trials=15)
    assert len(told) == 1


@pytest.mark.filterwarnings("ignore:the range of x differs")
def test_what_can_be_modelled_beside_such_a_range_is_searched() -> None:
    def objective(trial: Trial) -> float:
        depth = trial.suggest_int("depth", 1, 6)
        return -abs(depth - 5) - trial.suggest_int("x", 1, 10 * depth) / 60

    study = optuna.create_study(sampler=GuidedSampler(seed=0), direction="maximize")
    study.optimize(objective, n_trials=25)
    assert len({trial.params["depth"] for trial in study.trials}) >= 4
    assert study.best_params["depth"] == 5
    assert sum(trial.params["depth"] == 5 for trial in study.trials) > 8


@pytest.mark.parametrize("objectives", [1, 3])
def test_known_values_that_are_not_used_are_said_once(objectives: int) -> None:
    known = KnownCosts(values={0: macs})
    sampler = make_sampler("guided", seed=0, space=TINY, known=known)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)

    def objective(trial: Trial) -> list[float]:
        return [macs(TINY.suggest(trial))] * objectives

    with pytest.warns(UserWarning, match="are not used") as told:
        study.optimize(objective, n_trials=8)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (KnownCosts(values={5: macs}), "objective 5, the study has 2"),
        (KnownCosts(views={2: ()}), "objective 2, the study has 2"),
        (KnownCosts(reward=Reward.hard(1e6).of, cost=macs), "a reward is one objective"),
    ],
)
def test_what_is_known_of_no_objective_is_refused(known: KnownCosts, message: str) -> None:
    sampler = make_sampler("guided", seed=0, space=TINY, known=known)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    with pytest.raises(InvalidSetting, match=message):
        TINY.suggest(study.ask())


# Costs in batches


class Counted:
    """A cost, of one design or of many, that keeps count of how it was asked."""

    def __init__(self, offset: float = 0.0) -> None:
        self.sizes: list[int] = []
        self._offset = offset

    def one(self, design: Any) -> float:
        return self.many([design])[0]

    def many(self, designs: Sequence[Any]) -> list[float]:
        self.sizes.append(len(designs))
        return [float(cost(design).macs) - self._offset for design in designs]


def searched(known: KnownCosts, directions: Sequence[str], told: Any) -> list[dict[str, Any]]:
    sampler = make_sampler("guided", seed=2, space=MACRO, known=known)
    study = optuna.create_study(sampler=sampler, directions=directions)
    study.optimize(lambda trial: told(MACRO.suggest(trial)), n_trials=8)
    return [trial.params for trial in study.trials]


CAP = macs(MACRO.sample(random.Random(0)))
REWARD = Reward.hard(CAP)


def pair(architecture: Any) -> list[float]:
    return [score(architecture), macs(architecture)]


def worth(architecture: Any) -> float:
    return float(REWARD.of(np.array(score(architecture)), np.array(macs(architecture))))


@pytest.mark.parametrize(
    ("known", "offset", "directions", "told"),
    [
        (lambda of: {"values": {1: of}}, 0.0, ["maximize", "minimize"], pair),
        (lambda of: {"limits": [of]}, CAP, ["maximize"], score),
        (lambda of: {"reward": REWARD.of, "cost": of}, 0.0, ["maximize"], worth),
    ],
    ids=["value", "limit", "cost of a reward"],
)
def test_costs_in_batches_lead_to_the_same_trials_as_one_by_one(
    known: Any, offset: float, directions: list[str], told: Any
) -> None:
    single, several = Counted(offset), Counted(offset)
    one_by_one = searched(KnownCosts(**known(single.one)), directions, told)
    batched = searched(KnownCosts(**known(Batched(several.many))), directions, told)
    assert batched == one_by_one
    assert max(several.sizes) > 20
    assert sum(several.sizes) == len(single.sizes)


def test_a_batch_that_answers_with_too_few_numbers_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="asked about 2 designs and answered with shape"):
        Batched(lambda designs: [1.0]).of([1, 2])
    assert Batched(lambda designs: [2.0 * d for d in designs])(3) == 6.0
