"""Trainings on a Ray cluster; Ray schedules, restarts workers and watches nodes.

A thread waits for each job, as for a local worker, so retries and time limits are the same
everywhere. Ray's own retries are off.
"""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import cache
from math import ceil
from typing import Any, Generic

from autoscale.distribution import install
from autoscale.engines.engine import (
    J,
    Make,
    PooledEngine,
    R,
    Spec,
    WorkerLost,
    WorkerNotReady,
    cannot_start,
    unavailable,
)
from autoscale.errors import EvaluationFailed, InvalidSetting, first_line

# Ray reads these when it is imported, or when it starts. Nothing is reported to anybody.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def on_ray(
    make: Make[Spec, J, R],
    spec: Spec,
    *,
    workers: int,
    retries: int = 1,
    limit: float | None = None,
    address: str | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
) -> PooledEngine[J, R]:
    """An engine of places on a Ray cluster; a worker process loads its work once.

    Args:
        make, spec: see `engine`; `make` must be importable on every node.
        workers: jobs at once; those beyond the cluster's room wait for it to grow.
        retries: how often a job is done again whose worker or node died.
        limit: seconds of one job from when it begins; then it is cut and fails.
        address: of a running cluster, such as "auto" or "host:6379"; None starts one here.
        cpus, gpus: what is set aside for each job.

    Raises:
        InvalidSetting: if Ray is not installed, no cluster answers, or no node has room for a job.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise InvalidSetting(f"the engine ray needs another package: {install('ray')}") from None
    if not ray.is_initialized():
        own: dict[str, Any] = {}
        if address is None:
            own["num_cpus"] = ceil(workers * cpus)  # Ray takes whole numbers here

        try:
            ray.init(
                address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
            )
        except (ConnectionError, ValueError, RuntimeError) as problem:
            raise InvalidSetting(
                f"no Ray cluster at {address or 'this machine'} ({first_line(problem)}); start "
                "one with: ray start --head"
            ) from None
    _require_room(ray, cpus, gpus)
    shared = ray.put((make, spec))
    task = ray.remote(max_retries=0, num_cpus=cpus, num_gpus=gpus)(_run)
    places = [RayPlace[J, R](ray, task, shared, limit) for _ in range(workers)]
    return PooledEngine(places, retries=retries)


def _require_room(ray: Any, cpus: float, gpus: float) -> None:
    """Refuse what Ray would wait for without a word."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        return
    most: dict[str, float] = max(
        nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={}
    )
    raise InvalidSetting(
        f"no node of the Ray cluster has {cpus:g} CPUs and {gpus:g} GPUs for a training; the "
        f"largest has {most.get('CPU', 0):g} and {most.get('GPU', 0):g}"
    )


class RayPlace(Generic[J, R]):
    """A place that is held by whichever worker Ray chooses."""

    def __init__(self, ray: Any, task: Any, shared: Any, limit: float | None) -> None:
        self._ray = ray
        self._task = task
        self._shared = shared
        self._limit = limit
        self._running: Any = None
        self._closed = False
        self._lock = threading.Lock()

    def run(self, job: J, /) -> R:
        """The job's result.

        Raises:
            WorkerLost: if its worker or its node died; WorkerNotReady if the job had not begun.
            EvaluationFailed: if it took longer than the limit.
            WorkersUnavailable: if no worker can do such jobs.
        """
        errors = self._ray.exceptions
        with self._lock:
            if self._closed:
                raise WorkerLost("the engine is closed")
            # The first thing that comes says that the job has begun, or why it cannot begin; the
            # second is its result.
            self._running = self._task.options(num_returns="streaming").remote(self._shared, job)
            answers = self._running
        lost: type[WorkerLost] = WorkerNotReady
        try:
            if (problem := self._ray.get(next(answers))) is not None:
                raise cannot_start(problem) from problem
            lost = WorkerLost
            # Asking for the next answer would wait for it without a limit.
            ready, _ = self._ray.wait([answers], timeout=self._limit)
            if not ready:
                self._ray.cancel(answers, force=True)
                raise EvaluationFailed(f"over the time limit of {self._limit:g} s")
            succeeded, answer = self._ray.get(next(answers))
        except errors.RayTaskError as problem:
            if lost is WorkerLost:
                raise  # a mistake of ours
            reason = (str(problem).splitlines() or [type(problem).__name__])[-1]
            raise unavailable(reason) from None  # a package is missing there, for example
        except (errors.TaskCancelledError, CancelledError):
            raise lost("the training was cancelled") from None
        except errors.OutOfMemoryError:
            raise lost("Ray killed the worker for want of memory") from None
        except errors.RayError as problem:
            raise lost(f"the worker or its node died ({first_line(problem)})") from None
        if not succeeded:
            raise answer
        return answer

    def close(self) -> None:
        """Cut a job at work."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._ray.cancel(self._running, force=True)


def _run(shared: tuple[Make[Any, Any, Any], Any], job: Any) -> Any:
    """In a worker of Ray's: say that the job has begun, then its result; or why it cannot begin."""
    make, spec = shared
    try:
        work = _made(make, spec)
    except Exception as problem:
        yield problem
        return
    yield None
    try:
        yield (True, work(job))
    except Exception as problem:
        yield (False, problem)


@cache
def _made(make: Make[Any, Any, Any], spec: Any) -> Callable[[Any], Any]:
    return make(spec)
