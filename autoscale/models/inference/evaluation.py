"""How good a trained network is on a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.datasets.data import Told, told_by
from autoscale.datasets.pictures.pictures import shown
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.metrics.metric import Metric
from autoscale.metrics.names import USUAL_OF_SEVERAL
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.probabilities import LogLoss
from autoscale.models.inference.answered import Answered, answered
from autoscale.models.inference.images import (
    Chosen,
    chosen_images,
    class_places,
    cut_groups,
    labelling_of,
)
from autoscale.models.inference.labels import by_label
from autoscale.models.inference.measured import (
    Measured,
    MeasuredLead,
    asked_metrics,
    measured,
    measured_leads,
    usable_metrics,
)
from autoscale.models.inference.passes import class_names, logits_of, require_weights
from autoscale.models.load import Model, as_model, load_model
from autoscale.models.settings import EvaluateSettings
from autoscale.racing.answers import PairedAnswers
from autoscale.settings.function import takes_settings
from autoscale.training.chance import chance_warning


@dataclass(frozen=True, kw_only=True)
class Against:
    """How another network did on the same images."""

    accuracy: float
    paired: PairedAnswers  # the first network's answers beside this one's
    metrics: tuple[MeasuredLead, ...]  # those asked for, in the order of the first's
    notices: tuple[str, ...]  # what a person should know of it, in sentences


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How good a network is on some images."""

    split: str
    which: str  # a sentence: how many images, and which
    images: int
    # Share whose largest logit is that of their class; of several labels, share of which all are
    # right at the network's thresholds.
    accuracy: float
    loss: float  # mean cross-entropy, nats; of several labels the mean of the labels' own
    images_per_second: float  # of the passes, images in memory; decoding left out
    right: NDArray[np.bool_]  # (images,): which of them, in the order in which they were read
    against: Against | None  # another network on the same images, if one was named
    # class, images, right, accuracy, predicted (how often it was answered); of several labels
    # class, images, predicted, precision, recall, f1, average_precision, threshold
    classes: pd.DataFrame
    # class, taken_for, images, share (of the class's images); most first; none of several labels
    confusions: pd.DataFrame
    skipped: tuple[str, ...]  # unreadable files, one line each
    summary: str  # what was understood of the data set, a sentence
    notices: tuple[str, ...]  # what a person should know, in sentences
    notes: tuple[str, ...] = ()  # the same of the network
    metrics: tuple[Measured, ...] = ()  # those asked for; of several labels mAP where none was
    several: bool = False  # whether an image may have several of the classes, or none
    answered: Answered | None = None  # by what `calibrate` wrote into its file, if it did


@takes_settings(EvaluateSettings, places=["model", "data"])
def evaluate_model(model: Model | str | Path, settings: EvaluateSettings) -> Evaluation:
    """How good a trained network is on the images of a data set.

    Images are decoded and normalised as the training's validation images were. Classes are matched
    by name where the network's file names them.

    By the split auto a source without splits is evaluated whole, unless the network was trained on
    it: then on the test images that its training put aside; of one with splits test where there is
    such, else validation. With another seed than the training's, images that the network has seen
    are among them.

    Accuracy, loss, classes, confusions and metrics are those of the logits as they are, whether or
    not `calibrate` wrote how they become an answer; `answered` says how the network does by that.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: if there is no such network, it has no weights, or its classes are not those
            of the data; of `against` too.
        DataProblem: if the images cannot be read, or there are none of that split.
    """
    model = as_model(model, settings)
    known, several = told = told_by(settings.data)
    asked = settings.metrics or ((USUAL_OF_SEVERAL,) if several else ())
    metrics = asked_metrics(
        asked, known if several else model.header.classes or known, several=several
    )
    groups = cut_groups(model, settings.data, split=settings.split, asked=settings.group_by)
    own = _answered(
        model,
        settings,
        metrics,
        told,
        split=settings.split,
        seed=settings.seed,
        group_by=groups,
        leave_out=not settings.metrics,
    )
    names, found, metrics = own.names, own.chosen, own.metrics
    accuracy = float(own.right.mean())
    part = _part(found.split)
    return Evaluation(
        split=found.split,
        which=found.which,
        images=len(own.labels),
        accuracy=accuracy,
        loss=own.loss,
        images_per_second=len(own.labels) / own.seconds,
        right=own.right,
        against=_against(own, settings, metrics, told, groups) if settings.against else None,
        several=several,
        classes=by_label(names, own.predictions)
        if several
        else _by_class(names, own.labels, own.guesses),
        confusions=_table_of(() if several else _confusions(names, own)),
        skipped=found.skipped,
        summary=found.summary,
        notices=(
            *found.notices,
            *own.notices,
            *_lacking(model.header.classes or names, known, settings.data, several=several),
            *_nameless(model, known),
            *filter(None, [chance_warning(accuracy, own.labels, names, part=part)]),
        ),
        notes=model.notes,
        metrics=measured(metrics, own.predictions, seed=_draws(settings)) if metrics else (),
        answered=_as_answered(own, model, settings),
    )


def _draws(settings: EvaluateSettings) -> int:
    """The seed of bootstraps."""
    return settings.seed or 0


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What a network says of images."""

    chosen: Chosen
    labels: NDArray[np.int64]  # which logit is that of an image's class, or which are
    logits: Tensor  # of several labels, those of the data's alone
    names: tuple[str, ...]  # of the logits
    seconds: float  # of the passes
    metrics: tuple[Metric, ...]  # that say something of the images
    notices: tuple[str, ...] = ()
    thresholds: NDArray[np.float64] | None = None

    @property
    def predictions(self) -> Predictions:
        return Predictions(self.labels, self.logits.numpy(), self.thresholds)

    @property
    def loss(self) -> float:
        logits, labels = self.logits.double(), torch.from_numpy(self.labels)
        if self.chosen.images.several:
            return float(functional.binary_cross_entropy_with_logits(logits, labels.double()))
        return float(functional.cross_entropy(logits, labels))

    @property
    def guesses(self) -> NDArray[np.int64]:
        return self.logits.argmax(dim=1).numpy()

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.predictions.right


def _answered(
    model: Model,
    settings: EvaluateSettings,
    metrics: Sequence[Metric],
    told: Told,
    *,
    split: str,
    seed: int | None,
    group_by: str | None,
    leave_out: bool = False,
) -> _Answers:
    """
    Args:
        told: by the data.
        leave_out: metrics that say nothing of the images, in the place of refusing them.
    """
    require_weights(model)
    known = told.classes
    places = class_places(model, known, settings.data)
    labelling = labelling_of(model, settings.data, several=told.several)
    chosen = chosen_images(model, settings.data, split=split, seed=seed, group_by=group_by)
    several = labelling.several
    labels = chosen.images.labels if several else places[chosen.images.labels]
    metrics, notices = usable_metrics(
        metrics,
        labels,
        known if several else model.header.classes or known,
        part="" if chosen.split == "all" else chosen.split,
        expected=known,
        leave_out=leave_out,
    )
    logits, seconds = logits_of(model, chosen.images.pixels, settings)
    names, thresholds = class_names(model, known, logits.shape[1]), None
    if several:
        thresholds = labelling.thresholds_of(len(names))[places]
        logits, names = logits[:, places], tuple(known)
    return _Answers(
        chosen=chosen,
        labels=labels,
        logits=logits,
        names=names,
        seconds=seconds,
        metrics=metrics,
        notices=notices,
        thresholds=thresholds,
    )


def _as_answered(own: _Answers, model: Model, settings: EvaluateSettings) -> Answered | None:
    answering = model.header.answering
    if answering is None or answering.several:
        return None
    LogLoss().require_several(own.labels, part="")
    return answered(own.predictions, answering, seed=_draws(settings))


def _against(
    own: _Answers,
    settings: EvaluateSettings,
    metrics: Sequence[Metric],
    told: Told,
    groups: str | None,
) -> Against:
    """Another network's answers to the images that `own` answered."""
    name, chosen = str(settings.against), own.chosen
    model = load_model(name)
    other = _answered(
        model, settings, (), told, split=chosen.split, seed=chosen.seed, group_by=groups
    )
    if metrics and other.names != own.names:
        raise InvalidSetting(
            f"{name} tells other classes apart or in another order; compare its {metrics[0].label} "
            "in a call of its own, without --against"
        )
    if not np.array_equal(other.chosen.images.labels, chosen.images.labels):
        raise DataProblem(
            f"{name} reads other images of {settings.data}, {len(other.labels):,} in place of "
            f"{len(own.labels):,}; mend those that cannot be read"
        )
    flattered = [notice for notice in other.chosen.notices if notice not in chosen.notices]
    return Against(
        accuracy=float(other.right.mean()),
        paired=PairedAnswers.of(own.right, other.right),
        metrics=measured_leads(metrics, own.predictions, other.predictions, seed=_draws(settings))
        if metrics
        else (),
        notices=(*model.notes, *flattered),
    )


def _part(split: str) -> str:
    """What a sentence calls the images of a split."""
    return "the whole set's" if split == "all" else split


def _lacking(
    names: Sequence[str], known: Sequence[str], data: str, *, several: bool
) -> tuple[str, ...]:
    """What to say of classes that the network tells apart and the data lacks."""
    lacking = [name for name in names if name not in known]
    if not lacking:
        return ()
    named = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
    told = f"{shown(data)} has no images of {len(lacking)} of {len(names)} classes: {named}"
    return (f"{told}; what is said of these is left out",) if several else (told,)


def _nameless(model: Model, known: Sequence[str]) -> tuple[str, ...]:
    """A sentence where the classes of the data are taken by their places alone."""
    if model.header.classes is not None:
        return ()
    names = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
    return (f"{model.name} does not name its classes: they are taken in the data's order, {names}",)


def _by_class(
    names: Sequence[str], labels: NDArray[np.int64], guesses: NDArray[np.int64]
) -> pd.DataFrame:
    rows = []
    for number, name in enumerate(names):
        own = labels == number
        right = int((own & (guesses == number)).sum())
        rows.append(
            {
                "class": name,
                "images": int(own.sum()),
                "right": right,
                "accuracy": right / own.sum() if own.any() else None,
                "predicted": int((guesses == number).sum()),
            }
        )
    return pd.DataFrame(rows).astype({"accuracy": float})


def _confusions(names: Sequence[str], own: _Answers) -> Sequence[dict[str, Any]]:
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (own.labels, own.guesses), 1)
    return [
        {
            "class": names[true],
            "taken_for": names[guess],
            "images": int(counts[true, guess]),
            "share": float(counts[true, guess] / counts[true].sum()),
        }
        for true, guess in np.argwhere(counts)
        if true != guess
    ]


def _table_of(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A table of confusions, the most frequent first."""
    rows = sorted(
        found, key=lambda row: (-row["images"], -row["share"], row["class"], row["taken_for"])
    )
    return pd.DataFrame(rows, columns=["class", "taken_for", "images", "share"])
