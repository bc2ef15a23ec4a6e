"""How a network is trained: one value that serves two epochs and two hundred."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args, get_type_hints

from autoscale.errors import InvalidSetting

Optimizer = Literal["sgd", "rmsprop", "adamw"]
Schedule = Literal["cosine", "linear", "constant"]
Crop = Literal["random-resized", "shift", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything about a training run except the network, the images, the seed and the device.

    Raises:
        InvalidSetting: if a value lies outside the range stated beside it.
    """

    epochs: int  # passes over the training images, at least 1
    batch_size: int  # images a step, at least 2: batch norm compares images
    optimizer: Optimizer = "sgd"
    learning_rate: float  # the peak, above 0
    momentum: float = 0.9  # [0, 1); Nesterov's for sgd, the first beta of adamw
    weight_decay: float = 0.0  # at least 0; biases and norms are never decayed
    warmup: float = 0.0  # [0, 1], the fraction of the training that climbs linearly to the peak
    schedule: Schedule = "cosine"  # from the peak; cosine and linear end at 0
    label_smoothing: float = 0.0  # [0, 1)
    ema_decay: float = 0.0  # [0, 1), limit of the decay of the averaged weights; 0 averages nothing
    crop: Crop = "random-resized"
    crop_scale_min: float = 0.5  # (0, 1], smallest area of a random-resized crop / image area
    shift: float = 0.1  # [0, 0.5), largest move of a shift crop / image side
    flip: bool = True  # mirror half of the images left to right

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(Recipe).items():
            _check_kind(field, getattr(self, field), kind)
        _check("epochs", self.epochs, self.epochs >= 1, "at least 1")
        _check("batch_size", self.batch_size, self.batch_size >= 2, "at least 2")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0, such as 0.1")
        _check("momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1), such as 0.9")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "at least 0")
        _check("warmup", self.warmup, 0 <= self.warmup <= 1, "a fraction of the training in [0, 1]")
        _check("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        _check("ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "in [0, 1); 0 turns it off")
        _check(
            "crop_scale_min",
            self.crop_scale_min,
            0 < self.crop_scale_min <= 1,
            "a fraction of the image area in (0, 1]",
        )
        _check("shift", self.shift, 0 <= self.shift < 0.5, "a fraction of the side in [0, 0.5)")

    def learning_rate_at(self, progress: float) -> float:
        """The learning rate after the fraction `progress`, in [0, 1), of the training.

        Raises:
            InvalidSetting: if `progress` lies outside [0, 1).
        """
        _check("progress", progress, 0 <= progress < 1, "a fraction of the training in [0, 1)")
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        descent = (progress - self.warmup) / (1 - self.warmup)
        match self.schedule:
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * descent)) / 2
            case "linear":
                return self.learning_rate * (1 - descent)
            case "constant":
                return self.learning_rate


def _check(field: str, value: object, fits: bool, limit: str) -> None:
    if not fits:
        raise InvalidSetting(f"{field} must be {limit}; got {value!r}")


def _check_kind(field: str, value: object, kind: object) -> None:
    if choices := get_args(kind):
        _check(field, value, value in choices, "one of " + ", ".join(choices))
    elif kind is bool:
        _check(field, value, isinstance(value, bool), "true or false")
    elif kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        _check(field, value, whole, "a whole number")
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        finite = number and math.isfinite(cast(float, value))
        _check(field, value, finite, "a finite number")


RECIPES: dict[str, Recipe] = {
    # For ranking candidates: small batches, because the number of steps is what a short run lacks,
    # and little regularisation, because a short run hardly overfits.
    "proxy": Recipe(
        epochs=4,
        batch_size=32,
        optimizer="adamw",
        learning_rate=0.012,
        momentum=0.9,
        weight_decay=0.02,
        warmup=0.15,
        schedule="cosine",
        label_smoothing=0.05,
        ema_decay=0.98,
        crop="shift",
        shift=0.1,
    ),
    # For the networks that are kept.
    "full": Recipe(
        epochs=60,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        warmup=0.05,
        schedule="cosine",
        label_smoothing=0.1,
        ema_decay=0.999,
        crop="random-resized",
        crop_scale_min=0.35,
    ),
}
