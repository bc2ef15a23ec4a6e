"""How Hugging Face transformers prepares pictures for its EfficientNet, in our terms.

Source: huggingface/transformers, src/transformers/models/efficientnet/
image_processing_efficientnet.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from autoscale.datasets.pictures.preparation import MOST_BANDS, Channels, Interpolation, Preparation

#: The file that describes it.
PREPROCESSOR = "preprocessor_config.json"
MODEL_TYPE = "efficientnet"
#: Pillow's numbers of ways to resize.
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_OURS: Mapping[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic"}


class Prepared(NamedTuple):
    """What a preprocessor does to pictures."""

    mean: Channels  # of pixels in 0..1
    deviation: Channels
    interpolation: Interpolation | None  # None if autoscale knows no such one
    differences: tuple[str, ...]  # what it does and autoscale does not, after "it"


def is_processor(said: Mapping[str, Any]) -> bool:
    """Whether a preprocessor_config.json is EfficientNet's."""
    names = (said.get("image_processor_type"), said.get("feature_extractor_type"))
    return any(isinstance(name, str) and name.startswith("EfficientNet") for name in names)


def prepared(said: Mapping[str, Any]) -> Prepared:
    """What it does, from its JSON; what that leaves out is the class's default.

    It multiplies pixels of 0..255 by a factor and may take 1 away, then normalises, and with
    `include_top` divides by the deviation again; all of that is one mean and one deviation.

    Raises:
        InvalidSetting: if that is no preparation of pixels in 0..1.
        ValueError: if a value is not what it must be.
    """
    factor, offset = 1.0, 0.0
    if said.get("do_rescale", True):
        factor = float(said.get("rescale_factor", 1 / 255))
        offset = 1.0 if said.get("rescale_offset", False) else 0.0
    std = channels_of(said.get("image_std", [0.5] * 3))
    mean: Channels = (0.0,) * len(std)
    power = 1 if said.get("include_top", True) else 0
    if said.get("do_normalize", True):
        mean, power = channels_of(said.get("image_mean", [0.5] * 3)), power + 1
    white = 255 * factor  # what a white pixel comes to
    if not white > 0:
        raise ValueError(f"rescale_factor must be above 0, got {factor:g}")
    if len(mean) != len(std):
        raise ValueError(f"mean and std must have as many numbers, got {mean} and {std}")
    found = Preparation(
        mean=tuple((value + offset) / white for value in mean),
        deviation=tuple(value**power / white for value in std),
    )
    number = said.get("resample")
    way = _RESAMPLING[number] if isinstance(number, int) and 0 <= number < 6 else None
    return Prepared(
        found.mean, found.deviation, _OURS.get(way or ""), tuple(_differences(said, way))
    )


def _differences(said: Mapping[str, Any], way: str | None) -> list[str]:
    found = []
    if said.get("do_resize", True):
        found.append("stretches pictures to a square; autoscale takes the centre square")
        if way is None:
            found.append("does not say how it resizes; --interpolation does")
        elif way not in _OURS:
            found.append(f"resizes by {way}; autoscale knows {' and '.join(_OURS)}")
    if said.get("do_center_crop", False):
        found.append("cuts the middle out of what it resized; autoscale takes all of it")
    return found


def channels_of(values: Any) -> Channels:
    """Three numbers as JSON has them, one of grey images, or one for each band.

    Raises:
        ValueError: if they are not that.
    """
    rows = isinstance(values, Sequence) and not isinstance(values, str)
    if not rows or not 1 <= len(values) <= MOST_BANDS:
        raise ValueError(f"mean and std must be 3 numbers each, got {values!s:.60}")
    return tuple(float(value) for value in values)
