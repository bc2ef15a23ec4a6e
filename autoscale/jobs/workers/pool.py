"""Who trains: this process, several of this machine, or a cluster.

A training is the same wherever it is done: what goes to a worker is plain data, a `TrainingRequest`
for each training and once the `Proxy`, by which the worker loads
the images, the weights to start from and a teacher's answers itself.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from autoscale.design.amounts import several
from autoscale.engines.cluster import on_ray
from autoscale.engines.engine import Engine, Inline, closing
from autoscale.engines.local import local
from autoscale.errors import EvaluationFailed
from autoscale.jobs.groups.workers import WorkerSettings
from autoscale.jobs.workers.estimate import estimate_seconds
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.listener import Listener, Silent
from autoscale.runs.at_work import AtWork
from autoscale.runs.store import StepFolder
from autoscale.scaling.scalable import Network
from autoscale.search.rungs import RungCheck, TrainingResult
from autoscale.training.failures import out_of_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """One training, as it goes to a worker."""

    network: Network
    seed: int
    held_out: bool = False  # judge on the test images
    answers: bool = False  # keep which images were answered right
    images: int | None = None  # train on a subset of so many, see `Proxy.within`
    epochs: int | None = None  # other than the recipe's
    look: RungCheck | None = None  # at its rungs


def make_worker(proxy: Proxy) -> Callable[[TrainingRequest], TrainingResult]:
    """What trains as requested in this process, from now on a worker; loads the images.

    Raises:
        DataProblem: if the images cannot be read, or have changed since the coordinator read them.
    """
    torch.set_num_threads(proxy.threads)
    ready = proxy.load(size=proxy.size, test=proxy.test).answered(Silent())
    return lambda request: train_once(ready, request)


def train_once(proxy: Proxy, request: TrainingRequest) -> TrainingResult:
    """Train as requested.

    Raises:
        EvaluationFailed: if training diverges or memory runs out.
    """
    look = request.look
    try:
        score = train_and_score(
            proxy.within(images=request.images, epochs=request.epochs),
            request.network,
            seed=request.seed,
            measurement=Measurement(
                held_out=request.held_out,
                answers=request.answers,
                rungs=look.rungs.looks if look else (),
                look=look,
            ),
        )
    except (MemoryError, RuntimeError) as problem:  # outside the steps of the training
        if not out_of_memory(problem):
            raise
        raise EvaluationFailed("memory ran out") from None
    return TrainingResult(score, look)


@dataclass(frozen=True, kw_only=True)
class WorkerPool:
    """Trains what is requested, by a proxy that knows the images for estimates."""

    proxy: Proxy
    engine: Engine[TrainingRequest, TrainingResult]
    at_work: AtWork
    inline: bool = False  # trainings are done in this process

    @property
    def at_once(self) -> int:
        """Trainings that are done at the same time."""
        return self.engine.places

    def submit(self, request: TrainingRequest, *, name: str) -> Future[TrainingResult]:
        """Have it trained; `name` is how it is called as long as it is at work."""
        done = self.at_work.begin(name)
        future = self.engine.submit(request)
        future.add_done_callback(lambda _: done())
        return future

    def estimate(self, networks: Sequence[Network]) -> float:
        """Seconds that training each of them once takes, one after the other in each place."""
        work = estimate_seconds(self.proxy, networks)
        if self.proxy.inheritance and not self.inline:
            self.proxy.inheritance.forget()  # the workers keep what they need themselves
        return self.seconds(work)

    def seconds(self, work: float) -> float:
        """How long so many seconds of trainings take, one after the other in each place."""
        return work / self.at_once


@contextmanager
def worker_pool(
    settings: WorkerSettings, proxy: Proxy, folder: StepFolder, listener: Listener
) -> Iterator[WorkerPool]:
    """Workers that train by `proxy`, whose images are loaded; they end with the context.

    A teacher answers before they begin.

    Args:
        settings: how many there are, and where.
        folder: that the trainings are for; `autoscale status` sees those at work there.

    Raises:
        InvalidSetting: if an engine is not installed, or has no room for one training.
    """
    with AtWork(folder) as at_work:
        if (lessons := proxy.transfer.lessons) is not None:
            done = at_work.begin(f"answers of the teacher {lessons.name}")
            proxy = proxy.answered(listener)
            done()
        with _engine(settings, proxy, listener) as engine:
            yield WorkerPool(proxy=proxy, engine=engine, at_work=at_work, inline=settings.inline)


@contextmanager
def _engine(
    settings: WorkerSettings, proxy: Proxy, listener: Listener
) -> Iterator[Engine[TrainingRequest, TrainingResult]]:
    if settings.inline:
        yield Inline(lambda request: train_once(proxy, request))
        return
    spec = proxy.for_worker()
    common: dict[str, Any] = {
        "workers": settings.workers,
        "retries": settings.retries,
        "limit": settings.trial_timeout,
    }
    if settings.engine == "ray":
        cpus, gpus = settings.ray_share
        ray = on_ray(make_worker, spec, address=settings.address, cpus=cpus, gpus=gpus, **common)
        with closing(ray) as engine:
            yield engine
        return
    cores = os.cpu_count() or 1
    if proxy.device == "cpu" and settings.workers * proxy.threads > cores:
        listener.notice(
            f"warning: {several(settings.workers, 'worker')} of "
            f"{several(proxy.threads, 'thread')} share {several(cores, 'core')}"
        )
    with closing(local(make_worker, spec, **common)) as engine:
        yield engine
