"""Early stopping: the rule, what a search does with it, and what samplers learn from it."""

import random
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Designs
from autoscale.search.engine import Standings, Trial, frozen, knowledge, predicted_ranking
from autoscale.search.history import Hints
from autoscale.search.identity import network_of
from autoscale.search.model.gaussian.amplitudes import PRIOR_MEAN
from autoscale.search.model.gaussian.covariance import Inputs
from autoscale.search.model.gaussian.posterior import Posterior, Scores
from autoscale.search.model.predictor import ImputedScores, Predictor
from autoscale.search.objective import Objective, Score
from autoscale.search.rungs import LEARN, LearningCurve, Rungs
from autoscale.search.samplers import make_sampler
from tests.search.searching import CASES, FRONT, HARD, searched

RUNGS = Rungs(epochs=(1, 2, 4))


def climbs(*moved: float) -> list[LearningCurve]:
    """Trainings of one cost that began at 0.5 after one epoch and moved so far to the end."""
    return [
        LearningCurve(trial=number, cost=100, rungs={1: 0.5}, end=0.5 + rise)
        for number, rise in enumerate(moved)
    ]


def test_the_margin_is_what_two_trainings_may_still_move_against_each_other() -> None:
    rungs = Rungs(epochs=(1, 4), caution=2.0)
    ended = climbs(0.1, 0.2, 0.3, 0.4)
    assert rungs.margin(1, ended) == pytest.approx(2 * sqrt(2) * np.std([1, 2, 3, 4], ddof=1) / 10)
    assert rungs.margin(1, ended[: LEARN - 1]) is None
    stopped = [replace(climb, end=None) for climb in ended]
    assert rungs.margin(1, [*ended[:2], *stopped]) is None


@pytest.mark.parametrize("objective", [HARD, FRONT], ids=["reward", "front"])
def test_who_is_behind_by_more_than_the_margin_is_stopped(objective: Objective) -> None:
    ended = climbs(0.1, 0.2, 0.3, 0.4)
    margin = RUNGS.margin(1, ended)
    assert margin is not None
    for accuracy, stops in ((0.5 - margin - 0.001, True), (0.5 - margin + 0.001, False)):
        one = LearningCurve(trial=9, cost=100, rungs={1: accuracy})
        found = RUNGS.better(one, 1, ended, objective)
        assert (found is not None) == stops
        assert found is None or found.trial == 0


def test_who_is_cheaper_than_all_is_never_behind_on_a_front() -> None:
    one = LearningCurve(trial=9, cost=99, rungs={1: 0.0})
    assert RUNGS.better(one, 1, climbs(0.1, 0.2, 0.3, 0.4), FRONT) is None


Accuracy = st.floats(0, 1)


@given(
    st.lists(st.tuples(Accuracy, Accuracy, st.integers(1, 9)), min_size=LEARN, max_size=12),
    Accuracy,
    st.integers(1, 9),
)
def test_only_what_another_beats_in_everything_is_stopped(
    ended: list[tuple[float, float, int]], accuracy: float, macs: int
) -> None:
    rivals = [
        LearningCurve(trial=number, cost=m, rungs={1: at}, end=end)
        for number, (at, end, m) in enumerate(ended)
    ]
    one = LearningCurve(trial=99, cost=macs, rungs={1: accuracy})
    stopped = {
        caution: Rungs(epochs=(1, 4), caution=caution).better(one, 1, rivals, FRONT)
        for caution in (0.0, 0.5, 2.0)
    }
    for found in stopped.values():
        if found:
            assert found.cost <= macs
            assert found.rungs[1] >= accuracy
            assert (found.rungs[1], -found.cost) != (accuracy, -macs)
    bold, usual, careful = (stopped[c] is not None for c in (0.0, 0.5, 2.0))
    assert bold >= usual >= careful


@pytest.mark.parametrize("epochs", [(), (4,), (2, 2), (4, 1), (0, 4)])
def test_rungs_that_do_not_rise_are_refused(epochs: tuple[int, ...]) -> None:
    with pytest.raises(InvalidSetting, match="rising numbers of epochs"):
        Rungs(epochs=epochs)
    with pytest.raises(InvalidSetting, match="caution"):
        Rungs(epochs=(1, 2), caution=-0.1)


# A search


class Trainings:
    """Made-up trainings: accuracy at each rung follows from the design, later ones tell more."""

    def __init__(self, scatter: float = 0.01) -> None:
        self.scatter = scatter
        self.epochs: list[int] = []
        self.repetitions: list[int] = []

    def __call__(self, architecture: Architecture, repetition: int, look=None) -> Score:  # type: ignore[no-untyped-def]
        first, second = architecture.stages
        quality = first.width / 16 + second.width / 24 + (first.depth + second.depth) / 4
        luck = random.Random(f"{architecture}{repetition}")
        counted = cost(architecture)
        self.repetitions.append(repetition)
        for epochs in (1, 2, 4):
            accuracy = (quality - first.kernel / 10) / 5 - 0.1 / epochs
            accuracy += luck.gauss(0, self.scatter / epochs)
            score = Score(
                accuracy=accuracy,
                macs=counted.macs,
                params=counted.params,
                activations=counted.activations,
                seconds=float(epochs),
            )
            if look is not None and epochs < 4 and look(epochs, accuracy):
                self.epochs.append(epochs)
                return score
        self.epochs.append(4)
        return score


def run(space: SearchSpace, sampler: str, objective: Objective, **options) -> list[Trial]:  # type: ignore[no-untyped-def]
    options = {"trials": 24, "rungs": RUNGS, "seed": 3, "evaluate": Trainings(), **options}
    made = make_sampler(sampler, seed=3, space=space, known=knowledge(objective))
    return searched(space, objective, options.pop("evaluate"), made, **options)


@pytest.mark.parametrize(("sampler", "objective"), CASES)
def test_a_search_with_rungs_goes_on_after_a_break_as_if_there_had_been_none(
    tiny: SearchSpace, sampler: str, objective: Objective
) -> None:
    whole = run(tiny, sampler, objective)
    assert sum(step.trained for step in whole) == 24
    for broken_at in (5, 14):
        assert run(tiny, sampler, objective, history=whole[:broken_at]) == whole


def test_a_stopped_trial_has_its_score_at_the_rung_and_none_else(tiny: SearchSpace) -> None:
    trainings = Trainings()
    steps = [s for s in run(tiny, "random", FRONT, evaluate=trainings) if s.trained]
    stopped = [step for step in steps if step.status == "stopped"]
    assert stopped
    for step, epochs in zip(steps, trainings.epochs, strict=True):
        assert max(step.rungs) == (epochs if step.status == "stopped" else 2)
        assert (step.score is None) == (step.status == "stopped") == (step.partial is not None)
        if step.partial:
            assert step.partial.accuracy == step.rungs[epochs]
            assert f"stopped after {epochs} of 4 epochs" in step.cause
            assert frozen(step, tiny, FRONT).state == TrialState.PRUNED


def test_what_goes_all_the_way_is_the_unbroken_training(tiny: SearchSpace) -> None:
    unbroken = {s.architecture: s.score for s in run(tiny, "random", FRONT, rungs=None)}
    steps = run(tiny, "random", FRONT)
    assert all(unbroken[s.architecture] == s.score for s in steps if s.status == "finished")


def test_a_stopped_network_is_neither_recommended_nor_trained_again(tiny: SearchSpace) -> None:
    for objective in (HARD, FRONT):
        steps = run(tiny, "guided", objective, trials=40, evaluate=Trainings(0.05))
        stopped = {network_of(s.architecture) for s in steps if s.status == "stopped"}
        assert stopped
        ranked = Standings(objective, steps).ranking()
        ranked += predicted_ranking(steps, tiny, objective, count=99)
        assert not stopped & {network_of(trial.architecture) for trial in ranked}
        trained = [network_of(s.architecture) for s in steps if s.trained]
        assert all(trained.count(network) == 1 for network in stopped)


def test_a_repeat_to_beat_noise_is_never_stopped(tiny: SearchSpace) -> None:
    trainings = Trainings(0.05)
    run(tiny, "guided", HARD, trials=60, evaluate=trainings)
    again = [e for e, r in zip(trainings.epochs, trainings.repetitions, strict=True) if r]
    assert again
    assert set(again) == {4}


def test_stopping_saves_epochs_and_keeps_the_best(tiny: SearchSpace) -> None:
    trainings = Trainings()
    steps = run(tiny, "random", HARD, trials=64, evaluate=trainings)
    assert sum(trainings.epochs) < 0.6 * 4 * len(trainings.epochs)
    everything = run(tiny, "random", HARD, trials=64, rungs=None)
    best = Standings(HARD, everything).best()
    found = Standings(HARD, steps).best()
    assert best is not None
    assert found is not None
    assert found.architecture == best.architecture


# What is learnt from those that were stopped


def test_a_stopped_score_is_guessed_to_rise_as_others_did() -> None:
    ended = [(np.array([0.5 + rise]), {"1": [0.5]}) for rise in (0.1, 0.2, 0.3)]
    stopped = [((0, 1), {"1": [0.4]}), ((1, 1), {"1": [0.4], "2": [0.45]})]
    hints = Hints.of(stopped, ended, np.array([1.0]))
    assert hints.points == [(0, 1)]  # nobody that ended was looked at after two epochs
    np.testing.assert_allclose(hints.gains, [[0.6]])
    np.testing.assert_allclose(hints.doubts, [[0.1]])


def test_a_known_objective_is_not_in_doubt() -> None:
    ended = [(np.array([0.5 + rise, -7.0]), {"1": [0.5, 7.0]}) for rise in (0.1, 0.2, 0.3)]
    hints = Hints.of([((0,), {"1": [0.4, 3.0]})], ended, np.array([1.0, -1.0]))
    np.testing.assert_allclose(hints.gains, [[0.6, -3.0]])
    assert hints.doubts[0, 1] == 0


def test_doubt_lies_between_a_score_and_no_score() -> None:
    rng = np.random.default_rng(0)
    inputs = Inputs(rng.random((6, 4)), rng.normal(size=(6, 2)), np.arange(6))
    other = Inputs(rng.random((3, 4)), rng.normal(size=(3, 2)), np.arange(10, 13))
    mean, last = rng.normal(size=6), np.arange(6) == 5

    def predicted(doubt: np.ndarray | float, rows: slice = slice(None)) -> np.ndarray:
        chosen = np.arange(6)[rows]
        scores = Scores(mean, np.ones(6), 0.0, doubt)[chosen]
        return Posterior.of(PRIOR_MEAN, inputs[chosen], scores).at(other).mean

    np.testing.assert_allclose(predicted(1e9 * last), predicted(0.0, slice(5)), rtol=1e-6)
    np.testing.assert_array_equal(predicted(0.0 * last), predicted(0.0))
    half = Posterior.of(PRIOR_MEAN, inputs, Scores(mean, np.ones(6), 0.0, 0.5 * last)).at(other)
    full = Posterior.of(PRIOR_MEAN, inputs, Scores(mean, np.ones(6), 0.0)).at(other)
    assert (half.variance > full.variance).all()


def test_the_model_expects_less_of_a_design_that_was_stopped(tiny: SearchSpace) -> None:
    designs = Designs.of_space(tiny)
    rng = np.random.default_rng(0)
    points = list(dict.fromkeys(designs.random(rng) for _ in range(14)))
    stopped, points = points[0], points[1:]
    scores = rng.normal(0.8, 0.02, len(points))
    predictor = Predictor(designs)

    def expected(guesses: ImputedScores | None) -> float:
        learnt = predictor.learn(points, scores, guesses=guesses)
        predicted = learnt.predict([stopped])
        return float(learnt.expected(predicted.mean, predicted.variance)[0])

    without = expected(None)
    sure, unsure = (
        expected(ImputedScores([stopped], np.array([0.6]), np.array([doubt])))
        for doubt in (0.0, 0.1)
    )
    assert sure < unsure < without
