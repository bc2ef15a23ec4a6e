"""Batches of augmented images, and images as a network wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.training.augmentation.augment import augmented
from autoscale.training.augmentation.mixing import Mixture, mixed
from autoscale.training.crops import augmentation_of, resize
from autoscale.training.recipe import Recipe
from autoscale.training.task import HERE, Runtime, TrainingTask

_CHUNK = 256  # images resized together
# Apart from the random numbers of crops, which stay as they are without these.
_ALTERED, _TURNS = 5, 6


class Batch(NamedTuple):
    """Images of one step."""

    pixels: Tensor  # bytes, (B, C, H, W)
    labels: Tensor  # (B,); of several classes (B, classes)
    answers: Tensor | None = None  # a teacher's logits, (B, classes)
    mixture: Mixture | None = None  # what the images were mixed with
    turn: int | None = None  # of `TrainingTask.inner`, whose it is; None of the network itself

    def split(self, size: int) -> list[Batch]:
        """In parts of at most `size` images."""
        none: list[Any] = [None] * len(self.labels)
        answers: Sequence[Any] = none if self.answers is None else self.answers.split(size)
        mixtures = none
        if self.mixture is not None:
            pairs = (tensor.split(size) for tensor in self.mixture)
            mixtures = [Mixture(*pair) for pair in zip(*pairs, strict=True)]
        parts = zip(
            self.pixels.split(size), self.labels.split(size), answers, mixtures, strict=False
        )
        return [Batch(*part, turn=self.turn) for part in parts]


def batches(task: TrainingTask, epoch: int, runtime: Runtime = HERE) -> Iterator[Batch]:
    """One epoch of augmented training images, in random order.

    Each is seen once; in a balanced task as many are drawn, of each class equally many to within
    one, those of small classes several times and each time augmented anew.

    The height is the task's resolution, or less early in a recipe whose images grow. A last
    incomplete batch is dropped, unless it is the only one. Order and augmentation depend on the
    seed and the epoch's number alone; where a teacher answered, the crops are those it saw.

    What a recipe does to images beside cutting and mirroring happens to the crops at the network's
    size: its policy, its colours, its erasing, then its mixtures, within the batch of a process.

    Args:
        epoch: its number, from 1.
        runtime: its peers share each batch, augmented independently.
    """
    recipe, seed = task.recipe, task.seed
    part, parts = runtime.peers.rank, runtime.peers.size
    order = _order(task, np.random.default_rng([seed, epoch]))
    random = np.random.default_rng([seed, epoch, 1 + part])
    altering = np.random.default_rng([seed, epoch, 1 + part, _ALTERED])
    if len(order) == 1:
        order = np.repeat(order, 2)  # batch norm cannot take the variance of one number
    together = min(recipe.batch_size, len(order))
    seen = _Seen.of(task, epoch) if task.teaching else None
    starts = range(0, len(order) - together + 1, together)
    for start, turn in zip(starts, _turns(task, epoch, len(starts)), strict=True):
        images, resolution = _seen_by(task, turn)
        stored = size_of(images)
        size = task.preparation.image_size(recipe.resolution_at(epoch, resolution))
        # Shifted and whole images are cut as they are and shrunk afterwards, if at all.
        cut_size = size if recipe.crop == "random-resized" else stored
        chosen = np.sort(order[start : start + together])[part::parts]
        if seen is None:
            windows, mirrored = augmentation_of(recipe, len(chosen), stored, random)
        else:
            windows, mirrored = seen.windows[chosen], seen.mirrored[chosen]
        pixels = resize(runtime.cut(images.pixels, chosen, windows, mirrored, cut_size), size)
        labels = torch.from_numpy(images.labels[chosen])
        answers = None if seen is None else torch.from_numpy(seen.answers[chosen])
        batch = Batch(pixels, labels, answers, turn=turn)
        yield _altered(batch, recipe, epoch, altering)


def _turns(task: TrainingTask, epoch: int, steps: int) -> Sequence[int | None]:
    """Whose each step of an epoch is: all networks' equally often, to within one, by chance."""
    if not task.turns:
        return [None] * steps
    each: list[int | None] = [*range(len(task.inner)), None]
    random = np.random.default_rng([task.seed, epoch, _TURNS])
    drawn = [random.permutation(len(each)) for _ in range(-(-steps // len(each)))]
    return [each[place] for places in drawn for place in places][:steps]


def _seen_by(task: TrainingTask, turn: int | None) -> tuple[Images, int]:
    """Stored images, and of what height they are seen."""
    if turn is None or (images := task.inner[turn].images) is None:
        return task.train, task.resolution
    return images, task.inner[turn].resolution


def _altered(batch: Batch, recipe: Recipe, epoch: int, random: np.random.Generator) -> Batch:
    """A batch of crops after all that the recipe does to images beside cutting them out."""
    if not recipe.altering:
        return batch
    share = recipe.regularisation_at(epoch)
    pixels = augmented(batch.pixels, recipe, share=share, random=random)
    if not recipe.mixing:
        return batch._replace(pixels=pixels)
    pixels, mixture = mixed(pixels, batch.labels, recipe, share=share, random=random)
    return batch._replace(pixels=pixels, mixture=mixture)


def _order(task: TrainingTask, random: np.random.Generator) -> NDArray[np.int64]:
    """Which images an epoch shows, one after the other."""
    if not task.balanced:
        return random.permutation(len(task.train))
    return balanced_order(task.train.labels, random)


def balanced_order(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Which of the images to take, as many as there are, in random order: (N,) -> (N,).

    Classes that have images are equally frequent to within one. None is repeated before all others
    of its class were taken as often.
    """
    present = np.unique(labels)
    each, further = divmod(len(labels), len(present))
    more = set(random.permutation(present)[:further].tolist())
    drawn = [
        _drawn(np.flatnonzero(labels == label), each + (int(label) in more), random)
        for label in present
    ]
    return random.permutation(np.concatenate(drawn))


def _drawn(images: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """So many of the images, all of them again and again and then some."""
    whole, rest = divmod(count, len(images))
    return np.concatenate([np.repeat(images, whole), random.permutation(images)[:rest]])


class _Seen(NamedTuple):
    """The crops of an epoch that a teacher saw too, and its answers."""

    windows: NDArray[np.int32]
    mirrored: NDArray[np.bool_]
    answers: NDArray[np.float32]

    @classmethod
    def of(cls, task: TrainingTask, epoch: int) -> _Seen:
        assert task.teaching is not None
        crops = task.teaching.crops
        number, stored = crops.of_epoch(epoch), size_of(task.train)
        windows, mirrored = crops.windows(number, len(task.train), of=stored)
        return cls(windows, mirrored, task.teaching.answers[number])


def size_of(images: Images) -> ImageSize:
    """Of the stored ones."""
    return ImageSize(*images.pixels.shape[1:3])


def resized(images: Images, size: ImageSize) -> Images:
    """Images of that size, with antialiasing."""
    if size_of(images) == size:
        return images
    pixels = np.empty((len(images), *size, images.pixels.shape[3]), dtype=np.uint8)
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        batch = resize(as_channels_last(images.pixels[part]), size)
        pixels[part] = batch.permute(0, 2, 3, 1).numpy()
    return Images(pixels, images.labels)


def as_channels_last(pixels: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, C) seen as (N, C, H, W): the same memory, already in channels_last order."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def normalised(batch: Tensor, preparation: Preparation = OURS) -> Tensor:
    """Numbers 0..255 of shape (N, C, H, W) as a network's input, float32, on the same device."""
    numbers = batch.to(torch.float32, copy=True)
    mean, deviation = preparation.mean, preparation.deviation
    if len({*mean}) == len({*deviation}) == 1:  # in one go, which is several times as fast
        return numbers.sub_(255 * mean[0]).div_(255 * deviation[0])
    for channel in range(preparation.channels):
        numbers[:, channel].sub_(255 * mean[channel]).div_(255 * deviation[channel])
    return numbers


def to_input(
    pixels: NDArray[np.uint8], *, resolution: int, preparation: Preparation = OURS
) -> Tensor:
    """What a trained network expects: (N, H, W, C) bytes to (N, C, h, w) floats.

    Resized with antialiasing where they are not of `resolution` in height and a width by the
    preparation's aspect, then (value / 255 - mean) / deviation in each channel.
    """
    size = preparation.image_size(resolution)
    return normalised(resize(as_channels_last(pixels), size), preparation)
