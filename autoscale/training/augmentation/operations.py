"""The operations of augmentation policies, by Pillow, on one small picture at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from autoscale.training.augmentation.policy import Step

_GREY = 128  # what comes in from beyond a border
_SMOOTH = Image.Resampling.BILINEAR

_Picture = Image.Image


def changed(image: NDArray[np.uint8], steps: Sequence[Step]) -> NDArray[np.uint8]:
    """An image after some operations: (H, W, C) bytes, with one channel or three."""
    grey = image.shape[2] == 1
    picture = Image.fromarray(image[:, :, 0] if grey else image)
    for name, amount in steps:
        picture = OPERATIONS[name](picture, amount)
    found = np.asarray(picture)
    return found[:, :, None] if grey else found


def _sheared_x(picture: _Picture, share: float) -> _Picture:
    """About the middle, so that as little as may be leaves the picture."""
    return _moved(picture, (1, share, -share * picture.height / 2, 0, 1, 0))


def _sheared_y(picture: _Picture, share: float) -> _Picture:
    return _moved(picture, (1, 0, 0, share, 1, -share * picture.width / 2))


def _translated_x(picture: _Picture, share: float) -> _Picture:
    return _moved(picture, (1, 0, round(share * picture.width), 0, 1, 0))


def _translated_y(picture: _Picture, share: float) -> _Picture:
    return _moved(picture, (1, 0, 0, 0, 1, round(share * picture.height)))


def _moved(picture: _Picture, matrix: tuple[float, ...]) -> _Picture:
    return picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, resample=_SMOOTH, fillcolor=_filling(picture)
    )


def _rotated(picture: _Picture, degrees: float) -> _Picture:
    return picture.rotate(degrees, resample=_SMOOTH, fillcolor=_filling(picture))


def _filling(picture: _Picture) -> int | tuple[int, ...]:
    return _GREY if picture.mode == "L" else (_GREY, _GREY, _GREY)


#: From a picture and how far the operation goes to a picture.
OPERATIONS: Mapping[str, Callable[[_Picture, float], _Picture]] = {
    "identity": lambda picture, _: picture,
    "autocontrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
    "rotate": _rotated,
    "solarize": lambda picture, threshold: ImageOps.solarize(picture, round(threshold)),
    "posterize": lambda picture, bits: ImageOps.posterize(picture, round(bits)),
    "saturation": lambda picture, more: ImageEnhance.Color(picture).enhance(1 + more),
    "contrast": lambda picture, more: ImageEnhance.Contrast(picture).enhance(1 + more),
    "brightness": lambda picture, more: ImageEnhance.Brightness(picture).enhance(1 + more),
    "sharpness": lambda picture, more: ImageEnhance.Sharpness(picture).enhance(1 + more),
    "shear-x": _sheared_x,
    "shear-y": _sheared_y,
    "translate-x": _translated_x,
    "translate-y": _translated_y,
}
