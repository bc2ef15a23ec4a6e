"""The training of shared weights, from its first epoch or from where it was broken off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autoscale.design.space import SearchSpace
from autoscale.jobs.shared.paths import FairPaths
from autoscale.jobs.workers.proxy import Proxy
from autoscale.listener import Listener, Progress
from autoscale.network.shared.weights import SharedWeights
from autoscale.network.threads import threads_of_torch
from autoscale.runs.checkpoint import read_snapshot, write_snapshot
from autoscale.training.fit import fit
from autoscale.training.nested.inner import Paths
from autoscale.training.state import Epoch, Snapshot
from autoscale.training.task import TrainingTask

#: Images on which the last epoch is evaluated, since every training is; nobody asks for the answer.
_FEW = 8


@dataclass(frozen=True, kw_only=True)
class SharedTraining:
    """How one set of weights is trained for all designs of a space."""

    space: SearchSpace  # with the classes and the resolution of the images
    proxy: Proxy  # with its images; its recipe is that of a training by itself
    epochs: int
    seed: int
    file: Path  # of the training in progress
    listener: Listener
    paths: Callable[[SharedWeights, str], Paths] = FairPaths

    def run(self) -> SharedWeights:
        """The trained weights; those of the epochs that `file` holds are not trained again."""
        resume = read_snapshot(self.file)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            weights = SharedWeights(self.space)
        if resume is not None and (done := len(resume.epochs)) < self.epochs:
            self.listener.notice(f"going on after epoch {done} of {self.epochs}")
        few = self.task.validation.subset(range(min(_FEW, len(self.task.validation))))
        paths = self.paths(weights, self.proxy.kernels)
        task = replace(self.task, paths=paths, validation=few, metric=None)
        with threads_of_torch(self.proxy.threads):
            fit(weights, task, self.proxy.runtime, resume=resume, keep=self._keep)
        return weights

    @property
    def task(self) -> TrainingTask:
        """Of the space's largest resolution, with the epochs of shared weights."""
        designs = [self.space.architecture_at((0,) * len(self.space.parameters))]
        largest = replace(designs[0], resolution=max(self.space.resolution))
        task = self.proxy.task(largest, seed=self.seed)
        # Stopping early would go by a network of which nobody asks how good it is.
        recipe = replace(task.recipe, epochs=self.epochs, patience=0)
        return replace(task, recipe=recipe)

    def _keep(self, snapshot: Snapshot) -> None:
        write_snapshot(self.file, snapshot)
        last = snapshot.epochs[-1]
        self.listener.progress(
            Progress(
                done=last.number,
                total=self.epochs,
                note=f"shared weights, epoch {last.number}: loss {last.loss:.4f}",
                best=f"loss {last.loss:.4f}",
                seconds_left=_each(snapshot.epochs) * (self.epochs - last.number),
            )
        )


def _each(epochs: tuple[Epoch, ...]) -> float:
    """Seconds of the next epoch."""
    return sum(epoch.seconds for epoch in epochs) / len(epochs)
