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

    Where a picture may show several classes, or none, probabilities are the sigmoids of the logits,
    and it shows each class whose probability is at least the class's threshold.

    Source: temperature scaling is Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2; the threshold on the largest probability Hendrycks & Gimpel 2017.

    Raises:
        InvalidSetting: if the temperature is not a number above 0, or the threshold not one above 0
            and at most 1; for thresholds of classes of which a picture shows one, or outside
            (0, 1); for several classes with a temperature or a threshold for none.
    """

    temperature: float = 1.0
    none_below: float | None = None  # None: one of the classes is always answered
    chosen_on: str | None = None  # which images decided, as people read it
    several: bool = False  # whether a picture may show several of the classes, or none
    thresholds: tuple[float, ...] | None = None  # of several classes; None: 0.5 each

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
        self._require_thresholds()

    def _require_thresholds(self) -> None:
        given = self.thresholds
        if not isinstance(self.several, bool):
            raise InvalidSetting(f"several must be true or false; got {self.several!r}")
        if self.several and (self.temperature != 1 or self.none_below is not None):
            raise InvalidSetting(
                "a temperature and none_below are of pictures that show one class each, not several"
            )
        if given is None:
            return
        if not self.several:
            raise InvalidSetting("thresholds are of pictures that may show several classes")
        numbers = isinstance(given, tuple) and all(_number(one) and 0 < one < 1 for one in given)
        if not numbers:
            raise InvalidSetting(f"thresholds must be numbers between 0 and 1; got {given!r}")

    def thresholds_of(self, classes: int) -> NDArray[np.float64]:
        """Of several classes, the threshold of each: (classes,)."""
        if self.thresholds is None:
            return np.full(classes, 0.5)
        return np.array(self.thresholds, dtype=np.float64)

    def scaled(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits divided by the temperature, of the same shape."""
        return logits.astype(np.float64) / self.temperature

    def refuses(self, largest: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the answer is none of the classes, by the largest probability of each image."""
        return largest < (0.0 if self.none_below is None else self.none_below)

    @property
    def steps(self) -> tuple[str, ...]:
        """What is to be done with logits, as sentences in order."""
        if self.several:
            least = "0.5 each"
            if self.thresholds is not None:
                least = f"in the order of the logits {', '.join(map(repr, self.thresholds))}"
            return (
                "The probability of a class is the sigmoid of its logit, 1 / (1 + exp(-logit)), of "
                "each class for itself: an image may have several, or none.",
                f"It has those whose probability is at least their threshold, {least}.",
            )
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
        if self.several:  # of which there is no temperature
            del plain["temperature"]
            plain["thresholds"] = None if self.thresholds is None else list(self.thresholds)
        else:
            del plain["several"]
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
        given: dict[str, Any] = dict(plain)
        if isinstance(given.get("thresholds"), list):
            given["thresholds"] = tuple(given["thresholds"])
        return cls(**given)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
