"""What guides the search: the warp, the gain of a training, known costs, the recommendation."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Designs
from autoscale.search.knowledge import KnownCosts, accuracies
from autoscale.search.model.acquisition import gain_of_best, gain_of_front
from autoscale.search.model.predictor import CEILINGS, Predictor, Warp
from autoscale.search.model.recommend import recommend
from autoscale.search.pareto import hypervolume
from autoscale.search.samplers import make_sampler

SPACES = Path(__file__).parents[2] / "search_spaces"
TINY = SearchSpace.from_yaml((SPACES / "tiny.yaml").read_text())
MACRO = SearchSpace.from_yaml((SPACES / "nas-bench-macro.yaml").read_text())


def macs(architecture):
    return float(cost(architecture).macs)


def learnt_from(count=25, seed=0, noise=0.1):
    designs = Designs.of_space(MACRO)
    rng = np.random.default_rng(seed)
    points = [designs.random(rng) for _ in range(count)]
    scores = [
        60 + 2 * np.log(macs(MACRO.architecture_at(p))) + rng.normal(0, noise) for p in points
    ]
    return Predictor(designs).learn(points, np.array(scores)), points, designs, rng


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.sampled_from(CEILINGS))
def test_the_warp_keeps_order_and_comes_back(scores, distance):
    array = np.array(scores)
    warp = Warp.of(array, distance)
    warped = warp.forward(array)
    assert np.all(np.diff(warped[np.argsort(array, kind="stable")]) >= -1e-9)
    np.testing.assert_allclose(warp.backward(warped), array, atol=1e-6 + 1e-9 * np.ptp(array))


def test_learning_is_a_function_of_the_trials_alone():
    learnt, points, designs, _ = learnt_from()
    scores = learnt.warp.backward(learnt.posterior.scores.mean)
    fresh = Predictor(Designs.of_space(MACRO)).learn(list(learnt.trained), scores)
    one, other = learnt.predict(points), fresh.predict(points)
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    assert designs.size == 6561


def test_a_running_trial_keeps_the_mean_and_takes_the_doubt():
    designs = Designs.of_space(MACRO)
    _, points, _, rng = learnt_from()
    scores = np.array([macs(MACRO.architecture_at(p)) for p in points]) / 1e7
    running = [designs.random(rng)]
    predictor = Predictor(designs)
    free = predictor.learn(points, scores).predict(running)
    taken = predictor.learn(points, scores, running).predict(running)
    np.testing.assert_allclose(taken.mean, free.mean, atol=1e-6)
    assert taken.variance[0] < free.variance[0]


def test_the_gain_of_a_training_is_that_of_many_imagined_ones():
    learnt, _, designs, rng = learnt_from(noise=0.5)
    points = [designs.random(rng) for _ in range(12)]
    predicted = learnt.predict(points)
    gain = gain_of_best(learnt, predicted, lambda scores: scores)
    joint = predicted.covariance()
    draws = rng.standard_normal(20_000)
    for row in range(12):
        shift = joint[:, row] / np.sqrt(joint[row, row] + learnt.noise)
        left = np.maximum(predicted.variance - shift**2, 0)
        scores = learnt.warp.backward(
            predicted.mean[:, None] + np.outer(shift, draws), left[:, None]
        )
        best = scores.max(axis=0)
        assert gain[row] == pytest.approx(best.mean(), abs=6 * best.std() / np.sqrt(len(draws)))


def test_the_gain_of_a_front_is_the_area_it_will_have():
    learnt, _, designs, rng = learnt_from(noise=0.5)
    points = [designs.random(rng) for _ in range(8)]
    predicted = learnt.predict(points)
    costs = np.array([macs(MACRO.architecture_at(p)) for p in points])
    owned = np.array([True] * 5 + [False] * 3)
    corner = {"worst_score": 85.0, "worst_cost": float(costs.max() * 1.1)}
    gain = gain_of_front(learnt, predicted, costs, owned, **corner)
    joint = predicted.covariance()
    draws = rng.standard_normal(4000)
    for row in range(8):
        shift = joint[:, row] / np.sqrt(joint[row, row] + learnt.noise)
        left = np.maximum(predicted.variance - shift**2, 0)
        areas = []
        for draw in draws:
            scores = learnt.warp.backward(predicted.mean + shift * draw, left)
            mine = owned | (np.arange(8) == row)
            pairs = np.stack([costs[mine], scores[mine]], axis=1)
            reference = (corner["worst_cost"], corner["worst_score"])
            areas.append(hypervolume(pairs, reference, ("minimize", "maximize")))
        error = np.std(areas) / np.sqrt(len(draws))
        assert gain[row] == pytest.approx(np.mean(areas), abs=6 * error + 1e-6)


def test_an_accuracy_is_found_back_from_its_reward():
    def reward(accuracy, cost):
        return accuracy * (cost / 3e8) ** -0.07 - 2

    truth, costs = np.array([0.1, 0.55, 0.93, 71.0]), np.array([1e8, 3e8, 9e8, 2e7])
    np.testing.assert_allclose(accuracies(reward, reward(truth, costs), costs), truth, rtol=1e-9)


def test_a_reward_without_its_cost_is_refused():
    with pytest.raises(InvalidSetting, match="belong together"):
        KnownCosts(reward=lambda accuracy, cost: accuracy)


# Recommendation


def searched(directions=("maximize",), noise=0.3, trials=40, known=KnownCosts()):  # noqa: B008
    study = optuna.create_study(
        directions=list(directions),
        sampler=make_sampler("guided", seed=1, space=TINY, known=known),
    )
    rng = np.random.default_rng(0)
    for _ in range(trials):
        trial = study.ask()
        architecture = TINY.suggest(trial)
        accuracy = 80 + 3 * np.log(macs(architecture)) + rng.normal(0, noise)
        study.tell(trial, [accuracy, macs(architecture)][: len(directions)])
    return study


def test_one_lucky_trial_is_not_recommended():
    study = searched()
    ranked = sorted(TINY.enumerate(), key=macs, reverse=True)
    middling = next(a for a in ranked if 3 * np.log(macs(ranked[0]) / macs(a)) > 0.9)
    lucky = study.get_trials()[-1]
    lucky.params = TINY.params_of(middling)
    lucky.values = [study.best_value + 0.1]
    study.add_trial(lucky)
    assert TINY.from_params(study.best_trial.params) == middling
    (found,) = recommend(study.trials, study.directions, space=TINY)
    assert TINY.from_params(found.params) != middling
    assert found.trials
    assert found.deviations[0] > 0


def test_the_best_come_in_order():
    study = searched()
    found = recommend(study.trials, study.directions, space=TINY, count=5)
    values = [one.values[0] for one in found]
    assert len(found) == 5
    assert values == sorted(values, reverse=True)


def test_only_trained_designs_are_recommended():
    study = searched(trials=12)
    best = max(TINY.enumerate(), key=macs)
    trials = [t for t in study.trials if TINY.from_params(t.params) != best]
    (found,) = recommend(trials, study.directions, space=TINY)
    assert found.trials
    assert TINY.from_params(found.params) != best


def test_a_recommended_front_has_exact_costs_and_no_dominated_design():
    known = KnownCosts(values={1: macs})
    study = searched(("maximize", "minimize"), known=known)
    found = recommend(study.trials, study.directions, space=TINY, known=known)
    assert len(found) > 3
    for one in found:
        assert one.values[1] == macs(TINY.from_params(one.params))
        assert one.deviations[1] == 0
    accuracy = [one.values[0] for one in sorted(found, key=lambda one: one.values[1])]
    assert accuracy == sorted(accuracy)


def test_recommended_designs_keep_the_limits():
    limit = float(np.median([macs(a) for a in TINY.enumerate()]))
    study = searched()
    known = KnownCosts(limits=[lambda a: macs(a) - limit])
    (found,) = recommend(study.trials, study.directions, space=TINY, known=known)
    assert macs(TINY.from_params(found.params)) <= limit


def test_nothing_is_recommended_from_nothing():
    study = optuna.create_study(direction="maximize")
    with pytest.raises(InvalidSetting, match="no finished trial"):
        recommend(study.trials, study.directions, space=TINY)
