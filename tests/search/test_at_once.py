"""A search with several trainings at once."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock

import pytest
from optuna.trial import TrialState
from test_engine import CASES, HARD, known_score
from test_rungs import RUNGS

from autoscale.design.architecture import Architecture
from autoscale.design.space import SearchSpace
from autoscale.errors import DataProblem, EvaluationFailed, InvalidSetting
from autoscale.search.engine import Trial
from autoscale.search.identity import network_of
from autoscale.search.objective import Objective, Score
from autoscale.search.rungs import RungCheck, TrainingResult
from autoscale.search.samplers import SAMPLERS, make_sampler
from tests.search.searching import searched

PLACES = 4
#: The samplers that never ask for a training of the same network again; gp needs scipy.
ONCE = {
    name
    for name in SAMPLERS.keys() - {"gp"}
    if not getattr(make_sampler(name, seed=0), "asks_for_repeats", False)
}


class Workers:
    """Threads that take a little while; the first trainings end when all are at work."""

    def __init__(self, score: Callable[[Architecture, int], Score] = known_score) -> None:
        self._score = score
        self._threads = ThreadPoolExecutor(PLACES)
        self._lock = Lock()
        self._all_at_work = Event()
        self.at_work = 0
        self.most_at_work = 0
        self.begun: list[tuple[object, int]] = []

    def __call__(
        self, architecture: Architecture, repetition: int, look: RungCheck | None = None
    ) -> Future[TrainingResult]:
        with self._lock:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            self.begun.append((network_of(architecture), repetition))
            if self.at_work == PLACES:
                self._all_at_work.set()
        return self._threads.submit(self._train, architecture, repetition, look)

    def _train(
        self, architecture: Architecture, repetition: int, look: RungCheck | None
    ) -> TrainingResult:
        try:
            self._all_at_work.wait(timeout=10)
            time.sleep(random.Random(len(self.begun)).uniform(0, 0.01))
            score = self._score(architecture, repetition)
            if look:
                for epochs in look.rungs.looks:
                    if look(epochs, score.accuracy * epochs / look.rungs.epochs[-1]):
                        break
            return TrainingResult(score, look)
        finally:
            with self._lock:
                self.at_work -= 1

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


def run(
    space: SearchSpace, sampler: str, objective: Objective, evaluate: object, **options
) -> list[Trial]:
    options = {"trials": 14, "at_once": PLACES, **options}
    made = make_sampler(sampler, seed=3, space=space)
    return searched(space, objective, evaluate, made, seed=3, **options)


@pytest.mark.parametrize(("sampler", "objective"), CASES)
def test_every_sampler_trains_as_many_as_asked_and_nothing_twice(
    tiny: SearchSpace, workers: Workers, sampler: str, objective: Objective
) -> None:
    recorded: list[Trial] = []
    steps = run(tiny, sampler, objective, workers, record=recorded.append)
    assert sum(step.trained for step in steps) == 14
    assert workers.most_at_work == PLACES
    assert max(Counter(workers.begun).values()) == 1
    assert [step.number for step in steps] == list(range(len(steps)))
    assert recorded == steps
    if not getattr(make_sampler(sampler, seed=0), "asks_for_repeats", False):
        assert {repetition for _, repetition in workers.begun} == {0}


@pytest.mark.parametrize("sampler", sorted(ONCE))
def test_a_small_space_is_trained_out_and_then_the_search_ends(
    tiny: SearchSpace, workers: Workers, sampler: str
) -> None:
    steps = run(tiny, sampler, HARD, workers, trials=100)
    trained = [network_of(step.architecture) for step in steps if step.trained]
    assert len(trained) == len(set(trained)) == 64
    assert all(step.score for step in steps)


def test_a_proposal_of_a_network_at_work_takes_its_score_when_that_is_there(
    tiny: SearchSpace, workers: Workers
) -> None:
    steps = run(tiny, "random", HARD, workers, trials=60)
    repeats = [step for step in steps if step.status == "repeat"]
    assert repeats
    for step in repeats:
        first = next(
            s for s in steps if network_of(s.architecture) == network_of(step.architecture)
        )
        assert first.trained
        assert first.number < step.number
        assert step.score == first.score
        assert step.cause == f"same network as trial {first.number}"


def test_samplers_see_trainings_at_work_as_running(tiny: SearchSpace, workers: Workers) -> None:
    made = make_sampler("random", seed=0)
    seen: list[int] = []
    inner = made.sample_relative

    def spy(study, trial, space):  # type: ignore[no-untyped-def]
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        seen.append(sum(t.number != trial.number and bool(t.params) for t in running))
        return inner(study, trial, space)

    made.sample_relative = spy  # type: ignore[method-assign]
    searched(tiny, HARD, workers, made, trials=14, at_once=PLACES)
    assert max(seen) >= PLACES - 1


@pytest.mark.parametrize("broken_at", [1, 5, 13])
@pytest.mark.parametrize("sampler", ["guided", "random", "nsga2"])
def test_a_broken_search_goes_on_to_the_same_count_without_training_anything_again(
    tiny: SearchSpace, workers: Workers, sampler: str, broken_at: int
) -> None:
    history = run(tiny, sampler, HARD, workers, trials=20)[:broken_at]
    kept = [(network_of(s.architecture), s.repetition) for s in history if s.trained]
    workers.begun.clear()
    steps = run(tiny, sampler, HARD, workers, trials=20, history=history)
    assert steps[:broken_at] == history
    assert sum(step.trained for step in steps) == 20
    assert max(Counter(kept + workers.begun).values()) == 1


def test_failures_among_trainings_at_work_cost_nobody_else(tiny: SearchSpace) -> None:
    def breaks(architecture: Architecture) -> bool:  # rarely: five at first would end the search
        return (architecture.stages[0].kernel, architecture.stages[0].depth) == (5, 2)

    def fragile(architecture: Architecture, repetition: int) -> Score:
        if breaks(architecture):
            raise EvaluationFailed("loss is nan")
        return known_score(architecture, repetition)

    workers = Workers(fragile)
    steps = run(tiny, "random", HARD, workers, trials=20)
    workers.close()
    assert any(step.status == "failed" for step in steps)
    for step in steps:
        if step.trained:
            assert (step.status == "failed") == breaks(step.architecture)
            assert step.cause == ("loss is nan" if step.status == "failed" else "")


def test_what_was_finished_when_the_search_breaks_is_recorded(tiny: SearchSpace) -> None:
    calls = 0
    recorded: list[Trial] = []

    def evaluate(architecture: Architecture, repetition: int) -> Future[TrainingResult]:
        nonlocal calls
        calls += 1
        future: Future[TrainingResult] = Future()
        if calls == 1:
            future.set_exception(DataProblem("the images are gone"))
        else:
            future.set_result(TrainingResult(known_score(architecture)))
        return future

    with pytest.raises(DataProblem, match="images are gone"):
        run(tiny, "random", HARD, evaluate, record=recorded.append)
    assert [step.status for step in recorded] == ["finished"] * (PLACES - 1)


def test_after_a_record_that_failed_no_other_is_written(tiny: SearchSpace) -> None:
    recorded: list[Trial] = []

    def evaluate(architecture: Architecture, repetition: int) -> Future[TrainingResult]:
        future: Future[TrainingResult] = Future()
        future.set_result(TrainingResult(known_score(architecture)))
        return future

    def record(step: Trial) -> None:
        recorded.append(step)
        if len(recorded) == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(tiny, "random", HARD, evaluate, record=record)
    assert [step.number for step in recorded] == [0, 1]


def test_rungs_stop_trainings_at_work_by_what_was_known_when_they_began(
    tiny: SearchSpace, workers: Workers
) -> None:
    steps = run(tiny, "random", HARD, workers, trials=40, rungs=RUNGS)
    stopped = [step for step in steps if step.status == "stopped"]
    assert stopped
    for step in stopped:
        better = int(step.cause.split("where trial ")[1].split()[0])
        assert better < step.number


def test_at_least_one_training_at_once_is_needed(tiny: SearchSpace) -> None:
    with pytest.raises(InvalidSetting, match="at once must be at least 1"):
        run(tiny, "random", HARD, known_score, at_once=0)
