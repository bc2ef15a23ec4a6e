"""Train a network on images in memory, and say how often it is right."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from autoscale.errors import AutoscaleError, DataProblem, InvalidSetting
from autoscale.training.data import Images
from autoscale.training.recipe import Recipe

# The same for every data set, so that an exported network needs no file of statistics beside it.
# Photographs come out with a mean near 0 and a deviation near 1; batch norm does the rest.
PIXEL_MEAN = 0.5
PIXEL_DEVIATION = 0.25

# Of the side lengths of a random-resized crop. Source: Szegedy et al. 2015 (GoogLeNet), section 6.
ASPECT_RATIO_MAX = 4 / 3

EVALUATION_BATCH = 256


class TrainingDiverged(AutoscaleError):
    """The loss stopped being a number."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images."""

    number: int  # from 1
    loss: float  # mean over the steps of the epoch, label smoothing included
    accuracy: float | None  # on the validation images, in [0, 1]; None when not evaluated
    seconds: float  # evaluation included


@dataclass(frozen=True, slots=True)
class Fit:
    """What a training run gave."""

    accuracy: float  # on the validation images after the last epoch, in [0, 1]
    loss: float  # of the last epoch
    epochs: tuple[Epoch, ...]  # those that ran: fewer than the recipe's if `on_epoch` stopped it
    seconds: float  # everything
    train_seconds: float  # without the evaluations


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
) -> Fit:
    """Train `network` in place by `recipe` and evaluate it.

    The network ends on `device`, in eval mode, with the weights that were evaluated: the averaged
    ones when the recipe averages. The same initial weights, arguments, thread count and machine
    give bit-equal results on a CPU; the global random state is left alone.

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

    Raises:
        InvalidSetting: if `resolution` is below 1, `evaluate_after` holds a number that is no epoch
            of the recipe, or `device` is not there.
        DataProblem: if a set of images is empty.
        TrainingDiverged: if the loss becomes infinite or not a number.
    """
    _check_epochs(evaluate_after, recipe.epochs)
    _check_images(train, resolution)
    _check_images(validation, resolution)
    target = _device(device)

    started = time.perf_counter()
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.crop != "random-resized":  # which cuts from the stored pixels, the others do not
        train = _resized(train, resolution)
    validation = _resized(validation, resolution)
    optimizer = _optimizer(network, recipe)
    average = _Average(network, recipe.ema_decay) if recipe.ema_decay else None
    scored = average.network if average else network
    random = np.random.default_rng(seed)
    steps = max(1, len(train) // recipe.batch_size)
    epochs: list[Epoch] = []
    evaluation_seconds = 0.0

    def score() -> float:
        nonlocal evaluation_seconds
        before = time.perf_counter()
        accuracy = evaluate(scored, validation, resolution=resolution, device=device)
        evaluation_seconds += time.perf_counter() - before
        return accuracy

    with torch.random.fork_rng([target] if target.type == "cuda" else []):
        torch.manual_seed(seed)
        for number in range(1, recipe.epochs + 1):
            epoch_started = time.perf_counter()
            network.train()
            losses = []
            batches = _batches(train, recipe, resolution, random)
            for step, (pixels, labels) in enumerate(batches):
                # The middle of the step, so that neither the first nor the last has a rate of 0.
                progress = (number - 1 + (step + 0.5) / steps) / recipe.epochs
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate_at(progress)
                logits = network(_normalised(pixels.to(target)))
                loss = functional.cross_entropy(
                    logits, labels.to(target), label_smoothing=recipe.label_smoothing
                )
                losses.append(loss.item())
                if not math.isfinite(losses[-1]):
                    raise TrainingDiverged(
                        f"the loss became {losses[-1]} in epoch {number}, step {step + 1} of "
                        f"{steps}; lower the learning rate (peak {recipe.learning_rate:g}) "
                        "or lengthen the warm-up"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                if average:
                    average.follow(network)
            accuracy = None
            if number == recipe.epochs or number in evaluate_after:
                accuracy = score()
            seconds = time.perf_counter() - epoch_started
            epochs.append(Epoch(number, float(np.mean(losses)), accuracy, seconds))
            if on_epoch and on_epoch(epochs[-1]):
                break

    last = epochs[-1]
    if last.accuracy is None:  # it was stopped after an epoch that nobody wanted evaluated
        before = time.perf_counter()
        accuracy = score()
        seconds = last.seconds + time.perf_counter() - before
        last = epochs[-1] = replace(last, accuracy=accuracy, seconds=seconds)
    if average:
        network.load_state_dict(average.network.state_dict())
    network.eval()
    elapsed = time.perf_counter() - started
    assert last.accuracy is not None
    return Fit(last.accuracy, last.loss, tuple(epochs), elapsed, elapsed - evaluation_seconds)


def evaluate(
    network: nn.Module,
    images: Images,
    *,
    resolution: int,
    batch_size: int = EVALUATION_BATCH,
    device: str = "cpu",
) -> float:
    """The fraction of `images`, in [0, 1], whose largest logit is that of their label.

    The network is moved to `device` and switched to eval mode and back.

    Raises:
        InvalidSetting: if `resolution` or `batch_size` is below 1, or `device` is not there.
        DataProblem: if there are no images.
    """
    if batch_size < 1:
        raise InvalidSetting(f"batch_size must be at least 1; got {batch_size}")
    _check_images(images, resolution)
    target = _device(device)
    images = _resized(images, resolution)
    was_training = network.training
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            pixels = _as_channels_last(images.pixels[start : start + batch_size])
            labels = torch.from_numpy(images.labels[start : start + batch_size])
            guesses = network(_normalised(pixels.to(target))).argmax(dim=1).cpu()
            right += int((guesses == labels).sum())
    network.train(was_training)
    return right / len(images)


def to_input(pixels: NDArray[np.uint8], *, resolution: int) -> Tensor:
    """What a trained network expects: (N, S, S, 3) bytes to (N, 3, resolution, resolution) floats.

    Resized with antialiasing when S differs from `resolution`, then (value / 255 - 0.5) / 0.25.
    """
    return _normalised(_resize(_as_channels_last(pixels), resolution))


class _Average:
    """A copy of a network that trails its weights and running statistics."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        # Short at first, so that a run of a hundred steps is not an average with its random start.
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        trailing, leading = [], []
        for slow, fast in zip(_tensors(self.network), _tensors(network), strict=True):
            if slow.is_floating_point():
                trailing.append(slow)
                leading.append(fast)
            else:
                slow.copy_(fast)
        torch._foreach_lerp_(trailing, leading, 1 - decay)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = recipe.learning_rate
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(
                groups, lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
            )
        case "rmsprop":  # alpha and eps: Tan & Le 2019 (EfficientNet) and its released code
            return torch.optim.RMSprop(
                groups, lr=rate, momentum=recipe.momentum, alpha=0.9, eps=1e-3
            )
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=(recipe.momentum, 0.999), fused=True)


def _batches(
    images: Images, recipe: Recipe, resolution: int, random: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order: augmented uint8 (B, 3, resolution, resolution), int64 (B,)."""
    order = random.permutation(len(images))
    if len(order) == 1:
        order = np.repeat(order, 2)  # batch norm cannot take the variance of one number
    batch_size = min(recipe.batch_size, len(order))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        chosen = order[start : start + batch_size]
        pixels = images.pixels[chosen]
        match recipe.crop:
            case "random-resized":
                batch = _random_resized_crop(pixels, resolution, recipe.crop_scale_min, random)
            case "shift":
                batch = _as_channels_last(_shifted(pixels, recipe.shift, random))
            case "none":
                batch = _as_channels_last(pixels)
        if recipe.flip:
            mirrored = torch.from_numpy(random.random(batch_size) < 0.5)
            batch[mirrored] = batch[mirrored].flip(-1)
        yield batch, torch.from_numpy(images.labels[chosen])


def _random_resized_crop(
    pixels: NDArray[np.uint8], resolution: int, scale_min: float, random: np.random.Generator
) -> Tensor:
    count, side = pixels.shape[:2]
    area = side**2 * random.uniform(scale_min, 1, count)
    stretch = ASPECT_RATIO_MAX ** random.uniform(-0.5, 0.5, count)
    heights = np.clip(np.rint(np.sqrt(area) * stretch), 1, side).astype(int)
    widths = np.clip(np.rint(np.sqrt(area) / stretch), 1, side).astype(int)
    tops = random.integers(0, side - heights + 1)
    lefts = random.integers(0, side - widths + 1)
    whole = _as_channels_last(pixels)
    crops = torch.empty((count, 3, resolution, resolution), dtype=torch.uint8)
    crops = crops.contiguous(memory_format=torch.channels_last)
    for i, (top, left, height, width) in enumerate(zip(tops, lefts, heights, widths, strict=True)):
        crops[i] = _resize(
            whole[i : i + 1, :, top : top + height, left : left + width], resolution
        )[0]
    return crops


def _shifted(
    pixels: NDArray[np.uint8], shift: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    count, side = pixels.shape[:2]
    reach = round(shift * side)
    if reach == 0:
        return pixels
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    moved = np.empty_like(pixels)
    for i, (top, left) in enumerate(random.integers(0, 2 * reach + 1, (count, 2))):
        moved[i] = padded[i, top : top + side, left : left + side]
    return moved


def _resized(images: Images, resolution: int) -> Images:
    if images.pixels.shape[1] == resolution:
        return images
    pixels = np.empty((len(images), resolution, resolution, 3), dtype=np.uint8)
    for start in range(0, len(images), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        batch = _resize(_as_channels_last(images.pixels[part]), resolution)
        pixels[part] = batch.permute(0, 2, 3, 1).numpy()
    return Images(pixels, images.labels)


def _resize(batch: Tensor, resolution: int) -> Tensor:
    if batch.shape[-2:] == (resolution, resolution):
        return batch
    return functional.interpolate(batch, (resolution, resolution), mode="bilinear", antialias=True)


def _as_channels_last(pixels: NDArray[np.uint8]) -> Tensor:
    """(N, S, S, 3) seen as (N, 3, S, S): the same memory, already in channels_last order."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _normalised(batch: Tensor) -> Tensor:
    return batch.float().sub_(255 * PIXEL_MEAN).div_(255 * PIXEL_DEVIATION)


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


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidSetting(f"cannot use the device {name!r} here; try 'cpu'") from error
    return device
