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
from autoscale.search.model.acquisition import Costs, Stairs, gain_of_best, gain_of_front
from autoscale.search.model.explanation import CEILINGS, Warp
from autoscale.search.model.predictor import Predictor
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


def imagined(learnt, predicted, row, draws):
    """Mean scores of all designs after imagined trainings of one, shape (designs, draws)."""
    joint = predicted.covariance()
    shift = joint[:, row] / np.sqrt(joint[row, row] + learnt.noise)
    left = np.maximum(predicted.variance - shift**2, 0)
    return learnt.warp.backward(predicted.mean[:, None] + np.outer(shift, draws), left[:, None])


def worths(learnt, predicted, row, draws):
    """What one design may be worth."""
    return learnt.warp.backward(
        predicted.mean[row] + np.sqrt(predicted.variance[row]) * draws, np.zeros(len(draws))
    )


def test_the_gain_of_a_training_is_that_of_many_imagined_ones():
    learnt, _, designs, rng = learnt_from(noise=0.5)
    points = [designs.random(rng) for _ in range(12)]
    predicted = learnt.predict(points)
    gain = gain_of_best(learnt, predicted, lambda scores: scores)
    draws = rng.standard_normal(20_000)
    for row in range(12):
        best = imagined(learnt, predicted, row, draws).max(axis=0)
        error = best.std() / np.sqrt(len(draws))
        assert gain[row] == pytest.approx(best.mean(), abs=6 * error)


@pytest.mark.parametrize("deviation", [0.0, 2e5])
def test_the_gain_of_a_front_is_the_area_it_will_have(deviation):
    learnt, _, designs, rng = learnt_from(noise=0.5)
    points = [designs.random(rng) for _ in range(8)]
    predicted = learnt.predict(points)
    costs = np.array([macs(MACRO.architecture_at(p)) for p in points])
    owned = np.array([True] * 5 + [False] * 3)
    corner = {"worst_score": 85.0, "worst_cost": float(costs.max() * 1.1)}
    reference = (corner["worst_cost"], corner["worst_score"])
    believed = Costs(costs, np.where(owned, 0.0, deviation))
    gain = gain_of_front(learnt, predicted, believed, owned, **corner)
    expected = learnt.expected(predicted.mean, predicted.variance)

    def area(scores, costs):
        return hypervolume(np.stack([costs, scores], axis=1), reference, ("minimize", "maximize"))

    draws = rng.standard_normal(3000)
    for row in range(8):
        mine = owned | (np.arange(8) == row)
        after = imagined(learnt, predicted, row, draws)
        areas = [[area(scores[mine], costs[mine]) for scores in after.T]]
        if not owned[row]:
            known = worths(learnt, predicted, row, draws)
            paid = costs[row] + deviation * rng.standard_normal(len(draws))
            areas.append(
                [
                    area(np.append(expected[owned], worth), np.append(costs[owned], cost))
                    for worth, cost in zip(known, paid, strict=True)
                ]
            )
        wanted = max(areas, key=np.mean)
        error = np.std(wanted) / np.sqrt(len(draws))
        assert gain[row] == pytest.approx(np.mean(wanted), abs=6 * error + 1e-6)


numbers = st.floats(-3, 3).map(lambda x: round(x, 1))


@given(st.lists(st.tuples(numbers, numbers), max_size=6), numbers, numbers)
def test_what_a_design_adds_to_a_front_is_the_difference_of_two_areas(members, cost, score):
    costs, scores = np.array(members).reshape(-1, 2).T
    corner = {"worst_score": -2.0, "worst_cost": 2.0}

    def area(pairs):
        kept = [pair for pair in pairs if pair[0] <= 2 and pair[1] >= -2]
        return hypervolume(kept, (2.0, -2.0), ("minimize", "maximize")) if kept else 0.0

    stairs = Stairs.of(costs, scores, **corner)
    added = stairs.added(np.array([[score, score - 1]]), np.array([cost]))
    assert stairs.area() == pytest.approx(area(members))
    for place in (0, 1):
        more = area([*members, (cost, score - place)])
        assert added[0, place] == pytest.approx(more - area(members), abs=1e-9)


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
