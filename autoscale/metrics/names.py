"""Metrics by the names that people type; light, for the command line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoscale.errors import InvalidSetting

#: What each metric is; the word in capitals stands for what is given with it.
METRICS: Mapping[str, str] = {
    "accuracy": "share of images answered right",
    "balanced-accuracy": "mean over classes of the share of each that is answered right",
    "macro-f1": "mean over classes of F1, the harmonic mean of precision and recall",
    "auroc": "mean over classes of the area under the ROC curve, each class against the others",
    "map": "mean over classes of average precision, where an image may have several labels",
    "micro-f1": "F1 of all labels of all images together, where an image may have several",
    "exact-match": "share of images of which all labels are right, where an image may have several",
    "recall:CLASS": "share of that class's images that is answered right",
    "top-K": "share of images whose class is among the K best answers, such as top-5",
    "log-loss": "mean negative logarithm of the probability of an image's class; less is better",
    "cost:FILE.csv": "mean cost of the answers, by a table with a row for each true class and a "
    "column for each answer; less is better",
}

USUAL = "accuracy"
#: In its place where an image may have several labels.
USUAL_OF_SEVERAL = "map"
RECALL, COST = "recall:", "cost:"
_TOP = re.compile(r"top-([1-9]\d*)")
_PLAIN = tuple(name for name in METRICS if name == name.lower())


@dataclass(frozen=True, slots=True)
class Quality:
    """What networks are compared by, as a share in 0..1 of which more is better: what it is called.

    Most metrics are such shares themselves. Of log-loss the share is the geometric mean of the
    probabilities of the images' classes, exp(-loss); of costs that of the way from the largest of
    the table down to the least.
    """

    label: str  # in a sentence: "balanced accuracy"
    column: str  # of a table: "balanced_accuracy"

    @property
    def title(self) -> str:
        """As a heading begins: "Balanced accuracy"."""
        return f"{self.label[0].upper()}{self.label[1:]}"


ACCURACY = Quality("accuracy", "accuracy")
_QUALITIES = {
    "accuracy": ACCURACY,
    "balanced-accuracy": Quality("balanced accuracy", "balanced_accuracy"),
    "macro-f1": Quality("macro-F1", "macro_f1"),
    "auroc": Quality("AUROC", "auroc"),
    "map": Quality("mean average precision", "map"),
    "micro-f1": Quality("micro-F1", "micro_f1"),
    "exact-match": Quality("exact match", "exact_match"),
    "log-loss": Quality("mean probability of the class", "class_probability"),
}


def quality_of(text: str) -> Quality:
    """What a metric compares networks by, by its name."""
    if text.startswith(RECALL):
        return Quality(f"recall of {text.removeprefix(RECALL).strip()}", "recall")
    if text.startswith(COST):
        return Quality("share of costs saved", "saved_cost")
    if (best := best_answers(text)) is not None:
        return Quality(f"{text} accuracy", f"top_{best}")
    return _QUALITIES[text]


def is_quality(column: str) -> bool:
    """Whether a table's column is what networks are compared by, or its mean or deviation."""
    name = column.removesuffix("_sd")
    known = {one.column for one in _QUALITIES.values()} | {"recall", "saved_cost"}
    return name in known or re.fullmatch(r"top_\d+", name) is not None


def metric_names() -> list[str]:
    """What the name of a metric may be or begin with, for completions."""
    return [*_PLAIN, RECALL, "top-5", COST]


def require_metric(text: str) -> None:
    """Refuse what names no metric, before a file or an image is read.

    Raises:
        InvalidSetting: for such a text.
    """
    named = text.startswith((RECALL, COST)) and text.partition(":")[2].strip()
    if not (text in _PLAIN or named or _TOP.fullmatch(text)):
        near = difflib.get_close_matches(text, metric_names(), n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise InvalidSetting(f"no metric {text!r}; {guess}choose from {', '.join(METRICS)}")


def best_answers(text: str) -> int | None:
    """The K of top-K; None of another metric."""
    found = _TOP.fullmatch(text)
    return int(found[1]) if found else None


def with_metric_file(text: str, change: Callable[[str], str]) -> str:
    """A metric's name with a change made to the file that it names, if it names one."""
    return COST + change(text.removeprefix(COST)) if text.startswith(COST) else text
