"""The Gaussian process against formulas written out another way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoscale.design.space import SearchSpace
from autoscale.search.designs import Designs
from autoscale.search.model.explanation import Warp
from autoscale.search.model.gaussian.amplitudes import PRIOR_MEAN, noise_variance
from autoscale.search.model.gaussian.covariance import Inputs, covariance
from autoscale.search.model.gaussian.evidence import Evidence, fit, minimise
from autoscale.search.model.gaussian.inverse_cholesky import CholeskyCache
from autoscale.search.model.gaussian.posterior import Posterior, Predictions, Scores
from autoscale.search.model.gaussian.stepwise import Stepwise
from autoscale.search.model.gaussian.triangles import lower_inverse, lower_product
from autoscale.search.model.predictor import Predictor

MACRO = SearchSpace.from_yaml(
    (Path(__file__).parents[2] / "search_spaces" / "nas-bench-macro.yaml").read_text()
)


def designs(count, seed=0):
    rng = np.random.default_rng(seed)
    choices = rng.integers(0, 3, (count, 4))
    code = np.concatenate([np.eye(3)[choices[:, i]] for i in range(4)], axis=1) / 2
    features = choices.sum(axis=1, keepdims=True) * 0.3 + rng.normal(0, 0.1, (count, 2))
    return Inputs(code, features, np.arange(count))


def fitted(inputs, scores, steps=20):
    return Stepwise(fit(Evidence(inputs), scores, steps=steps)).result()


def plain(count, seed=0):
    rng = np.random.default_rng(seed)
    return Scores(rng.normal(size=count), np.ones(count), 0.0)


def test_the_prior_covariance_is_the_sum_of_its_five_parts():
    inputs, theta = designs(6), PRIOR_MEAN + 0.3
    linear, choices, smooth, local, own, noise, wide, near = theta
    expected = np.zeros((6, 6))
    for i in range(6):
        for j in range(6):
            f, g = inputs.features[i], inputs.features[j]
            equal = inputs.code[i] @ inputs.code[j]
            expected[i, j] = (
                4.0
                + np.exp(2 * linear) * np.mean(f * g)
                + np.exp(2 * choices) * equal
                + np.exp(2 * smooth) * np.exp(-0.5 * np.mean((f - g) ** 2) / np.exp(wide) ** 2)
                + np.exp(2 * local) * np.exp(-(1 - equal) / np.exp(near))
                + np.exp(2 * (own + noise)) * (i == j)
            )
    np.testing.assert_allclose(covariance(theta, inputs, inputs), expected, rtol=1e-10)


def test_views_add_a_part_that_is_linear_in_them():
    inputs = seen(designs(6))
    theta = np.append(PRIOR_MEAN, 0.4)
    without = covariance(PRIOR_MEAN, designs(6), designs(6))
    part = np.exp(0.8) * inputs.views @ inputs.views.T / 2
    np.testing.assert_allclose(covariance(theta, inputs, inputs), without + part)
    drawn = Posterior.of(theta, inputs[:5], plain(5)).at(inputs[5:])
    prior = covariance(theta, inputs, inputs)
    noisy = prior[:5, :5] + (noise_variance(theta) + 1e-8) * np.eye(5)
    mean = prior[5:, :5] @ np.linalg.solve(noisy, plain(5).mean)
    left = prior[5:, 5:] - prior[5:, :5] @ np.linalg.solve(noisy, prior[:5, 5:])
    np.testing.assert_allclose(drawn.mean, mean, atol=1e-8)
    np.testing.assert_allclose(drawn.covariance(), left, atol=1e-8)


def test_a_view_is_trusted_as_far_as_it_agrees():
    inputs = designs(40)
    truth = seen(inputs).views[:, 0] + 0.3 * plain(40, 1).mean
    scores = Scores((truth - truth.mean()) / truth.std(), np.ones(40), 0.0)
    telling = fitted(seen(inputs), scores)
    useless = fitted(seen(inputs, seed=9), scores)
    assert telling[8] > useless[8] + 0.5


def test_the_prior_covariance_is_positive_semidefinite():
    inputs = designs(60)
    values = np.linalg.eigvalsh(covariance(PRIOR_MEAN, inputs, inputs))
    assert values.min() > -1e-9


def test_the_posterior_is_the_textbook_one():
    inputs, scores, fresh = designs(30), plain(30), designs(8, seed=5)
    fresh = Inputs(fresh.code, fresh.features, fresh.network + 1000)
    prior = covariance(PRIOR_MEAN, inputs, inputs)
    noisy = prior + (noise_variance(PRIOR_MEAN) + 1e-8) * np.eye(30)
    cross = covariance(PRIOR_MEAN, fresh, inputs)
    expected = cross @ np.linalg.solve(noisy, scores.mean)
    joint = covariance(PRIOR_MEAN, fresh, fresh) - cross @ np.linalg.solve(noisy, cross.T)
    predicted = Posterior.of(PRIOR_MEAN, inputs, scores).at(fresh)
    np.testing.assert_allclose(predicted.mean, expected, rtol=1e-8)
    np.testing.assert_allclose(predicted.variance, np.diag(joint), rtol=1e-7)
    np.testing.assert_allclose(predicted.covariance(), joint, atol=1e-8)


def test_the_posterior_at_its_own_inputs_needs_no_second_look():
    inputs, scores = designs(25), plain(25)
    posterior = Posterior.of(PRIOR_MEAN, inputs, scores)
    mean, variance = posterior.at_inputs()
    predicted = posterior.at(inputs)
    np.testing.assert_allclose(mean, predicted.mean, atol=1e-6)
    np.testing.assert_allclose(variance, predicted.variance, atol=1e-6)
    fresh = designs(6, seed=4)
    fresh = posterior.at(Inputs(fresh.code, fresh.features, fresh.network + 1000))
    rows = np.array([7, 24, 0])
    own = Predictions.joined([posterior.at_own(rows), fresh])
    whole = Predictions.joined([predicted[rows], fresh])
    np.testing.assert_allclose(own.mean, whole.mean, atol=1e-6)
    np.testing.assert_allclose(own.covariance(), whole.covariance(), atol=1e-6)
    few = np.array([5, 0, 2])
    np.testing.assert_allclose(own[few].covariance(), whole[few].covariance(), atol=1e-6)


def test_a_mean_of_repeats_says_what_the_repeats_say():
    rng = np.random.default_rng(3)
    once, counts = designs(12), rng.integers(1, 5, 12)
    every = np.repeat(np.arange(12), counts)
    scores = rng.normal(size=len(every))
    mean = np.bincount(every, scores) / counts
    scatter = float(np.sum((scores - mean[every]) ** 2))
    together = Scores(mean, counts, scatter)
    apart = Scores(scores, np.ones(len(every)), 0.0)
    fresh = designs(5, seed=9)
    fresh = Inputs(fresh.code, fresh.features, fresh.network + 1000)
    one = Posterior.of(PRIOR_MEAN, once, together).at(fresh)
    other = Posterior.of(PRIOR_MEAN, once[every], apart).at(fresh)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-6)
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-6)
    # The evidence differs by what does not depend on the amplitudes.
    shifted = PRIOR_MEAN + np.linspace(-0.2, 0.3, 8)
    gaps = [
        Evidence(once).loss(theta, together)[0] - Evidence(once[every]).loss(theta, apart)[0]
        for theta in (PRIOR_MEAN, shifted)
    ]
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-4)


def seen(inputs, seed=0):
    """The same designs, with two views of each."""
    views = np.random.default_rng(seed).normal(size=(len(inputs), 2))
    return replace(inputs, views=views)


@pytest.mark.parametrize("size", [8, 9])
def test_the_gradient_of_the_evidence_is_that_of_finite_differences(size):
    evidence = Evidence(designs(20) if size == 8 else seen(designs(20)))
    scores = Scores(plain(20).mean, np.arange(20) % 3 + 1, 0.7)
    theta = evidence.start + np.linspace(-0.3, 0.3, size)
    _, gradient = evidence.loss(theta, scores)
    for place in range(size):
        step = np.zeros(size)
        step[place] = 1e-5
        ends = [evidence.loss(theta + way * step, scores)[0] for way in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_the_evidence_is_the_density_of_the_scores():
    inputs, counts = designs(15), np.arange(15) % 2 + 1
    inputs = Inputs(inputs.code, inputs.features, inputs.network // 2)  # some are one network
    several = [
        Scores(plain(15, seed).mean, counts, scatter) for seed, scatter in ((0, 0.5), (1, 2))
    ]
    found = Evidence(inputs).losses(PRIOR_MEAN, several)
    noise = noise_variance(PRIOR_MEAN)
    whole = covariance(PRIOR_MEAN, inputs, inputs) + np.diag(noise / counts + 1e-8)
    for loss, scores in zip(found, several, strict=True):
        fitted = scores.mean @ np.linalg.solve(whole, scores.mean)
        repeats = np.sum(counts - 1) * np.log(noise) + scores.scatter / noise
        expected = 0.5 * (fitted + np.linalg.slogdet(whole)[1] + repeats)
        assert loss == pytest.approx(expected, rel=1e-9)
        assert loss == pytest.approx(Evidence(inputs).loss(PRIOR_MEAN, scores)[0], rel=1e-12)


def test_the_noise_is_found_from_the_evidence():
    rng = np.random.default_rng(1)
    inputs = designs(150, seed=2)
    worth = inputs.features[:, 0] + inputs.code @ rng.normal(size=inputs.code.shape[1])
    worth = (worth - worth.mean()) / worth.std()
    for noise in (0.05, 0.4):
        scores = Scores(worth + rng.normal(0, noise, 150), np.ones(150), 0.0)
        theta = fitted(inputs, scores, steps=60)
        total = noise_variance(theta) * (1 + np.exp(2 * theta[4]))
        assert 0.6 * noise < total**0.5 < 1.6 * noise


def test_the_inverse_of_a_triangle_is_its_inverse():
    for size in (1, 3, 64, 65, 200):
        lower = np.tril(np.random.default_rng(size).normal(size=(size, size))) + 5 * np.eye(size)
        np.testing.assert_allclose(lower_inverse(lower) @ lower, np.eye(size), atol=1e-8)


@pytest.mark.parametrize("size", [1, 128, 129, 500])
def test_a_product_without_the_zeros_is_the_product(size):
    rng = np.random.default_rng(size)
    lower, right = np.tril(rng.normal(size=(size, size))), rng.normal(size=(size, 7))
    np.testing.assert_allclose(lower_product(lower, right), lower @ right, atol=1e-11)


def test_steps_along_a_warp_are_the_warp_at_each_step():
    warp = Warp.of(np.linspace(60, 90, 12), 0.5)
    rng = np.random.default_rng(0)
    mean, variance, shift = rng.normal(size=(3, 5, 5))
    variance, steps = np.abs(variance), np.linspace(-3.5, 3.5, 15)
    along = warp.backward_along(mean, variance, shift, steps)
    for step, found in zip(steps, along, strict=True):
        np.testing.assert_allclose(found, warp.backward(mean + step * shift, variance), rtol=1e-11)


def test_the_minimiser_finds_a_bent_valley():
    def rosenbrock(x):
        value = (1 - x[0]) ** 2 + 20 * (x[1] - x[0] ** 2) ** 2
        gradient = np.array(
            [-2 * (1 - x[0]) - 80 * x[0] * (x[1] - x[0] ** 2), 40 * (x[1] - x[0] ** 2)]
        )
        return value, gradient

    start = np.array([-1.0, 1.5])
    work = Stepwise(minimise(rosenbrock, start, steps=200, tolerance=1e-12))
    work.go_on(7)
    found = work.result()
    np.testing.assert_allclose(found, [1, 1], atol=1e-3)


@pytest.mark.parametrize("count", [1, 127, 128, 129, 300])
def test_the_root_by_blocks_is_the_inverse_of_choleskys_factor(count):
    inputs, noise = designs(count), np.linspace(0.1, 0.3, count)
    whole = covariance(PRIOR_MEAN, inputs, inputs) + np.diag(noise)
    half = CholeskyCache().of(PRIOR_MEAN, inputs, noise).dense()
    np.testing.assert_allclose(half, np.linalg.inv(np.linalg.cholesky(whole)), atol=1e-9)


def of_nothing(theta, inputs, noise):
    return CholeskyCache().of(theta, inputs, noise).dense()


def test_a_root_has_the_same_bits_however_its_designs_came():
    inputs, noise = designs(420), np.full(420, 0.2)
    grown = CholeskyCache()
    for count in (5, 130, 131, 260, 255, 400, 419, 420):
        step = grown.of(PRIOR_MEAN, inputs[:count], noise[:count])
        assert np.array_equal(step.dense(), of_nothing(PRIOR_MEAN, inputs[:count], noise[:count]))


@pytest.mark.parametrize("changed", ["noise", "code", "features", "network", "theta"])
def test_a_root_forgets_what_has_changed(changed):
    inputs, noise, theta = designs(300), np.full(300, 0.2), PRIOR_MEAN
    halves = CholeskyCache()
    halves.of(PRIOR_MEAN, inputs, noise)
    code, features, network = inputs.code.copy(), inputs.features.copy(), inputs.network.copy()
    noise = noise.copy()
    if changed == "theta":
        theta = PRIOR_MEAN + 0.1
    else:
        {"noise": noise, "code": code, "features": features, "network": network}[changed][140] += 1
    after = Inputs(code, features, network)
    found = halves.of(theta, after, noise).dense()
    assert np.array_equal(found, of_nothing(theta, after, noise))
    assert not np.array_equal(found, of_nothing(PRIOR_MEAN, inputs, np.full(300, 0.2)))


@pytest.mark.parametrize("count", [20, 64, 150])
def test_a_root_in_two_parts_is_one_matrix(count):
    root = CholeskyCache().of(PRIOR_MEAN, designs(count), np.linspace(0.1, 0.3, count))
    dense, right = root.dense(), np.random.default_rng(0).normal(size=(count, 5))
    chosen = np.array([count - 1, 3, count - 1, 0])
    np.testing.assert_allclose(root.times(right), dense @ right, atol=1e-12)
    np.testing.assert_allclose(root.solve(right[:, 0]), dense.T @ (dense @ right[:, 0]), atol=1e-10)
    np.testing.assert_allclose(root.columns(chosen), dense[:, chosen])
    np.testing.assert_allclose(root.column_squares(), np.sum(dense**2, axis=0))


def test_amplitudes_that_are_learnt_bit_by_bit_are_those_learnt_at_once():
    space = Designs.of_space(MACRO)
    rng = np.random.default_rng(4)
    points = [space.random(rng) for _ in range(150)]
    scores = np.array([sum(p) for p in points]) + rng.normal(0, 0.5, 150)
    step_by_step = Predictor(space)
    for count in range(100, 151):
        grown = step_by_step.learn(points[:count], scores[:count])
        at_once = Predictor(space).learn(points[:count], scores[:count])
        assert np.array_equal(grown.posterior.theta, at_once.posterior.theta)
        assert grown.warp == at_once.warp


def test_work_that_is_done_bit_by_bit_comes_to_its_result():
    def work():
        for _ in range(5):
            yield
        return "done"

    for taken in (0, 3, 5, 9):
        steps = Stepwise(work())
        steps.go_on(taken)
        assert [steps.result(), steps.result()] == ["done", "done"]
