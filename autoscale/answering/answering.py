"""How a network's logits become an answer: a value that travels with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting

#: The answer to a picture that shows none of the classes, as people read it.
NONE = "none of these"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How logits become probabilities and an answer; by default as their softmax says.

    Probabilities are the softmax of logits / temperature. Where the largest of them is less than
    `none_below`, the answer is that the picture shows none of the classes.

    Source: temperature scaling is Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2; the threshold on the largest probability Hendrycks & Gimpel 2017.

    Raises:
        InvalidSetting: if the temperature is not a number above 0, or the threshold not one above 0
            and at most 1.
    """

    temperature: float = 1.0
    none_below: float | None = None  # None: one of the classes is always answered
    chosen_on: str | None = None  # which images decided, as people read it

    def __post_init__(self) -> None:
        divisor, threshold = self.temperature, self.none_below
        if not (_number(divisor) and divisor > 0 and isfinite(divisor)):
            raise InvalidSetting(
                f"temperature must be a number above 0, such as 1.5; got {divisor!r}"
            )
        if threshold is not None and not (_number(threshold) and 0 < threshold <= 1):
            raise InvalidSetting(
                f"none_below must be a probability above 0 and at most 1; got {threshold!r}"
            )
        if not isinstance(self.chosen_on, str | None):
            raise InvalidSetting(f"chosen_on must be a text; got {self.chosen_on!r}")

    def scaled(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits divided by the temperature, of the same shape."""
        return logits.astype(np.float64) / self.temperature

    def refuses(self, largest: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the answer is none of the classes, by the largest probability of each image."""
        return largest < (0.0 if self.none_below is None else self.none_below)

    @property
    def steps(self) -> tuple[str, ...]:
        """What is to be done with logits, as sentences in order."""
        first = "The softmax of the logits gives probabilities."
        if self.temperature != 1:
            first = (
                f"The softmax of the logits divided by {self.temperature!r} gives probabilities."
            )
        if self.none_below is None:
            return (first,)
        return (
            first,
            f"Where the largest of them is less than {self.none_below!r}, the answer is {NONE!r}; "
            "else it is the class of the largest.",
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data; what is not said is left out."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, plain: object) -> Self:
        """What `to_dict` gave.

        Raises:
            InvalidSetting: if it is none, or holds what this version does not know: left out, it
                would change answers.
        """
        if not isinstance(plain, Mapping):
            raise InvalidSetting(f"answering must be named values; got {plain!r}")
        strange = [name for name in plain if name not in {field.name for field in fields(cls)}]
        if strange:
            raise InvalidSetting(
                f"answering holds {strange[0]!r}, which this version does not know; read it with "
                "the version that wrote it"
            )
        return cls(**plain)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
