"""Train a network on images in memory, and say how often it is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import nn

from autoscale.training.batches import batches, resized
from autoscale.training.evaluation.evaluate import scored
from autoscale.training.failures import OutOfTime
from autoscale.training.gradients import Losses
from autoscale.training.parts import DropRates, to_learn
from autoscale.training.resident import ResidentCut, fits
from autoscale.training.state import Epoch, Snapshot, TrainingState, is_over
from autoscale.training.task import HERE, Runtime, TrainingTask, device_named


@dataclass(frozen=True, slots=True)
class Fit:
    """What a training run gave."""

    accuracy: float  # on the validation images after the last epoch, in [0, 1]
    loss: float  # of the last epoch
    # Those that ran: fewer than the recipe's if its patience ended or `on_epoch` stopped it.
    epochs: tuple[Epoch, ...]
    seconds: float  # everything, of this call
    train_seconds: float  # without the evaluations
    halved: bool = False  # memory ran out once, and batches went through in two halves since
    score: float | None = None  # of the task's metric, where that is not accuracy


def fit(
    network: nn.Module,
    task: TrainingTask,
    runtime: Runtime = HERE,
    *,
    resume: Snapshot | None = None,
    keep: Callable[[Snapshot], None] | None = None,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
) -> Fit:
    """Train `network` in place and evaluate it.

    The network ends on the device, in eval mode, with the weights that were evaluated: the averaged
    ones when the recipe averages. The same initial weights, arguments, thread count and machine
    give bit-equal results on a CPU; the global random state is left alone.

    Weights that take no gradient are left alone; a module none of whose weights does stays in eval
    mode.

    When memory runs out, the batch is done again in two halves whose gradients are added, and so
    are all later ones; batch norm then sees half a batch at a time.

    Args:
        network: maps (N, C, H, W) to logits (N, classes).
        resume: go on from here, to the same bits as without the interruption.
        keep: called after each epoch with a snapshot whose tensors are the live ones: write or copy
            them before it returns.
        on_epoch: called after each epoch. If it returns True, that epoch was the last. What it
            raises stops the training and reaches the caller.

    Raises:
        InvalidSetting: if the device is not there, or no weight learns.
        TrainingDiverged: if the loss becomes infinite or not a number.
        OutOfMemory: if half a batch does not fit.
        OutOfTime: if the time limit is exceeded.
    """
    training = _Training(network, task, runtime)
    state = training.state
    if resume is not None:
        state.restore(resume)
    device = training.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        while not is_over(state.epochs, task.recipe, task.metric):
            training.epoch(len(state.epochs) + 1)
            if keep:
                keep(state.snapshot())
            if on_epoch and on_epoch(state.epochs[-1]):
                break
    return training.finish()


class _Training:
    """A training on its way: its state, and the clock."""

    def __init__(self, network: nn.Module, task: TrainingTask, runtime: Runtime) -> None:
        self.device = device_named(runtime.device)
        self._started = time.perf_counter()
        self._evaluation_seconds = 0.0
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Random-resized crops are cut from the stored pixels, the others are not.
        stored = task.recipe.crop == "random-resized"
        train = task.train if stored else resized(task.train, task.image_size)
        validation = resized(task.validation, task.image_size)
        self._task = replace(task, train=train, validation=validation)
        # Policies change images by Pillow, on the CPU, so they are cut out there too.
        by_pillow = task.recipe.changes("augment")
        if not (by_pillow or task.turns) and fits(train.pixels, self.device):
            runtime = replace(runtime, cut=ResidentCut(train.pixels, self.device))
        self._runtime, self._drop_rates = runtime, DropRates(network)
        self.state = TrainingState(network, task, self.device, runtime.peers)

    def epoch(self, number: int) -> None:
        """Train through one epoch, and evaluate if that is asked for."""
        task, state, peers = self._task, self.state, self._runtime.peers
        # Of the seed and the epoch alone, so that it does not matter where a training began.
        torch.manual_seed(_derived(task.seed, number, peers.rank))
        started = time.perf_counter()
        to_learn(state.network)
        self._drop_rates.scale(task.recipe.regularisation_at(number))
        loss = self._steps(number)
        state.share_statistics()
        last = number == task.recipe.epochs
        asked = last or number in task.evaluate_after or bool(task.recipe.patience)
        # The last accuracy, by which a search judges networks, is computed in the usual way alone.
        accuracy, score, taken = self._score(verified=not last) if asked else (None, None, 0.0)
        seconds = time.perf_counter() - started
        state.epochs.append(Epoch(number, loss, accuracy, seconds, taken, score))

    def finish(self) -> Fit:
        """What the training gave; the network keeps the weights that were scored."""
        state = self.state
        self._drop_rates.scale(1.0)
        last = state.epochs[-1]
        if last.accuracy is None:  # it was stopped after an epoch that nobody wanted evaluated
            accuracy, score, taken = self._score()
            last = state.epochs[-1] = replace(
                last,
                accuracy=accuracy,
                seconds=last.seconds + taken,
                evaluation_seconds=taken,
                score=score,
            )
        state.finish()
        assert last.accuracy is not None
        seconds = self._elapsed()
        return Fit(
            last.accuracy,
            last.loss,
            tuple(state.epochs),
            seconds,
            seconds - self._evaluation_seconds,
            state.halved,
            last.score,
        )

    def _steps(self, number: int) -> float:
        """All steps of an epoch; their mean loss."""
        task, runtime = self._task, self._runtime
        recipe, steps = task.recipe, task.steps
        losses = Losses(recipe, epoch=number, steps=steps, device=self.device)
        done, drawn = 0, batches(task, number, runtime)
        while done < steps:
            group = min(recipe.accumulate, steps - done)
            # The middle of the step, so that neither the first nor the last has a rate of 0.
            progress = (number - 1 + (done + group / 2) / steps) / recipe.epochs
            rate = recipe.learning_rate_at(progress)
            losses.add(self.state.step(islice(drawn, group), learning_rate=rate), steps=group)
            done += group
            self._require_time(number, done)
        return losses.mean()

    def _require_time(self, epoch: int, done: int) -> None:
        """
        Raises:
            OutOfTime: if there is none left.
        """
        limit, peers = self._runtime.time_limit, self._runtime.peers
        # Peers stop at the same step, that of the first of them that is late.
        if limit is not None and peers.total(self._elapsed() > limit):
            raise OutOfTime(
                f"the training was at epoch {epoch} of {self._task.recipe.epochs}, step {done} "
                f"of {self._task.steps}, after {limit:g} seconds; allow more, or fewer epochs"
            )

    def _score(self, *, verified: bool = False) -> tuple[float, float | None, float]:
        """Accuracy on the validation images, the metric's score, and the seconds that they took.

        Args:
            verified: as `scored` takes it.
        """
        before = time.perf_counter()
        accuracy, score = scored(
            self.state.scored,
            self._task,
            self._task.validation,
            runtime=self._runtime,
            verified=verified,
        )
        taken = time.perf_counter() - before
        self._evaluation_seconds += taken
        return accuracy, score, taken

    def _elapsed(self) -> float:
        return time.perf_counter() - self._started


def _derived(seed: int, *numbers: int) -> int:
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1, np.uint64)[0])
