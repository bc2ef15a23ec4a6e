"""An engine runs jobs on a fixed number of workers and returns `concurrent.futures.Future`s.

A job is plain data. Each worker calls `make(spec)` once, with an importable function `make` and
plain data `spec`, and gets the function that runs its jobs, so images and compiled kernels load
once per worker. A job's exception is re-raised by its future.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from autoscale.errors import AutoscaleError, EvaluationFailed, WorkersUnavailable, cause

Spec = TypeVar("Spec")
J = TypeVar("J")
R = TypeVar("R")
Job = TypeVar("Job", contravariant=True)
Result = TypeVar("Result", covariant=True)
TrainingResult = TypeVar("TrainingResult")

#: From a spec to the function that runs jobs.
Make = Callable[[Spec], Callable[[J], R]]


class WorkerLost(AutoscaleError):
    """The worker that ran a job died; another may run it again."""


class WorkerNotReady(WorkerLost):
    """A worker died before it could take a job, which says nothing of the job."""


def cannot_start(problem: Exception) -> AutoscaleError:
    """What to raise when `make(spec)` raised `problem`: the caller's own problem, or that there are
    no workers. A job has not failed, whatever it is called."""
    if isinstance(problem, AutoscaleError) and not isinstance(problem, EvaluationFailed):
        return problem
    return unavailable(cause(problem))


def unavailable(reason: str) -> WorkersUnavailable:
    """That workers cannot start, with what to do."""
    return WorkersUnavailable(
        f"the workers cannot start ({reason}); no training was counted as failed: correct this and "
        "repeat the command, or train in one process with 1 worker and no time limit"
    )


class Engine(Protocol[Job, TrainingResult]):
    """Runs jobs on workers."""

    @property
    def places(self) -> int:
        """Workers, each of which runs one job at a time."""

    def submit(self, job: Job, /) -> Future[TrainingResult]:
        """Take a job; it waits until a worker is free."""

    def close(self) -> None:
        """End at once; jobs at work are lost."""


class Worker(Protocol[Job, Result]):
    """Runs one job after the other."""

    def run(self, job: Job, /) -> Result:
        """The job's result.

        Raises:
            WorkerLost: if the worker died; WorkerNotReady if that was before it took the job.
            EvaluationFailed: if it took too long.
            WorkersUnavailable: if there can be no worker to run it.
        """

    def close(self) -> None:
        """End at once, also a job at work; from any thread."""


class Inline(Generic[J, R]):
    """An engine without workers: it runs each job when it is submitted, in this process."""

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
    """An engine of several workers of any kind.

    A thread waits for each worker; the queue and the futures are the standard library's. A job
    whose worker dies is run again; a job that kills every worker fails. A worker that dies before
    it takes a job is no fault of the job: then there are no workers.

    Args:
        workers: each runs one job at a time.
        retries: how often a job is run again.
    """

    def __init__(self, workers: Sequence[Worker[J, R]], *, retries: int) -> None:
        self.places = len(workers)
        self._workers = workers
        self._free: SimpleQueue[Worker[J, R]] = SimpleQueue()
        for worker in workers:
            self._free.put(worker)
        self._retries = retries
        self._closing = False
        self._threads = ThreadPoolExecutor(len(workers), thread_name_prefix="worker")

    def submit(self, job: J, /) -> Future[R]:
        """Take a job; its future raises EvaluationFailed if it cost every worker that took it, and
        WorkersUnavailable if none could take it."""
        return self._threads.submit(self._run, job)

    def close(self) -> None:
        """End all workers and threads."""
        self._closing = True
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(cancel_futures=True)

    def _run(self, job: J) -> R:
        worker = self._free.get()
        try:
            for attempt in range(self._retries + 1):
                try:
                    return worker.run(job)
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
            self._free.put(worker)


@contextmanager
def closing(engine: Engine[J, R]) -> Iterator[Engine[J, R]]:
    """The engine, closed at the end, whatever that is."""
    try:
        yield engine
    finally:
        engine.close()
