"""What of a network `train --freeze` leaves untrained; light, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from autoscale.errors import InvalidSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Parts of a network that are not trained; see `network.freeze`."""

    stages: int | None = None  # so many, with the stem; 0: the stem alone; None: neither
    features: bool = False  # all but the classifier
    norms: bool = False  # all norms too

    @classmethod
    def read(cls, text: str | None) -> Self:
        """As `--freeze` takes it: "stem", a number of stages or "features", and perhaps "norms".

        Raises:
            InvalidSetting: if it is something else.
        """
        if text is None:
            return cls()
        words = [word.strip() for word in text.split(",")]
        norms = "norms" in words
        others = [word for word in words if word != "norms"]
        if len(words) != len({*words}):
            raise _refusal(text)
        match others:
            case []:
                return cls(norms=True)
            case ["stem"]:
                return cls(stages=0, norms=norms)
            case ["features"]:
                return cls(features=True, norms=norms)
            case [word] if word.isascii() and word.isdecimal():
                return cls(stages=int(word), norms=norms)
        raise _refusal(text)


def _refusal(text: str) -> InvalidSetting:
    return InvalidSetting(
        "freeze must be stem, a number of stages such as 2 (the stem with them), norms, features "
        f"(all but the classifier), or one of them with norms, such as 2,norms; got {text!r}"
    )
