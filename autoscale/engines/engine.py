"""The boundary: jobs go in, futures come out, as with `concurrent.futures`.

An engine has `places`, each of which carries one job at a time. A job is plain data. What carries
it is made once at each place, by an importable function `make` from plain data `spec`, so that what
is dear to load is loaded once. What a job raises, its future raises.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from autoscale.errors import AutoscaleError, EvaluationFailed, WorkersUnavailable

Spec = TypeVar("Spec")
J = TypeVar("J")
R = TypeVar("R")
Job = TypeVar("Job", contravariant=True)
Result = TypeVar("Result", covariant=True)
TrainingResult = TypeVar("TrainingResult")

#: From a spec what carries jobs.
Make = Callable[[Spec], Callable[[J], R]]


class WorkerLost(AutoscaleError):
    """Who carried a job died; another may carry it again."""


class WorkerNotReady(WorkerLost):
    """Who was to carry a job died before it could take one, which says nothing of the job."""


def cannot_start(problem: Exception) -> AutoscaleError:
    """What to raise when `make(spec)` raised `problem`: the caller's own problem, or that there are
    no workers. A job has not failed, whatever it is called."""
    if isinstance(problem, AutoscaleError) and not isinstance(problem, EvaluationFailed):
        return problem
    return unavailable(f"{type(problem).__name__}: {' '.join(str(problem).split())}")


def unavailable(cause: str) -> WorkersUnavailable:
    """That workers cannot start, with what to do."""
    return WorkersUnavailable(
        f"the workers cannot start ({cause}); no training was counted as failed: correct this and "
        "repeat the command, or train in one process with 1 worker and no time limit"
    )


class Engine(Protocol[Job, TrainingResult]):
    """Carries jobs."""

    @property
    def places(self) -> int:
        """Jobs at work at once."""

    def submit(self, job: Job, /) -> Future[TrainingResult]:
        """Take a job; it waits until a place is free."""

    def close(self) -> None:
        """End at once; jobs at work are lost."""


class Worker(Protocol[Job, Result]):
    """Carries one job after the other."""

    def carry(self, job: Job, /) -> Result:
        """The job's result.

        Raises:
            WorkerLost: if who carried it died; WorkerNotReady if that was before it took the job.
            EvaluationFailed: if it took too long.
            WorkersUnavailable: if there can be nobody to carry it.
        """

    def close(self) -> None:
        """End at once, also a job at work; from any thread."""


class Inline(Generic[J, R]):
    """Does each job when it is submitted, in this process."""

    places = 1

    def __init__(self, work: Callable[[J], R]) -> None:
        self._work = work

    def submit(self, job: J, /) -> Future[R]:
        """The finished future; an interruption passes through."""
        future: Future[R] = Future()
        try:
            future.set_result(self._work(job))
        except Exception as problem:
            future.set_exception(problem)
        return future

    def close(self) -> None:
        """Nothing is left to end."""


class PooledEngine(Generic[J, R]):
    """An engine of several places, whoever works there.

    A thread stands at each place and waits for it; the queue and the futures are the standard
    library's. A job whose worker dies is carried again; a job that kills every worker fails. A
    worker that dies before it takes a job is no fault of the job: then there are no workers.

    Args:
        retries: how often a job is carried again.
    """

    def __init__(self, places: Sequence[Worker[J, R]], *, retries: int) -> None:
        self.places = len(places)
        self._all = places
        self._free: SimpleQueue[Worker[J, R]] = SimpleQueue()
        for place in places:
            self._free.put(place)
        self._retries = retries
        self._closing = False
        self._threads = ThreadPoolExecutor(len(places), thread_name_prefix="place")

    def submit(self, job: J, /) -> Future[R]:
        """Take a job; its future raises EvaluationFailed if it cost every worker that took it, and
        WorkersUnavailable if none could take it."""
        return self._threads.submit(self._carry, job)

    def close(self) -> None:
        """End all workers and threads."""
        self._closing = True
        for place in self._all:
            place.close()
        self._threads.shutdown(cancel_futures=True)

    def _carry(self, job: J) -> R:
        place = self._free.get()
        try:
            for attempt in range(self._retries + 1):
                try:
                    return place.carry(job)
                except WorkerLost as problem:
                    if self._closing:
                        raise CancelledError from None
                    if attempt == self._retries:
                        tries = f", in each of {attempt + 1} tries" if attempt else ""
                        if isinstance(problem, WorkerNotReady):
                            raise unavailable(str(problem)) from None
                        raise EvaluationFailed(f"{problem}{tries}") from None
            raise AssertionError("unreachable: the last attempt returns or raises")
        finally:
            self._free.put(place)


@contextmanager
def closing(engine: Engine[J, R]) -> Iterator[Engine[J, R]]:
    """The engine, closed at the end, whatever that is."""
    try:
        yield engine
    finally:
        engine.close()
