"""How many epochs of a training fit into the hours that it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import nn

from autoscale.errors import InvalidSetting
from autoscale.jobs.deadline import Deadline
from autoscale.jobs.train.training import Training
from autoscale.jobs.workers.estimate import Pace, pace_of, seconds_of_training
from autoscale.jobs.workers.kernels import accelerated
from autoscale.listener import duration
from autoscale.runs.store import Journal, StepFolder

AnyTraining = TypeVar("AnyTraining", bound=Training)

#: Steps that are timed, at most.
STEPS = 20


def in_time(training: AnyTraining, hours: float | None, *, since: float) -> AnyTraining:
    """A training with as many epochs as fit into the hours, at most its own; as it is without such.

    The number is decided once, before the first step, by timed steps of the training itself, and
    the learning rate falls over as many; a training that goes on keeps it.

    Args:
        since: when the call began, by `clock.now`.

    Raises:
        InvalidSetting: if there is no time for one epoch, or several processes train.
    """
    if training.peers.size > 1:
        if hours is None:
            return training
        raise InvalidSetting(
            f"--hours {hours:g} is kept by one process, and torchrun started "
            f"{training.peers.size}; say with --epochs how long they train"
        )
    deadline = Deadline.of(hours, training.step, training.listener, since=since)
    if deadline is None:
        return training
    asked = training.task.recipe.epochs
    epochs = _decided(training.step, asked)
    if epochs is None:
        one = Timed.of(training)
        epochs = most_epochs(one.seconds, asked, deadline, f"one epoch of {training.design.name}")
        deadline.notice(
            f"{epochs} of {asked} epochs fit into --hours {deadline.hours:g}: one takes about "
            f"{duration(one.pace.epoch + one.pace.evaluation)}; --epochs {epochs} repeats this"
        )
    elif epochs < asked:
        deadline.notice(
            f"this training was begun for {epochs} epochs, by the hours that it had then, and "
            "keeps to them; for more give another --run"
        )
    return with_epochs(training, epochs, deadline)


def with_epochs(training: AnyTraining, epochs: int, deadline: Deadline | None) -> AnyTraining:
    """A training of another number of epochs, with a deadline that it keeps."""
    recipe = replace(training.task.recipe, epochs=epochs)
    task = replace(training.task, recipe=recipe)
    return replace(training, task=task, deadline=deadline, listener=deadline or training.listener)


def begun_in_time(step: StepFolder, epochs: Journal) -> bool:
    """Whether a training has been begun in a step for which hours decided the epochs."""
    record = step.read()
    return record is not None and record["notes"].get("hours") is not None and bool(epochs.read())


def _decided(step: StepFolder, most: int) -> int | None:
    """How many epochs an earlier call decided for what it has begun; None if it has not."""
    if not begun_in_time(step, Journal(step.file("epochs.jsonl"))):
        return None
    record = step.read()
    found = (record or {"settings": {}})["settings"].get("recipe", {}).get("epochs")
    return found if isinstance(found, int) and found <= most else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What the parts of a training take."""

    training: Training
    pace: Pace
    before: float  # seconds of a teacher's answers
    behind: float  # seconds of the test images

    @classmethod
    def of(cls, training: Training) -> Timed:
        """From some timed steps; nothing of the training itself is done."""
        proxy, design = training.task, training.design.architecture
        module: nn.Module = accelerated(proxy.realised(design), proxy.kernels)
        found = pace_of(proxy, design, module, training.task_of(module), steps=STEPS)
        images = proxy.images
        tested = 0 if images.test is None else len(images.test)
        return cls(
            training=training,
            pace=found,
            before=proxy.teacher_seconds,
            behind=found.evaluation * tested / len(images.validation),
        )

    def seconds(self, epochs: int) -> float:
        """Of the whole training, if it has so many epochs."""
        return (
            self.before
            + seconds_of_training(
                replace(self.training.task.recipe, epochs=epochs),
                self.pace,
                self.training.design.architecture.resolution,
                evaluations=epochs,
            )
            + self.behind
        )


def most_epochs(seconds: Callable[[int], float], most: int, deadline: Deadline, least: str) -> int:
    """The largest number of epochs, at most `most`, for which there is time.

    Args:
        seconds: that so many epochs take.
        least: what one epoch is called.

    Raises:
        InvalidSetting: if there is no time for one.
    """
    deadline.require(seconds(1), least)
    return next(n for n in range(most, 0, -1) if n == 1 or seconds(n) <= deadline.left)
