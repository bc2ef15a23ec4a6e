"""Batches of augmented images, and images as a network wants them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.training.data import Images
from autoscale.training.recipe import Recipe

# The same for every data set, so that an exported network needs no file of statistics beside it.
# Photographs come out with a mean near 0 and a deviation near 1; batch norm does the rest.
PIXEL_MEAN = 0.5
PIXEL_DEVIATION = 0.25

# Of the side lengths of a random-resized crop. Source: Szegedy et al. 2015 (GoogLeNet), section 6.
ASPECT_RATIO_MAX = 4 / 3

_CHUNK = 256  # images resized together


def batches(
    images: Images,
    recipe: Recipe,
    resolution: int,
    *,
    seed: int,
    epoch: int,
    part: int = 0,
    parts: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order: augmented uint8 (B, 3, size, size), int64 (B,).

    The size is `resolution`, or less early in a recipe whose images grow. A last incomplete batch
    is dropped, unless it is the only one. Order and augmentation depend on the seed and the epoch's
    number alone.

    Args:
        part: of `parts` that share each batch, from 0; the parts are augmented independently.
    """
    size = recipe.resolution_at(epoch, resolution)
    order = np.random.default_rng([seed, epoch]).permutation(len(images))
    random = np.random.default_rng([seed, epoch, 1 + part])
    if len(order) == 1:
        order = np.repeat(order, 2)  # batch norm cannot take the variance of one number
    together = min(recipe.batch_size, len(order))
    for start in range(0, len(order) - together + 1, together):
        chosen = np.sort(order[start : start + together])[part::parts]
        batch_size = len(chosen)
        pixels = images.pixels[chosen]
        match recipe.crop:
            case "random-resized":
                batch = _random_resized_crop(pixels, size, recipe.crop_scale_min, random)
            case "shift":
                batch = _resize(as_channels_last(_shifted(pixels, recipe.shift, random)), size)
            case "none":
                batch = _resize(as_channels_last(pixels), size)
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
    whole = as_channels_last(pixels)
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


def resized(images: Images, resolution: int) -> Images:
    if images.pixels.shape[1] == resolution:
        return images
    pixels = np.empty((len(images), resolution, resolution, 3), dtype=np.uint8)
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        batch = _resize(as_channels_last(images.pixels[part]), resolution)
        pixels[part] = batch.permute(0, 2, 3, 1).numpy()
    return Images(pixels, images.labels)


def _resize(batch: Tensor, resolution: int) -> Tensor:
    if batch.shape[-2:] == (resolution, resolution):
        return batch
    return functional.interpolate(batch, (resolution, resolution), mode="bilinear", antialias=True)


def as_channels_last(pixels: NDArray[np.uint8]) -> Tensor:
    """(N, S, S, 3) seen as (N, 3, S, S): the same memory, already in channels_last order."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def normalised(batch: Tensor) -> Tensor:
    return batch.float().sub_(255 * PIXEL_MEAN).div_(255 * PIXEL_DEVIATION)


def to_input(pixels: NDArray[np.uint8], *, resolution: int) -> Tensor:
    """What a trained network expects: (N, S, S, 3) bytes to (N, 3, resolution, resolution) floats.

    Resized with antialiasing when S differs from `resolution`, then (value / 255 - 0.5) / 0.25.
    """
    return normalised(_resize(as_channels_last(pixels), resolution))
