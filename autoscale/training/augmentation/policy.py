"""Which operations of a policy an image gets, and how strongly; names and numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from autoscale.errors import InvalidSetting

if TYPE_CHECKING:
    import numpy as np

#: What may be named; the words in capitals stand for numbers.
POLICIES: Mapping[str, str] = {
    "none": "nothing",
    "rand:N:M": "N operations an image at strength M of 10 (RandAugment)",
    "trivial": "one operation an image at any strength (TrivialAugment)",
}
#: Strength at which RandAugment's operations reach the ends of their ranges.
STRONGEST = 10
#: RandAugment's most operations an image: more leave nothing of it.
_MOST_OPERATIONS = 14
_LEVELS = 31  # strengths of TrivialAugment
#: Leaves a grey image as it is, so it is not drawn for one.
_OF_COLOURS = "saturation"


@dataclass(frozen=True, slots=True)
class Span:
    """How far an operation may go."""

    weakest: float
    strongest: float
    signed: bool = False  # whether it goes either way

    def amount(self, level: float, sign: int) -> float:
        """At a strength in [0, 1]."""
        amount = self.weakest + (self.strongest - self.weakest) * level
        return sign * amount if self.signed else amount


_PLAIN = Span(0, 0)
#: The operations of `operations.py` with the ranges of AutoAugment, whose pictures have 331 pixels.
#: Source: Cubuk et al. 2019 (AutoAugment), table 6; the operations are those of Cubuk et al. 2020
#: (RandAugment), section 3.
_RAND: Mapping[str, Span] = {
    "identity": _PLAIN,
    "autocontrast": _PLAIN,
    "equalize": _PLAIN,
    "rotate": Span(0, 30, True),  # degrees
    "solarize": Span(256, 0),  # threshold
    "posterize": Span(8, 4),  # bits
    "saturation": Span(0, 0.9, True),  # of the factor, from 1
    "contrast": Span(0, 0.9, True),
    "brightness": Span(0, 0.9, True),
    "sharpness": Span(0, 0.9, True),
    "shear-x": Span(0, 0.3, True),
    "shear-y": Span(0, 0.3, True),
    "translate-x": Span(0, 150 / 331, True),  # of the side
    "translate-y": Span(0, 150 / 331, True),
}
#: Source: Müller & Hutter 2021 (TrivialAugment), the wide space; its 32 pixels of translation are
#: taken as a share of 224.
_TRIVIAL: Mapping[str, Span] = {
    **_RAND,
    "rotate": Span(0, 135, True),
    "posterize": Span(8, 2),
    "saturation": Span(0, 0.99, True),
    "contrast": Span(0, 0.99, True),
    "brightness": Span(0, 0.99, True),
    "sharpness": Span(0, 0.99, True),
    "shear-x": Span(0, 0.99, True),
    "shear-y": Span(0, 0.99, True),
    "translate-x": Span(0, 32 / 224, True),
    "translate-y": Span(0, 32 / 224, True),
}

#: An operation's name and how far it goes, in its own unit.
Step = tuple[str, float]


class Policy(Protocol):
    """Draws operations."""

    @property
    def text(self) -> str:
        """As recipes name it."""

    def drawn(
        self, images: int, *, channels: int, share: float, random: np.random.Generator
    ) -> list[list[Step]]:
        """What each of `images` gets, one operation after the other.

        Args:
            channels: of the images; saturation is not drawn for those with one.
            share: of the strength, in (0, 1].
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugment:
    """So many operations an image, drawn with repetition, all at one strength, either way.

    Source: Cubuk et al. 2020, section 3 and figure 2. Brightness, contrast, saturation and
    sharpness go up or down from the picture as it is, where the paper's code goes from one end of
    their ranges to the other.

    Raises:
        InvalidSetting: for no operations or more than 14, or a strength outside (0, 10].
    """

    operations: int
    strength: float  # of 10

    def __post_init__(self) -> None:
        if not 1 <= self.operations <= _MOST_OPERATIONS:
            raise InvalidSetting(
                f"augment takes 1 to {_MOST_OPERATIONS} operations an image, as in rand:2:9; got "
                f"{self.operations}"
            )
        if not 0 < self.strength <= STRONGEST:
            raise InvalidSetting(
                f"augment takes a strength above 0 and at most {STRONGEST}, as in rand:2:9; got "
                f"{self.strength:g}"
            )

    @property
    def text(self) -> str:
        """As recipes name it."""
        return f"rand:{self.operations}:{self.strength!r}".removesuffix(".0")

    def drawn(
        self, images: int, *, channels: int, share: float, random: np.random.Generator
    ) -> list[list[Step]]:
        """What each of `images` gets, one operation after the other."""
        names = _names(_RAND, channels)
        which = random.integers(len(names), size=(images, self.operations)).tolist()
        signs = random.choice((-1, 1), size=(images, self.operations)).tolist()
        level = share * self.strength / STRONGEST
        return [
            [(names[n], _RAND[names[n]].amount(level, s)) for n, s in zip(*pair, strict=True)]
            for pair in zip(which, signs, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class TrivialAugment:
    """One operation an image, at any of 31 strengths, either way. Source: Müller & Hutter 2021."""

    @property
    def text(self) -> str:
        """As recipes name it."""
        return "trivial"

    def drawn(
        self, images: int, *, channels: int, share: float, random: np.random.Generator
    ) -> list[list[Step]]:
        """What each of `images` gets: one operation."""
        names = _names(_TRIVIAL, channels)
        which = random.integers(len(names), size=images).tolist()
        signs = random.choice((-1, 1), size=images).tolist()
        levels = (share * random.integers(_LEVELS, size=images) / (_LEVELS - 1)).tolist()
        return [
            [(names[n], _TRIVIAL[names[n]].amount(level, sign))]
            for n, sign, level in zip(which, signs, levels, strict=True)
        ]


def policy_named(text: str) -> Policy | None:
    """The policy of that name, `none`, `rand:N:M` or `trivial`; None for none.

    Raises:
        InvalidSetting: for anything else.
    """
    if text == "none":
        return None
    if text == "trivial":
        return TrivialAugment()
    kind, *numbers = text.split(":")
    if kind == "rand" and len(numbers) == 2:
        try:
            count, strength = int(numbers[0]), float(numbers[1])
        except ValueError:
            count, strength = 0, math.nan
        if math.isfinite(strength):
            return RandAugment(operations=count, strength=strength)
    raise InvalidSetting(
        f"augment must be none, rand:N:M (N operations at strength M of {STRONGEST}, as rand:2:9) "
        f"or trivial; got {text!r}"
    )


def _names(spans: Mapping[str, Span], channels: int) -> list[str]:
    return [name for name in spans if channels > 1 or name != _OF_COLOURS]
