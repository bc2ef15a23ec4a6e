"""Functions drawn from a posterior, and the way uphill on one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from autoscale.design.space import SearchSpace
from autoscale.search.designs import Designs, neighbours
from autoscale.search.model.gaussian.amplitudes import PRIOR_MEAN, variances
from autoscale.search.model.gaussian.covariance import Inputs
from autoscale.search.model.gaussian.posterior import Posterior, Scores
from autoscale.search.model.gaussian.sampled_function import SampledFunction
from autoscale.search.samplers.ascent import ascend

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
    asked = replace(trained.joined(others), network=np.arange(9) + 100)
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
