import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.cost import cost
from autoscale.design.measures.latency import LatencyTable
from autoscale.design.published import published
from autoscale.design.workload import workload
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
        return float(
            reward.of(np.array(one.accuracy), np.array(one.macs))
            / reward.of(np.array(other.accuracy), np.array(other.macs))
        )

    assert ratio(Reward.soft(target)) == pytest.approx(ratio(Reward.soft(another)))
    assert Reward.soft(target).ignores_target


@given(scores, st.integers(10**5, 10**9))
def test_the_hard_reward_is_accuracy_up_to_the_target_and_falls_beyond_it(
    score: Score, target: int
) -> None:
    reward = float(Reward.hard(target).of(np.array(score.accuracy), np.array(score.macs)))
    if score.macs <= target:
        assert reward == score.accuracy
    else:
        assert reward == pytest.approx(score.accuracy * target / score.macs)


def test_the_papers_exponent_pays_five_percent_for_a_doubling() -> None:
    once, twice = Reward.soft(100).of(np.array(0.7), np.array([100, 200]))
    # Tan et al. 2019, section 3: a doubling should buy about 5 % of relative accuracy.
    assert once / twice == pytest.approx(1.05, abs=0.001)


def test_a_front_has_two_values_and_a_reward_one() -> None:
    front = Objective(kind="front", target=100)
    assert front.values(0.7, 100) == (0.7, 100.0)
    assert front.directions == ("maximize", "minimize")
    assert Objective(kind="hard", target=50).values(0.7, 100) == (0.35,)
    assert Objective(kind="soft", target=50, w=-1).values(0.7, 100) == (0.35,)


def test_the_cost_is_multiply_adds_or_what_a_table_says_of_a_device() -> None:
    network = published("resnet-18")
    counted = Objective(kind="hard", target=1_000_000_000)
    assert counted.cost(network) == cost(network).macs
    assert counted.show(1.5e6) == "1.5M multiply-adds"
    rates = dict.fromkeys(workload(network), 0.0) | {("linear", "calls"): 4.0}
    table = LatencyTable(rates=rates, error=0.1, measurements=20)
    timed = Objective(kind="hard", target=2.0, measure=table)
    assert timed.cost(network) == pytest.approx(4.0)
    assert timed.worth(0.8, network) == pytest.approx(0.4)
    assert timed.show(2.0) == "2 ms"
    assert Objective.from_dict(json.loads(json.dumps(timed.to_dict()))) == timed
    assert Objective.from_dict(counted.to_dict()) == counted


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
