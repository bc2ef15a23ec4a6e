"""Windows of images: which ones a recipe takes, and how they are cut out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.aspect import ImageSize
from autoscale.training.recipe import Recipe

# Of the side lengths of a random-resized crop. Source: Szegedy et al. 2015 (GoogLeNet), section 6.
ASPECT_RATIO_MAX = 4 / 3


class Cut(Protocol):
    """Cuts windows out of images; an implementation may be faster, not different."""

    def __call__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        windows: NDArray[np.int32],
        mirrored: NDArray[np.bool_],
        size: ImageSize,
    ) -> Tensor:
        """Windows resized with antialiasing, some mirrored left to right.

        Args:
            pixels: (N, H, W, C).
            rows: (B,), which of the images.
            windows: (B, 4), top, left, height and width. Those as large as the result may reach
                over the borders by less than the image is long there, where it is reflected;
                others lie inside.
            mirrored: (B,).
            size: of the result, (h, w).

        Shape of the result: (B, C, h, w), channels last, bytes.
        """


def windows_of(
    recipe: Recipe, count: int, images: ImageSize, random: np.random.Generator
) -> NDArray[np.int32]:
    """What the recipe's augmentation takes out of `count` images: (count, 4).

    The sides of a random-resized crop relate to each other as those of the images, times or by at
    most `ASPECT_RATIO_MAX`; a shift reaches as far along each side as that is long.
    """
    height, width = images
    match recipe.crop:
        case "random-resized":
            share = random.uniform(recipe.crop_scale_min, 1, count)
            stretch = ASPECT_RATIO_MAX ** random.uniform(-0.5, 0.5, count)
            heights = np.clip(np.rint(np.sqrt(height**2 * share) * stretch), 1, height).astype(int)
            widths = np.clip(np.rint(np.sqrt(width**2 * share) / stretch), 1, width).astype(int)
            tops = random.integers(0, height - heights + 1)
            lefts = random.integers(0, width - widths + 1)
        case "shift":
            reach = np.array([round(recipe.shift * side) for side in images])
            heights, widths = np.full(count, height), np.full(count, width)
            tops = lefts = np.zeros(count, dtype=int)
            if reach.any():
                tops, lefts = random.integers(-reach, reach + 1, (count, 2)).T
        case "none":
            heights, widths = np.full(count, height), np.full(count, width)
            tops = lefts = np.zeros(count, dtype=int)
    return np.stack((tops, lefts, heights, widths), axis=1).astype(np.int32)


def augmentation_of(
    recipe: Recipe, count: int, images: ImageSize, random: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Windows of `count` images (count, 4), and which of them are mirrored (count,)."""
    windows = windows_of(recipe, count, images, random)
    mirrored = np.zeros(count, dtype=bool)
    if recipe.flip:
        mirrored = random.random(count) < 0.5
    return windows, mirrored


def cut(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    windows: NDArray[np.int32],
    mirrored: NDArray[np.bool_],
    size: ImageSize,
) -> Tensor:
    """The crops of `windows` of that size, mirrored where asked, by torch's operations.

    Shape: (N, H, W, C), (B,), (B, 4), (B,) -> (B, C, h, w); see `Cut`.
    """
    beyond = windows[:, :2] + windows[:, 2:] - pixels.shape[1:3]
    over = int(max(0, -windows[:, :2].min(), beyond.max()))
    images = pixels[rows]
    if over:
        images = np.pad(images, ((0, 0), (over, over), (over, over), (0, 0)), mode="reflect")
    crops = np.empty((len(rows), *size, pixels.shape[3]), dtype=np.uint8)
    inner = windows + np.array([over, over, 0, 0])
    for i, (top, left, height, width) in enumerate(inner):
        crop = images[i, top : top + height, left : left + width]
        if (height, width) != size:
            whole = torch.from_numpy(crop).permute(2, 0, 1)[None]
            crop = resize(whole, size)[0].permute(1, 2, 0).numpy()
        crops[i] = crop[:, ::-1] if mirrored[i] else crop
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


def resize(batch: Tensor, size: ImageSize) -> Tensor:
    """(N, C, H, W) with antialiasing to (N, C, h, w), the size."""
    if batch.shape[-2:] == tuple(size):
        return batch
    return functional.interpolate(batch, tuple(size), mode="bilinear", antialias=True)
