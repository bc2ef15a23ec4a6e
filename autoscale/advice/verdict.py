"""What the figures of an advice allow to say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from autoscale.advice.efforts import LEAST_OF_CLASS, LEVEL, Advice, ClassGain, Gain
from autoscale.advice.posterior import LEAST, Interval

#: Classes that are named, those that gain most.
_NAMED = 5


def points_of(interval: Interval) -> str:
    """A gain in points with its interval: "1.8 (0.6 to 3.1)"."""
    mean, low, high = (100 * value for value in (interval.mean, interval.low, interval.high))
    return f"{_zero(mean)} ({_zero(low)} to {_zero(high)})"


def _zero(value: float) -> str:
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text


def sentences(advice: Advice, *, quality: str) -> tuple[str, ...]:
    """What efforts are believed to buy, which of them is best, and what cannot be told.

    Args:
        quality: what gains are points of, such as "accuracy".
    """
    known = [gain for gain in advice.gains if gain.gain is not None]
    if not known:
        return (_silence(advice),)
    first, *others = [f"{one.effort.words} {points_of(one.gain)}" for one in known if one.gain]
    believed = "; ".join([f"Believed to buy, in points of {quality}: {first}", *others])
    found = [f"{believed}; intervals at {LEVEL:.0%}.".replace("%", " %"), _verdict(advice, known)]
    if unknown := [gain.effort.words for gain in advice.gains if gain.gain is None]:
        found.append(f"No training varies what is needed to tell of {_listed(unknown)}.")
    return tuple(found)


def _silence(advice: Advice) -> str:
    if advice.trainings < LEAST:
        return (
            f"These trainings cannot tell: {advice.trainings} succeeded, and a law needs at "
            f"least {LEAST}."
        )
    return "These trainings cannot tell: none of them varies what is asked for."


def _verdict(advice: Advice, known: Sequence[Gain]) -> str:
    silent = [one.effort.words for one in known if not one.told]
    harmful = [one.effort.words for one in known if one.told and one.gain and one.gain.mean < 0]
    best = advice.best
    if best is None and not harmful:
        return "These trainings cannot tell: every interval holds 0."
    parts = []
    if best is not None:
        chance = f"with a chance of {best.chance_best:.2f}"
        parts.append(f"likeliest to buy most, {chance}: {best.effort.words}")
    if harmful:
        parts.append(f"{_listed(harmful)} would rather harm")
    if silent:
        parts.append(f"of {_listed(silent)} these trainings cannot tell, the interval holds 0")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def class_sentence(classes: Sequence[ClassGain], words: str) -> str | None:
    """Which classes gain most from images; None where nothing is known of any.

    Args:
        words: the effort's, such as "1,000 more images".
    """
    known = [(one, one.gain) for one in classes if one.gain is not None]
    if not known:
        if not classes or any(one.images >= LEAST_OF_CLASS for one in classes):
            return None
        return "No class has enough validation images to tell what it gains."
    told = [(one, gain) for one, gain in known if gain.low > 0]
    few = len(classes) - len(known)
    beside = f" {few} of {len(classes)} classes have too few validation images to tell." * bool(few)
    if not told:
        return f"Which classes gain from {words} these trainings cannot tell.{beside}"
    told.sort(key=lambda pair: -pair[1].mean)
    named = ", ".join(f"{one.name} {points_of(gain)}" for one, gain in told[:_NAMED])
    more = f", and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f"From {words} these classes gain in recall: {named}{more}.{beside}"


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
