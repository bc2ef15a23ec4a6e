"""Windows of images: which ones a recipe takes, and how they are cut out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

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
        resolution: int,
    ) -> Tensor:
        """Windows resized with antialiasing, some mirrored left to right.

        Args:
            pixels: (N, S, S, C).
            rows: (B,), which of the images.
            windows: (B, 4), top, left, height and width. Those as large as the result may reach
                over the borders by less than a side, where the image is reflected; others lie
                inside.
            mirrored: (B,).

        Shape of the result: (B, C, resolution, resolution), channels last, bytes.
        """


def windows_of(
    recipe: Recipe, count: int, side: int, random: np.random.Generator
) -> NDArray[np.int32]:
    """What the recipe's augmentation takes out of `count` images: (count, 4)."""
    match recipe.crop:
        case "random-resized":
            area = side**2 * random.uniform(recipe.crop_scale_min, 1, count)
            stretch = ASPECT_RATIO_MAX ** random.uniform(-0.5, 0.5, count)
            heights = np.clip(np.rint(np.sqrt(area) * stretch), 1, side).astype(int)
            widths = np.clip(np.rint(np.sqrt(area) / stretch), 1, side).astype(int)
            tops = random.integers(0, side - heights + 1)
            lefts = random.integers(0, side - widths + 1)
        case "shift":
            reach = round(recipe.shift * side)
            heights = widths = np.full(count, side)
            tops = lefts = np.zeros(count, dtype=int)
            if reach:
                tops, lefts = random.integers(-reach, reach + 1, (count, 2)).T
        case "none":
            heights = widths = np.full(count, side)
            tops = lefts = np.zeros(count, dtype=int)
    return np.stack((tops, lefts, heights, widths), axis=1).astype(np.int32)


def augmentation_of(
    recipe: Recipe, count: int, side: int, random: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Windows of `count` images (count, 4), and which of them are mirrored (count,)."""
    windows = windows_of(recipe, count, side, random)
    mirrored = np.zeros(count, dtype=bool)
    if recipe.flip:
        mirrored = random.random(count) < 0.5
    return windows, mirrored


def cut(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    windows: NDArray[np.int32],
    mirrored: NDArray[np.bool_],
    resolution: int,
) -> Tensor:
    """The crops of `windows` at `resolution`, mirrored where asked, by torch's operations.

    Shape: (images, side, side, C), (N,), (N, 4), (N,) -> (N, C, resolution, resolution); see `Cut`.
    """
    side = pixels.shape[1]
    over = int(max(0, -windows[:, :2].min(), (windows[:, :2] + windows[:, 2:]).max() - side))
    images = pixels[rows]
    if over:
        images = np.pad(images, ((0, 0), (over, over), (over, over), (0, 0)), mode="reflect")
    crops = np.empty((len(rows), resolution, resolution, pixels.shape[3]), dtype=np.uint8)
    inner = windows + np.array([over, over, 0, 0])
    for i, (top, left, height, width) in enumerate(inner):
        crop = images[i, top : top + height, left : left + width]
        if (height, width) != (resolution, resolution):
            whole = torch.from_numpy(crop).permute(2, 0, 1)[None]
            crop = resize(whole, resolution)[0].permute(1, 2, 0).numpy()
        crops[i] = crop[:, ::-1] if mirrored[i] else crop
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


def resize(batch: Tensor, resolution: int) -> Tensor:
    """(N, C, H, W) with antialiasing to (N, C, resolution, resolution)."""
    if batch.shape[-2:] == (resolution, resolution):
        return batch
    return functional.interpolate(batch, (resolution, resolution), mode="bilinear", antialias=True)
