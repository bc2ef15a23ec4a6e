"""What efforts are believed to buy: more images, more epochs, a larger network, more pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoscale.advice.law import Amounts, Array
from autoscale.advice.posterior import LEAST, Interval, LawPosterior, Measured
from autoscale.advice.posterior import fit_law as fit
from autoscale.advice.posterior import interval as interval_of
from autoscale.errors import InvalidSetting

#: Of all intervals.
LEVEL = 0.9
#: Validation images of a class below which nothing is said of it.
LEAST_OF_CLASS = 20
#: Draws for each class.
DRAWS_OF_CLASS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Something that could be done, and what a training gets then."""

    key: str  # "images"
    words: str  # "1,000 more images"
    amounts: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """By how much an effort is believed to raise the share of images answered right."""

    effort: Effort
    gain: Interval | None  # None where no trainings vary what the effort changes
    chance_best: float = 0.0  # that no other effort gains more

    @property
    def told(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.gain is not None and not self.gain.low <= 0 <= self.gain.high

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        gain = self.gain
        return {
            "effort": self.effort.key,
            "words": self.effort.words,
            "gain": None if gain is None else gain.mean,
            "low": None if gain is None else gain.low,
            "high": None if gain is None else gain.high,
            "chance_best": self.chance_best,
            "tells": self.told,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGain:
    """What the effort in images is believed to add to the recall of a class."""

    name: str
    images: int  # validation images
    recall: float | None  # mean of the base's trainings; None without validation images of it
    gain: Interval | None  # None where the class has too few validation images

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        gain = self.gain
        return {
            "class": self.name,
            "validation_images": self.images,
            "recall": self.recall,
            "gain": None if gain is None else gain.mean,
            "low": None if gain is None else gain.low,
            "high": None if gain is None else gain.high,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Advice:
    """What trainings around a base say about efforts."""

    base: Amounts
    base_error: Interval | None  # expected; None where too few trainings succeeded
    gains: tuple[Gain, ...]  # in the order of the efforts
    noise: float | None  # standard deviation of one training over seeds, middle of the posterior
    # By which power of each amount the odds of an error fall at the base.
    powers: Mapping[str, Interval] = field(default_factory=dict)
    trainings: int = 0

    @property
    def best(self) -> Gain | None:
        """The effort most likely to gain most, if it is told of any that it gains."""
        known = [gain for gain in self.gains if gain.gain and gain.gain.mean > 0]
        told = any(gain.told for gain in known)
        return max(known, key=lambda one: one.chance_best) if told else None


def advise(
    measured: Sequence[Measured],
    base: Amounts,
    efforts: Sequence[Effort],
    *,
    weights: Array,
    ceiling: float = 1.0,
) -> Advice:
    """What trainings say about efforts; too few trainings, or trainings that are all alike, tell
    nothing, which is no error.

    Args:
        weights: how much each validation image counts, shape (images,); their sum is 1.
        ceiling: the error of a network that has learned nothing, in 0..1.
    """
    different = {one.amounts for one in measured}
    if len(measured) < LEAST or len(different) < 2:
        silent = tuple(Gain(effort=effort, gain=None) for effort in efforts)
        return Advice(base=base, base_error=None, gains=silent, noise=None, trainings=len(measured))
    posterior = fit(measured, base, weights=weights, ceiling=ceiling)
    law, parameters = posterior.law, posterior.parameters
    powers = zip(law.axes, law.powers(parameters).T, strict=True)
    return Advice(
        base=base,
        base_error=interval_of(posterior.errors(base), LEVEL),
        gains=_gains(posterior, efforts),
        noise=float(np.median(law.noise(parameters))),
        powers={name: interval_of(draws, LEVEL) for name, draws in powers},
        trainings=len(measured),
    )


def _gains(posterior: LawPosterior, efforts: Sequence[Effort]) -> tuple[Gain, ...]:
    known = {
        effort: posterior.gains(effort.amounts)
        for effort in efforts
        if posterior.varies(effort.amounts)
    }
    best = np.zeros(0, dtype=int)
    if known:
        best = np.argmax(np.array([*known.values()]), axis=0)
    order = [*known]
    return tuple(
        Gain(
            effort=effort,
            gain=interval_of(known[effort], LEVEL),
            chance_best=float(np.mean(best == order.index(effort))),
        )
        if effort in known
        else Gain(effort=effort, gain=None)
        for effort in efforts
    )


def class_gains(
    measured: Sequence[Measured],
    base: Amounts,
    effort: Effort,
    labels: np.ndarray,
    classes: Sequence[str],
) -> tuple[ClassGain, ...]:
    """What an effort in images is believed to add to the recall of each class.

    A law is fitted to the share of each class's validation images that is answered wrong; classes
    with fewer than `LEAST_OF_CLASS` of them, and all where too few trainings kept their answers,
    have no gain.

    Args:
        labels: of the validation images, positions in `classes`.

    Raises:
        InvalidSetting: if a training's answers are not as many as labels.
    """
    kept = [one for one in measured if one.wrong is not None]
    if any(one.wrong is not None and one.wrong.shape != labels.shape for one in kept):
        raise InvalidSetting(f"the answers of a training are not those to {len(labels)} images")
    found = []
    for label, name in enumerate(classes):
        own = labels == label
        of_class = [_of_class(one, own) for one in kept] if own.any() else []
        recalls = [1 - one.error for one in of_class if one.amounts == base]
        gain = None
        if own.sum() >= LEAST_OF_CLASS and len(kept) >= LEAST:
            weights = np.full(int(own.sum()), 1 / own.sum())
            posterior = fit(of_class, base, weights=weights, draws=DRAWS_OF_CLASS)
            if posterior.varies(effort.amounts):
                gain = interval_of(posterior.gains(effort.amounts), LEVEL)
        found.append(
            ClassGain(
                name=name,
                images=int(own.sum()),
                recall=float(np.mean(recalls)) if recalls else None,
                gain=gain,
            )
        )
    return tuple(found)


def _of_class(one: Measured, own: np.ndarray) -> Measured:
    assert one.wrong is not None
    wrong = one.wrong[own]
    return Measured(amounts=one.amounts, error=float(wrong.mean()), wrong=wrong)
