"""Train a network on images in memory, and say how often it is right."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.errors import AutoscaleError, DataProblem, InvalidSetting
from autoscale.training import crops
from autoscale.training.batches import as_channels_last, batches, normalised, resized
from autoscale.training.crops import Cut
from autoscale.training.ema import EMA
from autoscale.training.optimizers import make_optimizer, optimizer_tensors, restore_optimizer
from autoscale.training.process_group import ALONE, ProcessGroup
from autoscale.training.recipe import Recipe
from autoscale.training.resident import ResidentCut, fits

EVALUATION_BATCH = 256
#: Steps whose losses are asked for together on a graphics card.
_ASKED_TOGETHER = 20


class TrainingFailed(AutoscaleError):
    """A training that gave no network; the message is the cause."""


class TrainingDiverged(TrainingFailed):
    """The loss stopped being a number."""


class OutOfMemory(TrainingFailed):
    """A step did not fit into memory, not even in two halves."""


class OutOfTime(TrainingFailed):
    """The training took longer than it was given."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images."""

    number: int  # from 1
    loss: float  # mean over the steps of the epoch, label smoothing included
    accuracy: float | None  # on the validation images, in [0, 1]; None when not evaluated
    seconds: float  # evaluation included
    evaluation_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """What a training run gave."""

    accuracy: float  # on the validation images after the last epoch, in [0, 1]
    loss: float  # of the last epoch
    epochs: tuple[Epoch, ...]  # those that ran: fewer than the recipe's if `on_epoch` stopped it
    seconds: float  # everything, of this call
    train_seconds: float  # without the evaluations
    halved: bool = False  # memory ran out once, and batches went through in two halves since


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training after some epochs: what it needs to go on as if it had never stopped."""

    epochs: tuple[Epoch, ...]
    tensors: Mapping[str, Tensor]  # by `network/`, `average/` and `optimizer/` and a name
    halved: bool = False

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights that are evaluated: the averaged ones when the recipe averages."""
        averaged = self.part("average/")
        return averaged or self.part("network/")

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, by the rest of their names."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def fit(
    network: nn.Module,
    train: Images,
    validation: Images,
    recipe: Recipe,
    *,
    resolution: int,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], bool | None] | None = None,
    evaluate_after: Collection[int] = (),
    resume: Snapshot | None = None,
    keep: Callable[[Snapshot], None] | None = None,
    time_limit: float | None = None,
    peers: ProcessGroup = ALONE,
    cut: Cut = crops.cut,
    preparation: Preparation = OURS,
) -> Fit:
    """Train `network` in place by `recipe` and evaluate it.

    The network ends on `device`, in eval mode, with the weights that were evaluated: the averaged
    ones when the recipe averages. The same initial weights, arguments, thread count and machine
    give bit-equal results on a CPU; the global random state is left alone.

    When memory runs out, the batch is done again in two halves whose gradients are added, and so
    are all later ones; batch norm then sees half a batch at a time.

    Args:
        network: maps (N, 3, resolution, resolution) to logits (N, classes).
        train: at least one image. A last incomplete batch is dropped, unless it is the only one.
        validation: at least one image.
        resolution: pixels per side that the network sees; stored images of another size are resized
            with antialiasing.
        on_epoch: called after each epoch. If it returns True, that epoch was the last. What it
            raises stops the training and reaches the caller.
        evaluate_after: numbers of epochs, from 1, that end with an evaluation of the weights that
            would be kept; a `range` does. The last epoch is always evaluated.
        resume: go on from here, to the same bits as without the interruption.
        keep: called after each epoch with a snapshot whose tensors are the live ones: write or copy
            them before it returns.
        time_limit: seconds of this call; a training that needs more fails, with its peers.
        peers: the other processes that train the same network; each takes its part of every batch.
        cut: cuts augmented images out of the stored ones; a faster way changes no byte.
        preparation: its mean and deviation are what the network expects of its input; the images
            were decoded by the rest of it.

    Raises:
        InvalidSetting: if `resolution` is below 1, `evaluate_after` holds a number that is no epoch
            of the recipe, `time_limit` is not above 0, or `device` is not there.
        DataProblem: if a set of images is empty.
        TrainingDiverged: if the loss becomes infinite or not a number.
        OutOfMemory: if half a batch does not fit.
        OutOfTime: if `time_limit` is exceeded.
    """
    _check_epochs(evaluate_after, recipe.epochs)
    if time_limit is not None and not time_limit > 0:
        raise InvalidSetting(f"time_limit must be above 0 seconds, got {time_limit}")
    _check_images(train, resolution)
    _check_images(validation, resolution)
    target = device_named(device)

    started = time.perf_counter()
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.crop != "random-resized":  # which cuts from the stored pixels, the others do not
        train = resized(train, resolution)
    validation = resized(validation, resolution)
    if fits(train.pixels, target):
        cut = ResidentCut(train.pixels, target)
    optimizer = make_optimizer(network, recipe)
    steps = max(1, len(train) // recipe.batch_size)
    average = EMA(network, recipe.ema_decay) if recipe.ema_decay else None
    scored = average.network if average else network
    epochs: list[Epoch] = []
    gradients_of = _Gradients(
        network, recipe, target, may_halve=peers.size == 1, preparation=preparation
    )
    evaluation_seconds = 0.0
    if resume is not None:
        network.load_state_dict(resume.part("network/"))
        restore_optimizer(optimizer, resume.part("optimizer/"))
        epochs, gradients_of.halved = list(resume.epochs), resume.halved
        if average:
            average.network.load_state_dict(resume.part("average/"))
            average.steps = steps * len(epochs)

    def elapsed() -> float:
        return time.perf_counter() - started

    def score() -> float:
        nonlocal evaluation_seconds
        before = time.perf_counter()
        accuracy = evaluate(
            scored, validation, resolution=resolution, device=device, peers=peers,
            preparation=preparation,
        )  # fmt: skip
        evaluation_seconds += time.perf_counter() - before
        return accuracy

    with torch.random.fork_rng([target] if target.type == "cuda" else []):
        for number in range(len(epochs) + 1, recipe.epochs + 1):
            # Of the seed and the epoch alone, so that it does not matter where a training began.
            torch.manual_seed(_derived(seed, number, peers.rank))
            epoch_started, evaluated = time.perf_counter(), evaluation_seconds
            network.train()
            losses = _Losses(recipe, epoch=number, steps=steps, device=target)
            epoch = batches(
                train, recipe, resolution, seed=seed, epoch=number,
                part=peers.rank, parts=peers.size, cut=cut,
            )  # fmt: skip
            for step, (pixels, labels) in enumerate(epoch):
                # The middle of the step, so that neither the first nor the last has a rate of 0.
                progress = (number - 1 + (step + 0.5) / steps) / recipe.epochs
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate_at(progress)
                loss = gradients_of(pixels, labels)
                peers.average([loss, *(p.grad for p in network.parameters() if p.grad is not None)])
                losses.add(loss)
                optimizer.step()
                if average:
                    average.update(network)
                # Peers stop at the same step, that of the first of them that is late.
                if time_limit is not None and peers.total(elapsed() > time_limit):
                    raise OutOfTime(
                        f"the training was at epoch {number} of {recipe.epochs}, step {step + 1} "
                        f"of {steps}, after {time_limit:g} seconds; allow more, or fewer epochs"
                    )
            mean_loss = losses.mean()
            for module in (network, average.network) if average else (network,):
                peers.average([b for b in module.buffers() if b.is_floating_point()])
            accuracy = score() if number == recipe.epochs or number in evaluate_after else None
            seconds = time.perf_counter() - epoch_started
            evaluated = evaluation_seconds - evaluated
            epochs.append(Epoch(number, mean_loss, accuracy, seconds, evaluated))
            if keep:
                keep(_snapshot(epochs, network, average, optimizer, gradients_of.halved))
            if on_epoch and on_epoch(epochs[-1]):
                break

    last = epochs[-1]
    if last.accuracy is None:  # it was stopped after an epoch that nobody wanted evaluated
        before = time.perf_counter()
        accuracy = score()
        taken = time.perf_counter() - before
        last = epochs[-1] = replace(
            last, accuracy=accuracy, seconds=last.seconds + taken, evaluation_seconds=taken
        )
    if average:
        network.load_state_dict(average.network.state_dict())
    network.eval()
    seconds = elapsed()
    assert last.accuracy is not None
    return Fit(
        last.accuracy,
        last.loss,
        tuple(epochs),
        seconds,
        seconds - evaluation_seconds,
        gradients_of.halved,
    )


def evaluate(
    network: nn.Module,
    images: Images,
    *,
    resolution: int,
    batch_size: int = EVALUATION_BATCH,
    device: str = "cpu",
    peers: ProcessGroup = ALONE,
    preparation: Preparation = OURS,
) -> float:
    """The fraction of `images`, in [0, 1], whose largest logit is that of their label.

    The network is moved to `device` and switched to eval mode and back.

    Args:
        peers: processes that share the images; all get the fraction of all of them.
        preparation: its mean and deviation are what the network expects of its input.

    Raises:
        InvalidSetting: if `resolution` or `batch_size` is below 1, or `device` is not there.
        DataProblem: if there are no images.
    """
    if batch_size < 1:
        raise InvalidSetting(f"batch_size must be at least 1; got {batch_size}")
    _check_images(images, resolution)
    target = device_named(device)
    images = resized(images, resolution)
    was_training = network.training
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    right = 0
    with torch.inference_mode():
        for start in range(peers.rank * batch_size, len(images), peers.size * batch_size):
            pixels = as_channels_last(images.pixels[start : start + batch_size])
            labels = torch.from_numpy(images.labels[start : start + batch_size])
            guesses = network(normalised(pixels.to(target), preparation)).argmax(dim=1).cpu()
            right += int((guesses == labels).sum())
    network.train(was_training)
    return peers.total(right) / len(images)


def device_named(name: str) -> torch.device:
    """The device; "auto" is the first CUDA device if there is one, else the CPU.

    Raises:
        InvalidSetting: if it is not there.
    """
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidSetting(f"cannot use the device {name!r} here; try 'cpu'") from error
    return device


class _Losses:
    """The losses of the steps of an epoch.

    A graphics card is asked for them only now and then: asking waits until it has done all that it
    was given. So a training there may go on for some steps after it diverged.
    """

    def __init__(self, recipe: Recipe, *, epoch: int, steps: int, device: torch.device) -> None:
        self._recipe, self._epoch, self._steps = recipe, epoch, steps
        self._together = 1 if device.type == "cpu" else _ASKED_TOGETHER
        self._new: list[Tensor] = []
        self._known: list[float] = []

    def add(self, loss: Tensor) -> None:
        """Note the loss of the next step.

        Raises:
            TrainingDiverged: if this or an earlier one is infinite or not a number.
        """
        self._new.append(loss)
        if len(self._new) >= self._together:
            self._ask()

    def mean(self) -> float:
        """The mean loss of all steps.

        Raises:
            TrainingDiverged: as `add`.
        """
        self._ask()
        return float(np.mean(self._known))

    def _ask(self) -> None:
        for loss in torch.stack(self._new).tolist() if self._new else []:
            self._known.append(loss)
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss became {loss} in epoch {self._epoch}, step {len(self._known)} of "
                    f"{self._steps}; lower the learning rate (peak "
                    f"{self._recipe.learning_rate:g}) or lengthen the warm-up"
                )
        self._new.clear()


class _Gradients:
    """Computes the gradients of a batch; in two halves, once it did not fit into memory."""

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        *,
        may_halve: bool,
        preparation: Preparation,
    ) -> None:
        self.halved = False
        self._preparation = preparation
        self._network, self._device, self._may_halve = network, device, may_halve
        self._label_smoothing = recipe.label_smoothing

    def __call__(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Give every parameter its gradient of the batch's mean loss, which is returned.

        Raises:
            OutOfMemory: if half a batch does not fit.
        """
        size = math.ceil(len(labels) / 2) if self.halved else len(labels)
        try:
            return self._sum(list(zip(pixels.split(size), labels.split(size), strict=True)))
        except (MemoryError, RuntimeError) as problem:
            if not out_of_memory(problem):
                raise
            if self.halved or len(labels) < 4 or not self._may_halve:
                raise OutOfMemory(
                    f"memory ran out at {size} images a step of {pixels.shape[-1]} pixels"
                    f"{', half a batch' if self.halved else ''}; lower the batch size or the "
                    "resolution"
                ) from None
        self.halved = True  # here, where the failed pass and its memory are gone
        return self(pixels, labels)

    def _sum(self, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
        self._network.zero_grad(set_to_none=True)
        images = sum(len(labels) for _, labels in parts)
        total = torch.zeros((), device=self._device)
        for pixels, labels in parts:
            # bfloat16 pays on graphics cards; on a CPU the native kernels are float32.
            with torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda"):
                loss = functional.cross_entropy(
                    self._network(normalised(pixels.to(self._device), self._preparation)),
                    labels.to(self._device, non_blocking=True),
                    label_smoothing=self._label_smoothing,
                )
            if len(parts) > 1:
                loss = loss * (len(labels) / images)
            loss.backward()
            total += loss.detach()
        return total


def out_of_memory(problem: Exception) -> bool:
    """Whether memory ran out, of the machine or of a device."""
    return isinstance(problem, MemoryError | torch.OutOfMemoryError) or any(
        sign in str(problem) for sign in ("can't allocate memory", "not enough memory")
    )


def _snapshot(
    epochs: list[Epoch],
    network: nn.Module,
    average: EMA | None,
    optimizer: torch.optim.Optimizer,
    halved: bool,
) -> Snapshot:
    parts = {"network/": network.state_dict(), "optimizer/": optimizer_tensors(optimizer)}
    if average:
        parts["average/"] = average.network.state_dict()
    tensors = {prefix + name: t for prefix, part in parts.items() for name, t in part.items()}
    return Snapshot(tuple(epochs), tensors, halved)


def _derived(seed: int, *numbers: int) -> int:
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1, np.uint64)[0])


def _check_epochs(evaluate_after: Collection[int], epochs: int) -> None:
    for number in evaluate_after:
        if not 1 <= number <= epochs:
            raise InvalidSetting(
                f"evaluate_after must hold epochs from 1 to {epochs}, the recipe's; got {number}"
            )


def _check_images(images: Images, resolution: int) -> None:
    if resolution < 1:
        raise InvalidSetting(f"resolution must be at least 1 pixel; got {resolution}")
    if len(images) == 0:
        raise DataProblem("got 0 images; at least 1 is needed to train or evaluate")
