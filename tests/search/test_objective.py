from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.errors import InvalidSetting
from autoscale.search.objective import Objective, Reward, Score

scores = st.builds(
    Score,
    accuracy=st.floats(0.01, 1),
    macs=st.integers(10**5, 10**9),
    params=st.just(1),
    activations=st.just(1),
)


@given(scores, scores, st.integers(10**5, 10**9), st.integers(10**5, 10**9))
def test_the_target_of_a_soft_reward_changes_no_comparison(
    one: Score, other: Score, target: int, another: int
) -> None:
    def ratio(reward: Reward) -> float:
        return reward(one) / reward(other)

    assert ratio(Reward.soft(target)) == pytest.approx(ratio(Reward.soft(another)))
    assert Reward.soft(target).ignores_target


@given(scores, st.integers(10**5, 10**9))
def test_the_hard_reward_is_accuracy_up_to_the_target_and_falls_beyond_it(
    score: Score, target: int
) -> None:
    reward = Reward.hard(target)(score)
    if score.macs <= target:
        assert reward == score.accuracy
    else:
        assert reward == pytest.approx(score.accuracy * target / score.macs)


def test_the_papers_exponent_pays_five_percent_for_a_doubling() -> None:
    score = Score(accuracy=0.7, macs=100, params=0, activations=0)
    reward = Reward.soft(100)
    doubled = replace(score, macs=200)
    # Tan et al. 2019, section 3: a doubling should buy about 5 % of relative accuracy.
    assert reward(score) / reward(doubled) == pytest.approx(1.05, abs=0.001)


def test_a_front_has_two_values_and_a_reward_one() -> None:
    score = Score(accuracy=0.7, macs=100, params=0, activations=0)
    front = Objective(kind="front", target=100)
    assert front.values(score) == (0.7, 100.0)
    assert front.directions == ("maximize", "minimize")
    assert Objective(kind="hard", target=50).values(score) == (0.35,)
    assert Objective(kind="soft", target=50, w=-1).values(score) == (0.35,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "best"}, "choose from hard, soft, front"),
        ({"target": 0}, "above 0"),
        ({"kind": "soft", "w": 0.1}, "reward cost"),
        ({"kind": "soft", "w": float("nan")}, "w must lie in -100..0, got nan"),
        ({"kind": "soft", "w": -1e9}, "w must lie in -100..0"),
    ],
)
def test_a_wrong_objective_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        Objective(**{"kind": "hard", "target": 10, **wrong})  # type: ignore[arg-type]
