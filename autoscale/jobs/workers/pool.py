"""Who trains: this process, several of this machine, or a cluster.

A training is the same wherever it is done: what goes to a worker is plain data, a `TrainingRequest`
for each training and once the `WorkerContext`, from which the worker loads the images itself.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, get_args

import torch

from autoscale.datasets.data import ImageData
from autoscale.design.budget import several
from autoscale.engines.cluster import on_ray
from autoscale.engines.engine import Engine, Inline, closing
from autoscale.engines.local import local
from autoscale.errors import DataProblem, EvaluationFailed, InvalidSetting
from autoscale.jobs.workers.proxy import Task, Trainer
from autoscale.listener import Listener, Silent
from autoscale.runs.at_work import AtWork
from autoscale.runs.store import StepFolder
from autoscale.scaling.scalable import Network
from autoscale.search.rungs import RungCheck, TrainingResult
from autoscale.training.fit import out_of_memory

EngineName = Literal["local", "ray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How many train at once, where, and what a mishap costs. Results do not depend on it, except
    that with several at once a search knows less when it proposes.

    Attributes:
        workers: trainings at once. One, without a time limit, needs no process of its own.
        engine: "local" for processes of this machine, "ray" for a cluster.
        retries: how often a training is repeated whose worker died.
        time_limit: seconds of one training, after which its worker is killed.
        address: of a running Ray cluster; None starts one on this machine.
        cpus, gpus: what Ray sets aside for one training; fractions share a device.

    Raises:
        InvalidSetting: for values that employ nobody.
    """

    workers: int = 1
    engine: EngineName = "local"
    retries: int = 1
    time_limit: float | None = None
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InvalidSetting(f"workers must be at least 1, got {self.workers}")
        if self.engine not in get_args(EngineName):
            raise InvalidSetting(
                f"no engine {self.engine!r}; choose from {', '.join(get_args(EngineName))}"
            )
        if self.retries < 0:
            raise InvalidSetting(f"retries must be at least 0, got {self.retries}")
        if self.time_limit is not None and not 0 < self.time_limit < float("inf"):
            raise InvalidSetting(f"the time limit must be above 0 seconds, got {self.time_limit:g}")
        if not (self.cpus > 0 and isfinite(self.cpus)):
            raise InvalidSetting(f"CPUs of a training must be above 0, got {self.cpus:g}")
        if not (self.gpus >= 0 and isfinite(self.gpus)):
            raise InvalidSetting(f"GPUs of a training must be at least 0, got {self.gpus:g}")
        if self.engine != "ray" and (self.address, self.cpus, self.gpus) != (None, 1.0, 0.0):
            raise InvalidSetting("an address, CPUs and GPUs are Ray's; choose the engine ray")

    @property
    def inline(self) -> bool:
        """Whether trainings are done in this process."""
        return self.engine == "local" and self.workers == 1 and self.time_limit is None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """One training, as it goes to whoever does it."""

    network: Network
    seed: int
    held_out: bool = False  # judge on the test images
    look: RungCheck | None = None  # at its rungs


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """What a worker needs to train as the coordinator would."""

    task: Task
    size: int  # pixels per side of the images
    test: bool  # whether test images are needed
    fingerprint: str  # of the images
    device: str
    threads: int


def make_worker(place: WorkerContext) -> Callable[[TrainingRequest], TrainingResult]:
    """What does orders in this process, from now on a worker; loads the images.

    Raises:
        DataProblem: if the images cannot be read, or have changed since the coordinator read them.
    """
    torch.set_num_threads(place.threads)
    images = place.task.load(size=place.size, test=place.test, listener=Silent())
    if images.fingerprint != place.fingerprint:
        raise DataProblem(
            f"the images in {place.task.data} have changed since the work began; restore them and "
            "repeat the command, finished work is kept"
        )
    trainer = Trainer(
        images=images,
        recipe=place.task.recipe,
        device=place.device,
        threads=place.threads,
        kernels=place.task.kernels,
    )
    return lambda order: do(trainer, order)


def do(trainer: Trainer, order: TrainingRequest) -> TrainingResult:
    """Train as ordered.

    Raises:
        EvaluationFailed: if training diverges or memory runs out.
    """
    look = order.look
    try:
        score = trainer.score(
            order.network,
            seed=order.seed,
            held_out=order.held_out,
            rungs=look.rungs.looks if look else (),
            look=look,
        )
    except (MemoryError, RuntimeError) as problem:  # outside the steps of the training
        if not out_of_memory(problem):
            raise
        raise EvaluationFailed("memory ran out") from None
    return TrainingResult(score, look)


@dataclass(frozen=True, kw_only=True)
class WorkerPool:
    """Trains what is ordered, with a trainer that knows the images for estimates."""

    trainer: Trainer
    engine: Engine[TrainingRequest, TrainingResult]
    at_work: AtWork

    @property
    def at_once(self) -> int:
        """Trainings that are done at the same time."""
        return self.engine.places

    def submit(self, order: TrainingRequest, *, name: str) -> Future[TrainingResult]:
        """Have it trained; `name` is how it is called as long as it is at work."""
        done = self.at_work.begin(name)
        future = self.engine.submit(order)
        future.add_done_callback(lambda _: done())
        return future

    def seconds(self, work: float) -> float:
        """How long so many seconds of trainings take, one after the other in each place."""
        return work / self.at_once


@contextmanager
def worker_pool(
    staff: WorkerSettings,
    task: Task,
    images: ImageData,
    step: StepFolder,
    *,
    size: int,
    device: str,
    threads: int,
    listener: Listener,
) -> Iterator[WorkerPool]:
    """The crew that trains on `images`; its workers end with the context, however that ends.

    Args:
        step: that the trainings are for; `autoscale status` sees those at work there.
        size: pixels per side that `images` were loaded with.

    Raises:
        InvalidSetting: if an engine is not installed, or has no room for one training.
    """
    trainer = Trainer(
        images=images, recipe=task.recipe, device=device, threads=threads, kernels=task.kernels
    )
    if staff.inline:
        inline: Inline[TrainingRequest, TrainingResult] = Inline(lambda order: do(trainer, order))
        with AtWork(step) as at_work:
            yield WorkerPool(trainer=trainer, engine=inline, at_work=at_work)
        return
    place = WorkerContext(
        task=replace(task, data=task.place),
        size=size,
        test=images.test is not None,
        fingerprint=images.fingerprint,
        device=device,
        threads=threads,
    )
    with AtWork(step) as at_work, closing(_engine(staff, place, listener)) as engine:
        yield WorkerPool(trainer=trainer, engine=engine, at_work=at_work)


def _engine(
    staff: WorkerSettings, place: WorkerContext, listener: Listener
) -> Engine[TrainingRequest, TrainingResult]:
    if staff.engine == "ray":
        return on_ray(
            make_worker,
            place,
            workers=staff.workers,
            retries=staff.retries,
            limit=staff.time_limit,
            address=staff.address,
            cpus=staff.cpus,
            gpus=staff.gpus,
        )
    cores = os.cpu_count() or 1
    if place.device == "cpu" and staff.workers * place.threads > cores:
        listener.notice(
            f"warning: {several(staff.workers, 'worker')} of "
            f"{several(place.threads, 'thread')} share {several(cores, 'core')}"
        )
    return local(
        make_worker, place, workers=staff.workers, retries=staff.retries, limit=staff.time_limit
    )
