"""Images of a batch mixed in pairs, with the labels of both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.aspect import ImageSize
from autoscale.training.augmentation.augment import as_stored
from autoscale.training.recipe import Recipe


class Mixture(NamedTuple):
    """What images were mixed with."""

    others: Tensor  # (B,), labels of the second images
    shares: Tensor  # (B,), float32 in [0, 1], what the first ones, the batch's own, count


def mixed(
    pixels: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    share: float,
    random: np.random.Generator,
) -> tuple[Tensor, Mixture]:
    """Each image of a batch mixed with one of the same batch, by mixup or by CutMix.

    One number of the beta distribution and one pairing serve the whole batch, as in the papers'
    code. Where a recipe has both, half of the batches, by chance, have either.
    Sources: Zhang et al. 2018 (mixup), section 2; Yun et al. 2019 (CutMix), section 3.1.

    Args:
        pixels: (B, C, H, W), numbers 0..255.
        labels: (B,).
        recipe: mixes.
        share: by which alpha is multiplied, in (0, 1]; see `Recipe.regularisation_at`.

    Returns:
        The images, in the type of `pixels`, and their second labels.
    """
    by_mixup = random.random() < 0.5 if recipe.mixup and recipe.cutmix else bool(recipe.mixup)
    alpha = share * (recipe.mixup if by_mixup else recipe.cutmix)
    kept = float(random.beta(alpha, alpha))
    partners = torch.from_numpy(random.permutation(len(labels)))
    others = pixels[partners.to(pixels.device)]
    if by_mixup:
        images = as_stored(torch.lerp(others.float(), pixels.float(), kept), pixels)
    else:
        top, bottom, left, right = box_of(kept, ImageSize(*pixels.shape[-2:]), random.random(2))
        images = pixels.clone()
        images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        # What was cut off at the borders counts for the first image again.
        kept = 1 - (bottom - top) * (right - left) / (pixels.shape[-2] * pixels.shape[-1])
    return images, Mixture(labels[partners], torch.full((len(labels),), kept))


def box_of(
    kept: float, images: ImageSize, middle: NDArray[np.float64]
) -> tuple[int, int, int, int]:
    """Where the second image shows: top, bottom, left and right.

    A box of the image's shape and 1 - `kept` of its area, about a point of it, cut off at its
    borders.

    Args:
        images: of what size they are, pixels.
        middle: down and across, in [0, 1) of the height and of the width.
    """
    edges = []
    for side, place in zip(images, np.multiply(images, middle), strict=True):
        half = side * (1 - kept) ** 0.5 / 2
        edges += [max(0, round(float(place - half))), min(side, round(float(place + half)))]
    return edges[0], edges[1], edges[2], edges[3]
