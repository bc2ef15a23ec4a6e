"""How a network is trained: one value that serves two epochs and two hundred."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, cast, get_args, get_type_hints

from autoscale.errors import InvalidSetting
from autoscale.training.augmentation.policy import policy_named

Optimizer = Literal["sgd", "rmsprop", "adamw"]
Schedule = Literal["cosine", "linear", "steps", "constant"]
Crop = Literal["random-resized", "shift", "none"]

_ALTERING = ("augment", "color_jitter", "erasing", "mixup", "cutmix")
_STEPS = 4  # in which images, and what regularises, grow while a network is trained

#: Peak rate of AdamW, for batches of 32, at which a network is trained that begins with weights of
#: a larger design, and the share of that design's multiply-adds, at the same pixels, below which
#: most of its channels are gone. Measured in experiments/transfer/README.md.
INHERITING_RATE, CUT = 0.003, 0.5


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
    norm_momentum: float = 0.1  # (0, 1], share of a new batch in batch norm's running statistics
    weight_decay: float = 0.0  # at least 0; biases and norms are never decayed
    warmup: float = 0.0  # [0, 1], the fraction of the training that climbs linearly to the peak
    schedule: Schedule = "cosine"  # from the peak; cosine and linear end at 0
    step_length: float = 0.01  # (0, 1], fraction of the training between two steps of "steps"
    step_factor: float = 0.97  # (0, 1], of the learning rate, at each step of "steps"
    label_smoothing: float = 0.0  # [0, 1)
    ema_decay: float = 0.0  # [0, 1), limit of the decay of the averaged weights; 0 averages nothing
    crop: Crop = "random-resized"
    crop_scale_min: float = 0.5  # (0, 1], smallest area of a random-resized crop / image area
    shift: float = 0.1  # [0, 0.5), largest move of a shift crop / the image's side
    flip: bool = True  # mirror half of the images left to right
    layer_decay: float = 1.0  # (0, 1], a part's learning rate / that of the part after it
    head_first: bool = False  # fit a new classifier on other weights' features before the 1st step
    patience: int = 0  # epochs without a better validation accuracy that end it; 0 never does
    start_size: float = 1.0  # (0, 1], side of the first images / of the last; see `resolution_at`
    # (0, 1], rates of dropout and stochastic depth, and strength of all below that alters images,
    # at first / at last; see `regularisation_at`
    start_regularisation: float = 1.0
    augment: str = "none"  # of each image: none, rand:N:M or trivial, see `augmentation.policy`
    color_jitter: float = 0.0  # [0, 1], most that brightness, contrast, saturation change by
    erasing: float = 0.0  # [0, 1], share of the images that lose a rectangle to noise
    mixup: float = 0.0  # at least 0, alpha; 0 mixes no images, see `augmentation.mixing`
    cutmix: float = 0.0  # at least 0, alpha; beside mixup, each batch has one of the two
    clip_norm: float = 0.0  # at least 0, most that the norm of all gradients may be; 0: any
    accumulate: int = 1  # at least 1, batches whose gradients are averaged for one move

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(Recipe).items():
            _check_kind(field, getattr(self, field), kind)
        _check("epochs", self.epochs, self.epochs >= 1, "at least 1")
        _check("batch_size", self.batch_size, self.batch_size >= 2, "at least 2")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0, such as 0.1")
        _check("momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1), such as 0.9")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "at least 0")
        _check("warmup", self.warmup, 0 <= self.warmup <= 1, "a fraction of the training in [0, 1]")
        _check("norm_momentum", self.norm_momentum, 0 < self.norm_momentum <= 1, "in (0, 1]")
        _check("step_length", self.step_length, 0 < self.step_length <= 1, "in (0, 1]")
        _check("step_factor", self.step_factor, 0 < self.step_factor <= 1, "in (0, 1]")
        _check("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        _check("ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "in [0, 1); 0 turns it off")
        _check(
            "crop_scale_min",
            self.crop_scale_min,
            0 < self.crop_scale_min <= 1,
            "a fraction of the image area in (0, 1]",
        )
        _check("shift", self.shift, 0 <= self.shift < 0.5, "a fraction of the side in [0, 0.5)")
        _check("layer_decay", self.layer_decay, 0 < self.layer_decay <= 1, "in (0, 1]")
        object.__setattr__(self, "augment", _augmenting(self.augment))
        for name in ("color_jitter", "erasing"):
            _check(name, value := getattr(self, name), 0 <= value <= 1, "in [0, 1]; 0 turns it off")
        for name in ("mixup", "cutmix", "clip_norm"):
            _check(name, value := getattr(self, name), value >= 0, "at least 0; 0 turns it off")
        _check("accumulate", self.accumulate, self.accumulate >= 1, "at least 1")
        _check("patience", self.patience, self.patience >= 0, "at least 0 epochs; 0 turns it off")
        for name in ("start_size", "start_regularisation"):
            value = getattr(self, name)
            _check(name, value, 0 < value <= 1, "a fraction in (0, 1]")

    def require_single_labels(self, whose: str) -> None:
        """Refuse mixtures of images, which have two labels.

        Args:
            whose: what knows one label an image alone, in words.

        Raises:
            InvalidSetting: naming what is to be left out.
        """
        for name in self.mixing:
            raise InvalidSetting(
                f"{name} {getattr(self, name):g} gives images two labels, and {whose} takes one "
                "each; leave one of the two out"
            )

    def require_crops(self, whose: str) -> None:
        """Refuse all that alters images otherwise than by cutting and mirroring them.

        Args:
            whose: what knows the images as they are cut out, in words.

        Raises:
            InvalidSetting: naming what is to be left out.
        """
        for name in self.altering:
            raise InvalidSetting(
                f"{name} {getattr(self, name)} alters images, and {whose} are of crops as they "
                "are; leave one of the two out"
            )

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
            case "steps":  # counted from the start of the training, as the papers count epochs
                return self.learning_rate * self.step_factor ** int(progress / self.step_length)
            case "constant":
                return self.learning_rate

    def resolution_at(self, epoch: int, resolution: int) -> int:
        """Pixels in height of the images of an epoch, from 1, of a network for `resolution` pixels.

        They grow in four steps of equal length from the share `start_size` to all, rounded to
        multiples of 4: small images are quick to learn the most from.
        Source: Tan & Le 2021 (EfficientNetV2), section 4, algorithm 1.
        """
        share = self._share_at(epoch, self.start_size)
        return (
            resolution if share == 1 else min(resolution, max(4, 4 * round(resolution * share / 4)))
        )

    def regularisation_at(self, epoch: int) -> float:
        """By which the rates of dropout and stochastic depth are multiplied in an epoch, from 1.

        So are the strength of augmentation, the probability of erasing and the alpha of mixtures.
        It grows from `start_regularisation` to 1 in the steps in which images do: small images need
        less of it. Source: that of `resolution_at`.
        """
        return self._share_at(epoch, self.start_regularisation)

    def changes(self, name: str) -> bool:
        """Whether a field is not as it is where nobody says anything of it."""
        usual = {field.name: field.default for field in fields(self)}
        return bool(getattr(self, name) != usual[name])

    @property
    def altering(self) -> tuple[str, ...]:
        """The fields that alter images otherwise than by cutting and mirroring, where they do."""
        return tuple(name for name in _ALTERING if self.changes(name))

    @property
    def mixing(self) -> tuple[str, ...]:
        """Those of them that give an image two labels."""
        return tuple(name for name in ("mixup", "cutmix") if self.changes(name))

    def _share_at(self, epoch: int, first: float) -> float:
        """What grows over the training from `first` to 1, in an epoch."""
        step = math.ceil(_STEPS * epoch / self.epochs)  # from 1
        return 1.0 if step == _STEPS else first + (1 - first) * (step - 1) / (_STEPS - 1)

    def with_batch(self, batch_size: int) -> Recipe:
        """This recipe for another batch size, the learning rate in proportion.

        Source: Goyal et al. 2017, section 2.1. For adaptive optimisers it is a rule of thumb.

        Raises:
            InvalidSetting: if `batch_size` is below 2.
        """
        rate = self.learning_rate * batch_size / self.batch_size
        return replace(self, batch_size=batch_size, learning_rate=rate)

    def inheriting(self, left: float, *, rate: float = INHERITING_RATE) -> Recipe:
        """This recipe for a network that begins with weights of another design, at a rate for that.

        A fresh network's rate is so high that it undoes what others learned, and that of a whole
        network's fine-tuning is too low to mend what cutting most of its channels broke. Other
        optimisers than AdamW keep their rates, for which nothing was measured.

        Args:
            left: the network's multiply-adds by those of the other design at the same pixels.
                Below `CUT` the rate is `rate`, else that of the recipe up to `rate`.
            rate: at the peak, for batches of 32; in proportion for others.
        """
        if self.optimizer != "adamw":
            return self
        suits = rate * self.batch_size / 32
        return replace(self, learning_rate=suits if left < CUT else min(suits, self.learning_rate))


def _check(field: str, value: object, fits: bool, limit: str) -> None:
    if not fits:
        raise InvalidSetting(f"{field} must be {limit}; got {value!r}")


def _augmenting(text: str) -> str:
    policy = policy_named(text)
    return "none" if policy is None else policy.text


def _check_kind(field: str, value: object, kind: object) -> None:
    if choices := get_args(kind):
        _check(field, value, value in choices, "one of " + ", ".join(choices))
    elif kind is bool:
        _check(field, value, isinstance(value, bool), "true or false")
    elif kind is str:
        _check(field, value, isinstance(value, str), "a text")
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
    # Stochastic gradient descent as for ResNets: Goyal et al. 2017 (rate 0.1 for each 256 images, 5
    # epochs of warm-up, Nesterov's momentum, decay 1e-4), the cosine of Loshchilov & Hutter 2017
    # and the crops of Szegedy et al. 2015.
    "sgd": Recipe(
        epochs=90,
        batch_size=256,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        warmup=5 / 90,
        schedule="cosine",
        crop="random-resized",
        crop_scale_min=0.08,
    ),
    # For photographs of some 32 pixels, which a random-resized crop would blur: mirrored and moved
    # by up to 4 of 32 pixels, as in He et al. 2016, section 4.2 (there with zeros at the borders,
    # here with reflections). Few epochs, so a warm-up, a cosine instead of their steps, and images
    # that begin at half their side.
    "small-images": Recipe(
        epochs=20,
        batch_size=128,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        warmup=0.15,
        schedule="cosine",
        crop="shift",
        shift=0.125,
        start_size=0.5,
    ),
    # For networks that begin with weights of another training: AdamW at a low rate, a short warm-up
    # for the new classifier, moderate crops, averaged weights.
    "finetune": Recipe(
        epochs=8,
        batch_size=32,
        optimizer="adamw",
        learning_rate=0.001,
        momentum=0.9,
        weight_decay=0.02,
        warmup=0.1,
        schedule="cosine",
        label_smoothing=0.1,
        ema_decay=0.99,
        crop="random-resized",
        crop_scale_min=0.5,
        head_first=True,
        layer_decay=0.8,
    ),
    # Tan & Le 2019, section 5.2, and the released code: TensorFlow's RMSProp, rate 0.256 for 4096
    # images, times 0.97 every 2.4 epochs, 350 epochs with 5 of warm-up, batch norm's momentum 0.99,
    # averaged weights. Dropout and stochastic depth belong to the member of the family. AutoAugment
    # is not there.
    "efficientnet": Recipe(
        epochs=350,
        batch_size=256,
        optimizer="rmsprop",
        learning_rate=0.016,
        momentum=0.9,
        norm_momentum=0.01,
        weight_decay=1e-5,
        warmup=5 / 350,
        schedule="steps",
        step_length=2.4 / 350,
        step_factor=0.97,
        label_smoothing=0.1,
        ema_decay=0.9999,
        crop="random-resized",
        crop_scale_min=0.08,
    ),
}
