"""The race over seeds: what is trained next, when it is over, and what may be said then."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.racing.race import RaceSettings, next_training
from autoscale.racing.response_surface import Observation, infer
from autoscale.racing.verdict import MOST_SEEDS, judge
from tests.racing.test_response_surface import plane, trained

Score = Callable[[int, int], float | None]


def run(
    positions: np.ndarray,
    score: Score,
    settings: RaceSettings,
    *,
    before: tuple[Observation, ...] = (),
    most: int = 1000,
    required: tuple[int, ...] = (),
) -> list[Observation]:
    """Trainings until the race is over, or `most` of them."""
    observations = list(before)
    while len(observations) < most:
        step = next_training(positions, observations, settings, required=required)
        if step is None:
            break
        observations.append(Observation(*step, score(*step)))
    return observations


def peak(positions: np.ndarray, height: float) -> np.ndarray:
    """True means: 0 for the candidate nearest to the centre, -height for the farthest."""
    truth = -((positions - positions.mean(axis=0)) ** 2).sum(axis=1)
    return height * (truth - truth.max()) / max(float(np.ptp(truth)), 1e-9)


def peaked(positions: np.ndarray, *, height: float, noise: float = 0.1, luck: int = 0) -> Score:
    """Scores around that peak, with 50 seeds that move all candidates alike."""
    rng = np.random.default_rng(luck)
    truth = peak(positions, height)
    table = truth[:, None] + rng.standard_normal(50) + noise * rng.standard_normal((len(truth), 50))
    return lambda candidate, seed: float(table[candidate, seed])


#: A race is a hundred posteriors: no deadline, and not a hundred races.
few = examples(max_examples=15, deadline=None)
races = st.tuples(st.integers(2, 9), st.integers(1, 3), st.integers(0, 100))


# Laws


@few
@given(races, st.integers(0, 12))
def test_a_resumed_race_equals_the_unbroken_one(race: tuple[int, int, int], cut: int) -> None:
    count, seeds, luck = race
    positions = plane(count, luck)
    score, settings = peaked(positions, height=0.3, luck=luck), RaceSettings(seeds=seeds)
    whole = run(positions, score, settings)
    begun = tuple(run(positions, score, settings, most=cut))
    assert run(positions, score, settings, before=begun) == whole


@few
@given(races, st.sets(st.integers(0, 1), max_size=2))
def test_a_race_stops_and_never_trains_a_pair_twice(
    race: tuple[int, int, int], required: set[int]
) -> None:
    count, seeds, luck = race
    positions = plane(count, luck)
    score = peaked(positions, height=0.1, luck=luck)
    found = run(positions, score, RaceSettings(seeds=seeds), required=tuple(required))
    pairs = [(o.candidate, o.seed) for o in found]
    assert len(set(pairs)) == len(pairs) <= count * seeds
    for candidate in range(count):
        used = sorted(seed for c, seed in pairs if c == candidate)
        assert used == list(range(len(used)))  # seeds in order, so that candidates are paired
        if candidate in required:
            assert len(used) == seeds


@few
@given(races)
def test_the_order_of_what_was_trained_does_not_matter(race: tuple[int, int, int]) -> None:
    count, seeds, luck = race
    positions = plane(count, luck)
    observations = trained(np.arange(count) * 0.1, seeds, luck=luck, share=0.5)
    settings = RaceSettings(seeds=3)
    assert next_training(positions, observations, settings) == next_training(
        positions, observations[::-1], settings
    )


@few
@given(races)
def test_a_constant_added_to_all_scores_of_a_seed_changes_no_choice(
    race: tuple[int, int, int],
) -> None:
    count, seeds, luck = race
    positions = plane(count, luck)
    observations = trained(np.arange(count) * 0.2, seeds, luck=luck, share=0.5)
    shifted = [
        Observation(o.candidate, o.seed, o.score + 2.0 * o.seed)
        for o in observations
        if o.score is not None
    ]
    settings = RaceSettings(seeds=3)
    assert next_training(positions, observations, settings) == next_training(
        positions, shifted, settings
    )


# What is trained


def test_required_candidates_get_all_seeds_and_hopeless_ones_none() -> None:
    positions = plane(30, seed=2)
    score = peaked(positions, height=3.0)
    worst = min(range(30), key=lambda c: score(c, 0) or 0.0)
    found = run(positions, score, RaceSettings(seeds=3), required=(worst,))
    count = Counter(o.candidate for o in found)
    assert count[worst] == 3
    assert len(count) < 20
    assert len(found) < 0.4 * 90


def test_the_budget_of_trainings_is_kept() -> None:
    positions = plane(10)
    found = run(positions, peaked(positions, height=0.0), RaceSettings(budget=12))
    assert len(found) == 12


def test_a_budget_of_the_required_trainings_buys_these() -> None:
    positions = plane(8)
    found = run(
        positions,
        peaked(positions, height=0.1),
        RaceSettings(seeds=3, budget=6),
        required=(2, 6),
    )
    assert Counter(o.candidate for o in found) == {2: 3, 6: 3}


def test_a_candidate_that_failed_is_left_out_of_the_race() -> None:
    positions = plane(8, seed=4)
    good = peaked(positions, height=2.0)
    best = max(range(8), key=lambda c: good(c, 0) or 0.0)
    found = run(
        positions,
        lambda candidate, seed: None if candidate == best else good(candidate, seed),
        RaceSettings(seeds=3),
        required=(best,),
    )
    assert [o for o in found if o.candidate == best] == [Observation(best, 0, None)]
    assert judge(infer(positions, found)).best != best


def test_a_race_of_failures_tries_each_candidate_once() -> None:
    found = run(plane(6), lambda candidate, seed: None, RaceSettings(seeds=3))
    assert sorted(o.candidate for o in found) == list(range(6))


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_candidate_is_trained_and_the_race_is_over(seeds: int) -> None:
    found = run(plane(1), lambda candidate, seed: 0.5, RaceSettings(seeds=seeds))
    assert [o.seed for o in found] == [0]


def test_candidates_at_one_place_that_differ_are_all_trained() -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((6, 1)) + 0.05 * rng.standard_normal((6, 3))
    found = run(np.zeros((6, 3)), lambda c, seed: float(table[c, seed]), RaceSettings(seeds=3))
    assert {o.candidate for o in found} == set(range(6))
    assert judge(infer(np.zeros((6, 3)), found)).best == np.argmax(table.mean(axis=1))


# What may be said


def test_the_pick_is_good_and_the_race_short_on_known_surfaces() -> None:
    near, cost = [], []
    for luck in range(25):
        positions = plane(16, luck)
        score = peaked(positions, height=0.6, luck=luck)
        found = run(positions, score, RaceSettings(seeds=3))
        truth = peak(positions, 0.6)
        leader = infer(positions, found).leader
        assert leader is not None
        near.append(truth.max() - truth[leader] <= 0.1)
        cost.append(len(found) / 48)
    assert np.mean(near) >= 0.9
    assert np.mean(cost) <= 0.5


def test_where_nothing_differs_the_verdict_says_so() -> None:
    told = []
    for luck in range(20):
        positions = plane(12, luck)
        found = run(positions, peaked(positions, height=0.0, luck=luck), RaceSettings(seeds=3))
        told.append(judge(infer(positions, found)).kind == "cannot tell")
    assert np.mean(told) >= 0.8


def test_one_that_stands_out_is_best() -> None:
    truth = np.zeros(6)
    truth[4] = 5.0
    verdict = judge(infer(plane(6), trained(truth, 3)))
    assert (verdict.kind, verdict.best, verdict.tied, verdict.more) == ("best", 4, (), None)
    assert verdict.chance > 0.95
    assert verdict.sentence().startswith("candidate 4 is best, measurably better than all others")


def test_two_that_stand_out_are_tied_and_the_way_on_is_told() -> None:
    truth = np.array([0.0, 0.0, 0.0, 0.0, 3.0, 3.03])
    positions = np.zeros((6, 3))
    verdict = judge(infer(positions, trained(truth, 4, luck=3)))
    assert verdict.kind == "tied"
    assert {verdict.best, *verdict.tied} == {4, 5}
    names = [f"net-{letter}" for letter in "abcdef"]
    assert f"tied with {names[verdict.tied[0]]} of 5 others" in verdict.sentence(names)


def test_the_seeds_that_are_said_to_separate_two_candidates_do_so_about_half_the_time() -> None:
    truth, separated, asked = np.array([0.0, 0.1, -1.0, -1.0, -1.0]), [], 0
    for luck in range(40):
        observations = trained(truth, 30, luck=luck)
        begun = [o for o in observations if o.seed < 3]
        before = judge(infer(np.zeros((5, 3)), begun))
        if before.best != 1 or before.more is None:
            continue
        asked += 1
        seeds = {1: 3 + before.more.best, 0: 3 + before.more.runner_up}
        enough = [o for o in observations if o.seed < seeds.get(o.candidate, 3)]
        separated.append(0 not in judge(infer(np.zeros((5, 3)), enough)).tied)
    assert asked >= 15
    assert 0.25 < np.mean(separated) < 0.95


def test_what_no_number_of_seeds_would_separate_is_out_of_reach() -> None:
    observations = [Observation(c, s, float((c + s) % 2)) for c in range(2) for s in range(4)]
    verdict = judge(infer(np.zeros((2, 3)), observations))
    assert verdict.kind == "cannot tell"
    assert verdict.more is None
    assert f"even {MOST_SEEDS} seeds" in verdict.sentence()


def test_one_seed_of_each_without_pairs_cannot_tell() -> None:
    verdict = judge(infer(plane(2), [Observation(0, 0, 0.5), Observation(1, 1, 0.9)]))
    assert verdict.kind == "cannot tell"
    assert verdict.noise is None
    assert verdict.chance_near == 0
    assert "two trainings with the same seed" in verdict.sentence()


def test_the_only_candidate_is_called_so() -> None:
    verdict = judge(infer(plane(1), [Observation(0, 0, 0.5)]))
    assert verdict.kind == "only"
    assert verdict.sentence(["tiny"]) == "tiny is the only candidate"


def test_nothing_can_be_taken_where_every_candidate_failed_once() -> None:
    posterior = infer(plane(2), [Observation(0, 0, 0.5), Observation(0, 1, None)])
    with pytest.raises(EvaluationFailed, match="failed"):
        judge(posterior)


def test_a_lucky_score_is_not_the_pick() -> None:
    positions = plane(12, seed=6)
    truth = -10 * ((positions - positions[3]) ** 2).sum(axis=1)
    observations = trained(truth, 3, noise=0.02)
    far = int(np.argmin(truth))
    observations = [o for o in observations if o.candidate != far or o.seed > 1]
    best = max(o.score for o in observations if o.seed == 2 and o.score is not None)
    observations[[(o.candidate, o.seed) for o in observations].index((far, 2))] = Observation(
        far, 2, best + 0.01
    )
    assert judge(infer(positions, observations)).best != far


def test_the_chance_to_be_near_grows_with_the_tolerance() -> None:
    posterior = infer(plane(8), trained(np.arange(8) * 0.02, 2))
    chances = [posterior.chance_near(7, tolerance=t) for t in (0.0, 0.5, 1.0, 5.0)]
    assert chances == sorted(chances)
    assert chances[0] == pytest.approx(posterior.chance_of_best[7])


# Mistakes


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seeds": 0}, "seeds"),
        ({"budget": 0}, "budget"),
        ({"confidence": 1.0}, "confidence"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"first": 0}, "first"),
    ],
)
def test_settings_that_make_no_race_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(InvalidSetting, match=says):
        RaceSettings(**wrong)  # type: ignore[arg-type]


def test_candidates_that_are_not_there_cannot_be_required() -> None:
    with pytest.raises(InvalidSetting, match="required: 3"):
        next_training(plane(3), [], RaceSettings(), required=(3,))
