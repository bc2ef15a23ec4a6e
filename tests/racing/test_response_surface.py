"""The response surface: what scores of several seeds say about a grid's candidates."""

from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.racing import response_surface as module
from autoscale.racing.response_surface import (
    Interval,
    Observation,
    SurfacePosterior,
    infer,
    surface,
)

CORNERS = np.array([[log(2), 0, 0], [0, log(2) / 2, 0], [0, 0, log(2) / 2]])


def plane(count: int, seed: int = 0) -> np.ndarray:
    """Positions that cost twice the base, shape (count, 3)."""
    return np.random.default_rng(seed).dirichlet(np.ones(3), count) @ CORNERS


def trained(
    truth: np.ndarray, seeds: int, *, noise: float = 0.1, luck: int = 0, share: float = 1.0
) -> list[Observation]:
    """Scores around `truth` with seed effects; with `share` below 1 some pairs are left out."""
    rng = np.random.default_rng(luck)
    effects = rng.standard_normal(seeds)
    return [
        Observation(candidate, seed, float(value + effects[seed] + noise * rng.standard_normal()))
        for candidate, value in enumerate(truth)
        for seed in range(seeds)
        if seed == 0 or rng.random() < share
    ]


def differences(posterior: SurfacePosterior) -> np.ndarray:
    return posterior.draws - posterior.draws.mean(axis=1, keepdims=True)


few = examples(max_examples=30, deadline=None)
worlds = st.tuples(st.integers(2, 8), st.integers(2, 4), st.integers(0, 1000))


# Laws


@few
@given(worlds)
def test_the_order_of_observations_does_not_matter(world: tuple[int, int, int]) -> None:
    count, seeds, luck = world
    positions = plane(count, luck)
    observations = trained(np.arange(count) * 0.1, seeds, luck=luck, share=0.6)
    mixed = [observations[i] for i in np.random.default_rng(luck).permutation(len(observations))]
    assert np.array_equal(
        infer(positions, observations).draws, infer(positions, mixed).draws, equal_nan=True
    )


@few
@given(worlds)
def test_the_numbers_of_candidates_do_not_matter(world: tuple[int, int, int]) -> None:
    count, seeds, luck = world
    positions = plane(count, luck)
    observations = trained(np.arange(count) * 0.1, seeds, luck=luck, share=0.6)
    new = np.random.default_rng(luck).permutation(count)  # new[i] is the new number of candidate i
    renamed = infer(
        positions[np.argsort(new)],
        [Observation(int(new[o.candidate]), o.seed, o.score) for o in observations],
    )
    old = infer(positions, observations)
    assert np.array_equal(renamed.mean[new], old.mean)
    assert np.array_equal(renamed.draws[:, new], old.draws, equal_nan=True)


@few
@given(worlds, st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_a_constant_added_to_all_scores_of_a_seed_changes_no_difference(
    world: tuple[int, int, int], shifts: list[float]
) -> None:
    count, seeds, luck = world
    positions = plane(count, luck)
    observations = trained(np.arange(count) * 0.1, seeds, luck=luck, share=0.6)
    shifted = [
        Observation(o.candidate, o.seed, o.score + shifts[o.seed])
        for o in observations
        if o.score is not None
    ]
    before, after = infer(positions, observations), infer(positions, shifted)
    # Where scores hardly scatter, rounding of the larger numbers moves wide tails a little.
    for one in range(1, count):
        old, new = before.difference(one, 0, 0.9), after.difference(one, 0, 0.9)
        assert [new.mean, new.low, new.high] == pytest.approx(
            [old.mean, old.low, old.high], rel=1e-4, abs=1e-4
        )


@few
@given(worlds)
def test_other_units_of_the_score_change_the_posterior_by_that_factor(
    world: tuple[int, int, int],
) -> None:
    count, seeds, luck = world
    positions = plane(count, luck)
    observations = trained(np.arange(count) * 0.1, seeds, luck=luck)
    points = [
        Observation(o.candidate, o.seed, 100 * o.score) for o in observations if o.score is not None
    ]
    assert infer(positions, points).mean == pytest.approx(
        100 * infer(positions, observations).mean, rel=1e-6, abs=1e-6
    )


def test_seeds_may_bear_any_numbers() -> None:
    positions = plane(5)
    observations = trained(np.arange(5) * 0.1, 3)
    renamed = [Observation(o.candidate, 17 + 5 * o.seed, o.score) for o in observations]
    assert np.array_equal(infer(positions, renamed).draws, infer(positions, observations).draws)


# Agreement


def test_with_many_seeds_and_no_smooth_part_the_posterior_tends_to_the_plain_means() -> None:
    truth = np.array([0.3, -0.2, 0.9, 0.1])
    positions = np.zeros((4, 3))  # nothing for a surface to go by
    observations = trained(truth, 60)
    plain = [
        np.mean([o.score for o in observations if o.candidate == c and o.score is not None])
        for c in range(4)
    ]
    posterior = infer(positions, observations)
    assert posterior.mean == pytest.approx(plain, abs=0.01)
    interval = posterior.difference(2, 0, 0.9)
    # Known from the paired t-test: 1.645 * sqrt(2 / 60) * 0.1 on either side.
    assert interval.high - interval.low == pytest.approx(2 * 1.645 * 0.1 * (2 / 60) ** 0.5, rel=0.2)


def test_one_candidate_gives_its_mean_and_an_interval_only_with_a_known_noise() -> None:
    posterior = infer(plane(1), [Observation(0, s, v) for s, v in enumerate([0.5, 0.7, 0.6])])
    assert posterior.mean == pytest.approx([0.6])
    assert posterior.interval(0, 0.9).low == -inf  # seeds and noise cannot be told apart
    assert posterior.chance_of_best.tolist() == [1.0]


def test_a_noise_that_is_known_comes_out_of_the_pairs() -> None:
    posterior = infer(plane(20), trained(np.zeros(20), 6, noise=0.1))
    noise = posterior.noise_interval(0.9)
    assert noise.low < 0.1 < noise.high
    assert noise.mean == pytest.approx(0.1, rel=0.15)


def test_seeds_that_move_all_scores_widen_no_difference() -> None:
    quiet = [Observation(o.candidate, o.seed, o.score) for o in trained(np.zeros(6), 4)]
    loud = [
        Observation(o.candidate, o.seed, o.score + 100 * o.seed)
        for o in quiet
        if o.score is not None
    ]
    width = [
        (i.high - i.low)
        for i in (infer(plane(6), one).difference(0, 1, 0.9) for one in (quiet, loud))
    ]
    assert width[1] == pytest.approx(width[0], rel=1e-3)


def test_a_candidate_without_a_score_is_estimated_like_its_neighbours() -> None:
    positions = plane(30, seed=3)
    truth = 5 * positions[:, 2]
    observations = [o for o in trained(truth, 2, noise=0.02) if o.candidate != 7]
    posterior = infer(positions, observations)
    assert posterior.scores[7] == 0
    interval = posterior.difference(7, 0, 0.9)
    assert interval.low < truth[7] - truth[0] < interval.high
    assert interval.mean == pytest.approx(truth[7] - truth[0], abs=0.1)


def test_the_smooth_part_is_predicted_elsewhere_and_less_surely_far_away() -> None:
    positions = plane(25, seed=1)
    truth = -8 * ((positions - positions.mean(axis=0)) ** 2).sum(axis=1)
    observations = trained(truth, 3, noise=0.02)
    places = np.stack([positions.mean(axis=0), 4 * positions[0]])
    inside, outside = surface(positions, observations, places, level=0.99)
    level = infer(positions, observations).mean.mean() - truth.mean()
    assert inside.low < level < inside.high
    assert outside.high - outside.low > 3 * (inside.high - inside.low)


# Degenerate cases


def test_two_candidates_with_one_seed_can_hardly_be_told_apart() -> None:
    posterior = infer(plane(2), [Observation(0, 0, 0.5), Observation(1, 0, 0.9)])
    assert posterior.measurable
    interval = posterior.difference(1, 0, 0.9)
    assert interval.low < 0 < interval.high
    assert posterior.chance_better(1, 0) > 0.5


def test_scores_that_share_no_seed_compare_nothing() -> None:
    posterior = infer(plane(2), [Observation(0, 0, 0.5), Observation(1, 1, 0.9)])
    assert not posterior.measurable
    assert posterior.difference(1, 0, 0.9).low == -inf
    assert posterior.chance_better(1, 0) == 0.5
    assert posterior.chance_of_best.tolist() == [0.5, 0.5]


def test_equal_positions_and_equal_scores_are_equal() -> None:
    posterior = infer(np.zeros((3, 3)), [Observation(c, s, 0.8) for c in range(3) for s in (0, 1)])
    assert posterior.mean == pytest.approx([0.8] * 3)
    assert posterior.chance_better(0, 1) == pytest.approx(0.5, abs=0.05)
    assert posterior.noise < 1e-6


def test_a_failed_training_is_no_score_and_cannot_be_best() -> None:
    observations = [*trained(np.array([0.0, 1.0, 2.0]), 3)]
    observations[-1] = Observation(2, 2, None)
    posterior = infer(plane(3), observations)
    assert posterior.failed.tolist() == [False, False, True]
    assert posterior.scores.tolist() == [3, 3, 2]
    assert posterior.chance_of_best[2] == 0
    assert posterior.mean[2] > posterior.mean[1]


def test_scores_far_from_zero_are_no_worse_than_near_it() -> None:
    near = trained(np.arange(6) * 0.1, 3, noise=0.01)
    far = [Observation(o.candidate, o.seed, o.score + 1e5) for o in near if o.score is not None]
    one, other = (infer(plane(6), found).difference(5, 0, 0.9) for found in (near, far))
    assert other.low == pytest.approx(one.low, abs=1e-3)


# Mistakes


@pytest.mark.parametrize(
    ("observation", "says"),
    [
        (Observation(3, 0, 0.5), "3 candidates"),
        (Observation(-1, 0, 0.5), "-1"),
        (Observation(0, 0, 0.5), "twice"),
        (Observation(0, 1, float("nan")), "nan"),
    ],
)
def test_an_observation_that_cannot_be_is_refused(observation: Observation, says: str) -> None:
    with pytest.raises(InvalidSetting, match=says):
        infer(plane(3), [Observation(0, 0, 0.1), observation])


def test_without_any_score_there_is_no_posterior() -> None:
    with pytest.raises(EvaluationFailed, match="none of the 2"):
        infer(plane(2), [Observation(0, 0, None)])


@pytest.mark.parametrize("positions", [np.zeros((2, 2)), np.full((2, 3), np.nan), np.zeros((0, 3))])
def test_positions_that_are_none_are_refused(positions: np.ndarray) -> None:
    with pytest.raises(InvalidSetting, match="positions"):
        infer(positions, [Observation(0, 0, 0.1)])


@pytest.mark.parametrize("level", [0, 1, 90])
def test_a_level_that_is_no_chance_is_refused(level: float) -> None:
    posterior = infer(plane(3), trained(np.zeros(3), 2))
    with pytest.raises(InvalidSetting, match=str(level)):
        posterior.interval(0, level)


# Calibration


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for luck in range(60):
        rng = np.random.default_rng([7, luck])
        positions = plane(12, luck)
        top = positions[rng.integers(12)]
        truth = -rng.uniform(1, 10) * ((positions - top) ** 2).sum(axis=1)
        truth = truth + 0.05 * rng.standard_normal(12)
        posterior = infer(positions, trained(truth, 3, luck=luck, share=0.5))
        for one in range(1, 12):
            interval = posterior.difference(one, 0, 0.9)
            held.append(interval.low <= truth[one] - truth[0] <= interval.high)
    assert 0.84 < np.mean(held) < 0.96


def test_the_number_of_draws_is_even() -> None:
    assert module.DRAWS % 2 == 0  # neighbours are mirror images


def test_what_is_believed_of_a_share_stays_between_0_and_1() -> None:
    assert Interval(0.93, 0.58, 1.27).as_share == Interval(0.93, 0.58, 1.0)
    assert Interval(-0.02, -0.1, 0.2).as_share == Interval(0.0, 0.0, 0.2)
    assert Interval(0.5, 0.4, 0.6).as_share == Interval(0.5, 0.4, 0.6)
