"""What is done about classes of uneven size, by the names that people type; light."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from autoscale.errors import InvalidSetting
from autoscale.training.recipe import Recipe

#: By which the loss of an image counts.
CLASS_WEIGHTS: Mapping[str, str] = {
    "none": "all count the same",
    "balanced": "in inverse proportion to the training images of its class, 1 on average over the "
    "images",
}
#: Which images an epoch shows.
SAMPLINGS: Mapping[str, str] = {
    "shuffled": "each once",
    "balanced": "as many as there are, of each class equally many; images of small classes come "
    "several times, in other crops, and of large classes others in each epoch",
}
#: What each loss is; the word in capitals stands for a number, which may be left out.
LOSSES: Mapping[str, str] = {
    "cross-entropy": "that of the labels",
    "focal:GAMMA": "cross-entropy times (1 - the probability of the label)^GAMMA, which counts "
    "what is answered well the less (2 unless given)",
    "logit-adjusted:TAU": "cross-entropy of logits plus TAU times the logarithm of the class's "
    "share of the training images, so that the logits themselves favour no class (1 unless given)",
}
USUAL, FOCAL, ADJUSTED, BALANCED = "cross-entropy", "focal", "logit-adjusted", "balanced"
#: Of those that take a number: its name, and what it is where none is given.
_NUMBERS = {FOCAL: ("gamma", 2.0), ADJUSTED: ("tau", 1.0)}
#: No such number is larger: long before, nothing or nothing else would be learnt.
_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A loss, a sampling and weights of classes, which go together.

    Raises:
        InvalidSetting: for a name that there is not, a number below 0, or two of them that would
            make up for the same unevenness twice.
    """

    loss: str = USUAL  # of `LOSSES`, with its number: "focal:2"
    sampling: str = "shuffled"  # of `SAMPLINGS`
    class_weights: str = "none"  # of `CLASS_WEIGHTS`

    def __post_init__(self) -> None:
        for name, known in (("sampling", SAMPLINGS), ("class_weights", CLASS_WEIGHTS)):
            if (value := getattr(self, name)) not in known:
                called = name.replace("_", " ")
                raise InvalidSetting(f"no {called} {value!r}; choose from {', '.join(known)}")
        object.__setattr__(self, "loss", _whole(self.loss))
        self._refuse_twice()

    def _refuse_twice(self) -> None:
        even, weighed = self.sampling == BALANCED, self.class_weights == BALANCED
        if even and weighed:
            raise InvalidSetting(
                "--class-weights balanced and --sampling balanced each make up for uneven classes; "
                "give one of them"
            )
        if self.kind != ADJUSTED:
            return
        if even:
            raise InvalidSetting(
                f"--loss {self.loss} adjusts for shares of classes that --sampling balanced has "
                "made equal; leave one of them out"
            )
        if weighed:
            raise InvalidSetting(
                f"--loss {self.loss} and --class-weights balanced each make up for uneven "
                "classes; leave one of them out"
            )

    @property
    def kind(self) -> str:
        """The loss without its number."""
        return self.loss.partition(":")[0]

    @property
    def number(self) -> float:
        """Gamma or tau; 0 of cross-entropy."""
        return float(self.loss.partition(":")[2] or 0)

    @property
    def hard(self) -> bool:
        """Whether the loss is of labels alone: not of smoothed ones, nor beside a teacher."""
        return self.kind != USUAL

    def suited(self, recipe: Recipe) -> Recipe:
        """The recipe, without label smoothing where the loss takes none.

        Raises:
            InvalidSetting: if it mixes images and the loss takes one label each.
        """
        if not self.hard:
            return recipe
        recipe.require_single_labels(f"--loss {self.loss}")
        return replace(recipe, label_smoothing=0.0)

    def require_no_teacher(self) -> None:
        """Refuse what a teacher's answers do not go with.

        Raises:
            InvalidSetting: for a loss of labels alone, whose answers would be others than the
                teacher's, and for balanced sampling, since a teacher answers one crop of each image
                an epoch.
        """
        if self.hard:
            raise InvalidSetting(
                f"--loss {self.loss} is of labels alone, and a teacher's answers are none; leave "
                "out one of --loss and --teacher, or take --class-weights balanced"
            )
        if self.sampling == BALANCED:
            raise InvalidSetting(
                "--sampling balanced shows some images several times an epoch, and a teacher "
                "answers one crop of each; leave out one of --sampling and --teacher, or take "
                "--class-weights balanced"
            )

    def require_several(self) -> None:
        """Refuse what images that may have several labels do not go with.

        Raises:
            InvalidSetting: for logit adjustment, which is of one probability for all classes, and
                for balanced sampling, since an image of a rare class brings others with it.
        """
        if self.kind == ADJUSTED:
            raise InvalidSetting(
                f"--loss {self.loss} adjusts for shares of classes of which each image has one, "
                f"and these may have several labels; take --class-weights {BALANCED}, or leave it "
                "out"
            )
        if self.sampling == BALANCED:
            raise InvalidSetting(
                f"--sampling {BALANCED} draws images by their one class, and these may have "
                f"several labels; take --class-weights {BALANCED}, or leave it out"
            )

    def record(self) -> dict[str, str]:
        """What of it is not as by default, as plain data."""
        plain = asdict(self)
        return {f.name: plain[f.name] for f in fields(self) if plain[f.name] != f.default}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what `record` gave, perhaps among other things."""
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})

    @property
    def told(self) -> str:
        """What of it is not as by default, in words; "" if nothing is."""
        return ", ".join(f"{n.replace('_', ' ')} {value}" for n, value in self.record().items())


def loss_names() -> list[str]:
    """What losses there are with their usual numbers, for completions."""
    return [USUAL, *(f"{kind}:{number:g}" for kind, (_, number) in _NUMBERS.items())]


def _whole(loss: str) -> str:
    """A loss with its number, as short as may be.

    Raises:
        InvalidSetting: if there is no such loss, or the number is none.
    """
    kind, colon, text = loss.partition(":")
    if loss == USUAL:
        return loss
    if kind not in _NUMBERS:
        raise InvalidSetting(f"no loss {loss!r}; choose from {', '.join(LOSSES)}")
    name, usual = _NUMBERS[kind]
    try:
        number = float(text) if colon else usual
    except ValueError:
        number = math.nan
    if not 0 <= number <= _MOST:
        raise InvalidSetting(
            f"{name} of the loss {kind} must be a number of at least 0 and at most {_MOST}, as in "
            f"{kind}:{usual:g}; got {text!r}"
        )
    return f"{kind}:{number!r}".removesuffix(".0")


#: Cross-entropy of images that all count the same and are seen once an epoch.
AS_THEY_ARE = Balance()
