"""Functions drawn from a posterior, and the way uphill on one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.search.designs import Designs, neighbours
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.model.gaussian.amplitudes import PRIOR_MEAN, variances
from autoscale.search.model.gaussian.covariance import Inputs
from autoscale.search.model.gaussian.posterior import Posterior, Scores
from autoscale.search.model.gaussian.sampled_function import SampledFunction
from autoscale.search.model.predictor import FittedModel, Predictor
from autoscale.search.model.targets import SingleObjective
from autoscale.search.samplers import guided
from autoscale.search.samplers.ascent import ascend
from autoscale.search.samplers.pool import Pool

MACRO = Path(__file__).parents[2] / "search_spaces" / "nas-bench-macro.yaml"


def inputs(count: int) -> Inputs:
    rng = np.random.default_rng(0)
    choices = rng.integers(0, 3, (count, 4))
    code = np.concatenate([np.eye(3)[choices[:, i]] for i in range(4)], axis=1) / 2
    views = rng.normal(size=(count, 2))
    return Inputs(code, rng.normal(size=(count, 2)), np.arange(count), views)


def test_functions_scatter_as_the_posterior_says() -> None:
    theta = np.append(PRIOR_MEAN + 0.2, -0.5)
    trained, others = inputs(9)[:5], inputs(9)[5:]
    scores = Scores(np.linspace(-1, 1, 5), np.array([1, 2, 1, 3, 1]), 0.0, np.full(5, 0.01))
    posterior = Posterior.of(theta, trained, scores)
    # What belongs to a network alone is left out, so the trained ones count as new networks here.
    asked = replace(Inputs.joined([trained, others]), network=np.arange(9) + 100)
    drawn = np.stack(
        [SampledFunction(posterior, np.random.default_rng(seed)).at(asked) for seed in range(4000)]
    )
    predicted = posterior.at(asked)
    expected = predicted.covariance()
    expected -= np.eye(9) * variances(theta)[4]
    np.testing.assert_allclose(drawn.mean(axis=0), predicted.mean, atol=0.08)
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.12)


def test_a_function_answers_the_same_however_it_is_asked() -> None:
    posterior = Posterior.of(
        PRIOR_MEAN, replace(inputs(4), views=None), Scores(np.arange(4.0), np.ones(4), 0.0)
    )
    function = SampledFunction(posterior, np.random.default_rng(1))
    asked = replace(inputs(9), views=None)
    alone = np.concatenate([function.at(asked[np.array([row])]) for row in range(9)])
    # Cosines are worked out with single precision.
    np.testing.assert_allclose(function.at(asked), alone, atol=1e-5)


def test_an_ascent_ends_where_no_single_change_leads_up() -> None:
    designs = Designs.of_space(SearchSpace.from_yaml(MACRO.read_text()))
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=size) for size in designs.sizes]

    def merit(points: Sequence[tuple[int, ...]]) -> np.ndarray:
        return np.array([sum(w[i] for w, i in zip(weights, p, strict=True)) for p in points])

    start = designs.random(rng)
    top = ascend(designs, start, merit, list, rng, rounds=20)
    assert merit([top])[0] >= merit(neighbours(designs, top)).max()
    even = ascend(designs, start, merit, lambda points: [p for p in points if p[0] == 1], rng)
    assert even[0] in (1, start[0])


def study_of(scores: np.ndarray, known: KnownCosts = NOTHING) -> tuple[SearchSpace, optuna.Study]:
    """A study of random networks with these scores."""
    space = SearchSpace.from_yaml(MACRO.read_text())
    designs = Designs.of_space(space)
    rng = np.random.default_rng(3)
    study = optuna.create_study(
        direction="maximize", sampler=guided.GuidedSampler(seed=0, space=space, known=known)
    )
    for score in scores:
        params = designs.params_of(designs.random(rng))
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params=params,
                distributions=designs.distributions,
                value=float(score),
            )
        )
    return space, study


def test_a_gain_is_measured_in_the_noise_of_the_best() -> None:
    space, study = study_of(np.random.default_rng(4).normal(size=30))
    designs = Designs.of_space(space)
    history = History.of(study.get_trials(deepcopy=False), study.directions, designs)
    learnt = Predictor(designs).learn(history.points, history.gains[:, 0])
    pool = Pool(learnt, SingleObjective(1.0), list, history)
    _, mean, variance = learnt.of_trained()
    expected = learnt.expected(mean, variance)
    best = int(expected.argmax())
    noise = learnt.hoped(mean, np.full(len(mean), learnt.noise), 1.0)[best]
    noise -= learnt.hoped(mean, variance, 0.0)[best]
    assert pool.in_noise(expected[best]) == pytest.approx(0.0)
    assert pool.in_noise(expected[best] + 0.3 * noise) == pytest.approx(0.3)
    assert pool.in_noise(expected[best] - noise) == pytest.approx(-1.0)
    assert Pool(learnt, SingleObjective(1.0), lambda _: [], history).in_noise(0.0) == np.inf


def test_limits_that_nothing_trained_keeps_are_kept_by_what_comes() -> None:
    scores = np.random.default_rng(6).normal(size=40)
    space, study = study_of(scores)
    cheapest = min(cost(space.from_params(trial.params)).macs for trial in study.trials)
    limit = KnownCosts(limits=(lambda architecture: cost(architecture).macs - cheapest + 1,))
    space, study = study_of(scores, limit)
    for _ in range(6):
        assert cost(space.suggest(study.ask())).macs < cheapest


def test_functions_are_drawn_where_little_is_to_be_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def count(learnt: FittedModel, *_: object) -> None:
        drawn.append(len(learnt.trained))

    monkeypatch.setattr(guided, "best_of_sampled", count)
    rng = np.random.default_rng(5)
    for number in range(2):
        # Scores that say nothing, and a few first ones between which everything is to be learnt.
        space, study = study_of(rng.normal(size=40) if number else np.linspace(0, 1, 6))
        for _ in range(8):
            trial = study.ask()
            space.suggest(trial)
            study.tell(trial, float(rng.normal()) if number else trial.number)
        assert bool(drawn) == bool(number)
