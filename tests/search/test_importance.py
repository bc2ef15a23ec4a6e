"""Which choices told good networks from others, and what chance alone would say."""

from __future__ import annotations

import random

import pytest

from autoscale.design.space import SearchSpace
from autoscale.errors import NotEnoughTrials
from autoscale.search.engine import Trial
from autoscale.search.model.importance import importances
from autoscale.search.objective import Objective, Score

GOAL = Objective(kind="hard", target=10**9)


def trials(space: SearchSpace, accuracy: dict[object, float], *, count: int = 40) -> list[Trial]:
    """Random designs whose accuracy depends on `stage2.expand_ratio` alone, and on luck."""
    rng = random.Random(0)
    found = []
    for number in range(count):
        architecture = space.sample(rng)
        params = space.params_of(architecture)
        worth = accuracy[params["stage2.expand_ratio"]] + 0.01 * rng.random()
        score = Score(accuracy=worth, macs=1000, params=10, activations=10)
        found.append(
            Trial(number=number, status="finished", params=params, architecture=architecture,
                  score=score)
        )  # fmt: skip
    return found


def test_the_choice_that_decides_is_named_first_and_is_beyond_chance(tiny: SearchSpace) -> None:
    found = importances(trials(tiny, {2: 0.5, 4: 0.7}), tiny, GOAL)
    assert found[0].choice == "stage2.expand_ratio"
    assert found[0].share > 0.5
    assert found[0].beyond_chance
    assert sum(entry.share for entry in found) == pytest.approx(1)
    assert sorted(e.choice for e in found) == sorted(p.name for p in tiny.parameters)


def test_where_luck_alone_decides_few_choices_pass_what_chance_gives(tiny: SearchSpace) -> None:
    found = importances(trials(tiny, {2: 0.5, 4: 0.5}), tiny, GOAL)
    assert sum(entry.beyond_chance for entry in found) <= 1
    assert all(0 < entry.by_chance < 1 for entry in found)


def test_the_same_trials_give_the_same_answer(tiny: SearchSpace) -> None:
    held = trials(tiny, {2: 0.5, 4: 0.6}, count=12)
    assert importances(held, tiny, GOAL) == importances(held, tiny, GOAL)


def test_too_few_trials_or_equal_rewards_are_refused(tiny: SearchSpace) -> None:
    held = trials(tiny, {2: 0.5, 4: 0.6}, count=9)
    with pytest.raises(NotEnoughTrials, match="at least 10 scored trials, there are 9"):
        importances(held, tiny, GOAL)
    same = Score(accuracy=0.5, macs=1, params=1, activations=1)
    flat = [
        Trial(number=n, status="finished", params=t.params, architecture=t.architecture, score=same)
        for n, t in enumerate(trials(tiny, {2: 0.5, 4: 0.6}, count=12))
    ]
    with pytest.raises(NotEnoughTrials, match="same reward"):
        importances(flat, tiny, GOAL)
