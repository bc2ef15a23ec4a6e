"""What a recipe does to each image of a batch besides cutting it out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autoscale.errors import InvalidSetting
from autoscale.training.augmentation.operations import changed
from autoscale.training.augmentation.policy import Policy, policy_named
from autoscale.training.recipe import Recipe

#: Of red, green and blue in what is seen as brightness. Source: ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)
#: Area of what is erased by that of the image, and its height by its width, at the ends.
#: Source: Zhong et al. 2020 (random erasing), whose aspect ratios are even where these are even in
#: their logarithm: so standing and lying rectangles are equally frequent.
_ERASED, _ASPECT = (0.02, 0.4), 1 / 0.3


def augmented(
    pixels: Tensor, recipe: Recipe, *, share: float, random: np.random.Generator
) -> Tensor:
    """Images after the recipe's policy, its colour jitter and its erasing, in this order.

    Shape: (B, C, H, W), numbers 0..255, bytes if a policy is asked for -> the same.

    Args:
        share: of the strength of all three, in (0, 1]; see `Recipe.regularisation_at`.
    """
    if (policy := policy_named(recipe.augment)) is not None:
        pixels = _by_policy(pixels, policy, share, random)
    if recipe.color_jitter:
        pixels = _jittered(pixels, share * recipe.color_jitter, random)
    if recipe.erasing:
        pixels = _erased(pixels, share * recipe.erasing, random)
    return pixels


def require_channels(recipe: Recipe, channels: int) -> None:
    """Refuse images whose channels no operation knows as colours.

    Raises:
        InvalidSetting: naming what is to be left out.
    """
    asked = [name for name in ("augment", "color_jitter") if recipe.changes(name)]
    if asked and channels not in (1, 3):
        raise InvalidSetting(
            f"{asked[0]} {getattr(recipe, asked[0])} changes grey images and those of red, green "
            f"and blue, and these have {channels} channels; leave it out (erasing, mixup and "
            "cutmix take any channels)"
        )


def _by_policy(pixels: Tensor, policy: Policy, share: float, random: np.random.Generator) -> Tensor:
    images = pixels.permute(0, 2, 3, 1).contiguous().numpy().copy()
    drawn = policy.drawn(len(images), channels=images.shape[3], share=share, random=random)
    for image, steps in zip(images, drawn, strict=True):
        image[:] = changed(image, steps)
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _jittered(pixels: Tensor, strength: float, random: np.random.Generator) -> Tensor:
    """Brightness, contrast and, of three channels, saturation times 1 - strength to 1 + strength.

    Each image has factors of its own; they work one after the other in this order, before anything
    is cut to 0..255.
    """
    channels = pixels.shape[1]
    drawn = random.uniform(1 - strength, 1 + strength, (3, len(pixels), 1, 1, 1))
    brighter, sharper, richer = torch.from_numpy(drawn.astype(np.float32)).to(pixels.device)
    images = pixels.float() * brighter
    middle = _luma(images, channels).mean((1, 2, 3), keepdim=True)
    images = torch.lerp(middle, images, sharper)
    if channels == 3:
        images = torch.lerp(_luma(images, channels), images, richer)
    return as_stored(images, pixels)


def _luma(images: Tensor, channels: int) -> Tensor:
    """How bright each pixel is seen: (B, 1, H, W)."""
    if channels == 1:
        return images
    parts = [share * images[:, channel : channel + 1] for channel, share in enumerate(_LUMA)]
    return parts[0] + parts[1] + parts[2]


def _erased(pixels: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """Some images with a rectangle of noise; one that would not fit ends at the border."""
    chosen = np.flatnonzero(random.random(len(pixels)) < probability).tolist()
    if not chosen:
        return pixels
    (high, wide), pixels = pixels.shape[-2:], pixels.clone()
    for image in chosen:
        area = high * wide * random.uniform(*_ERASED)
        stretch = _ASPECT ** random.uniform(-1, 1)
        height = min(high, max(1, round(float(np.sqrt(area * stretch)))))
        width = min(wide, max(1, round(float(np.sqrt(area / stretch)))))
        top = int(random.integers(high - height + 1))
        left = int(random.integers(wide - width + 1))
        noise = random.integers(0, 256, (pixels.shape[1], height, width), dtype=np.uint8)
        there = (image, slice(None), slice(top, top + height), slice(left, left + width))
        pixels[there] = torch.from_numpy(noise).to(pixels.device, pixels.dtype)
    return pixels


def as_stored(images: Tensor, like: Tensor) -> Tensor:
    """Numbers as whole ones of 0..255 in the type of others, channels last."""
    whole = images.round().clamp(0, 255).to(like.dtype)
    return whole.contiguous(memory_format=torch.channels_last)
