"""A network in int8 beside itself in float: how good both are, and which layer costs most."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autoscale.datasets.data import has_splits, several_in, told_by
from autoscale.datasets.pictures.pictures import shown
from autoscale.distribution import require
from autoscale.errors import InvalidSetting
from autoscale.metrics.predictions import Predictions
from autoscale.models.inference.images import (
    chosen_images,
    class_places,
    cut_groups,
    labelling_of,
)
from autoscale.models.load import Model, as_model
from autoscale.models.quantized.calibrated import BATCH, Calibrated, batches, calibrate
from autoscale.models.quantized.files import FILES, Comparison, content, file_logits, float_logits
from autoscale.models.quantized.tune import Tuned, tune
from autoscale.models.settings import QuantizeSettings
from autoscale.network.threads import threads_of_torch
from autoscale.quantization.errors import layer_errors
from autoscale.runs.store import require_folder, write_bytes
from autoscale.settings.function import takes_settings

#: Images on which the error of each layer is measured.
_ERRORS_ON = 2 * BATCH


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """A network in int8 beside itself in float."""

    path: Path  # the LiteRT file
    bytes: int
    which: str  # a sentence: how many images both answered, and which
    calibrated_on: str  # a sentence: how many images, and which
    images: int
    accuracy_float: float | None  # share whose largest logit is that of their class; None if the
    accuracy_int8: float | None  # network's classes are not the data's
    agreement: float  # share whose largest logit is of the same class in both
    difference: float  # largest one of a logit
    layers: pd.DataFrame  # layer, operation, alone_db, so_far_db; in the order of the network
    notices: tuple[str, ...]  # what a person should know, in sentences
    tuned: Tuned | None = None  # how it was fine-tuned, if that was asked for
    accuracy_before: float | None = None  # in int8 before that, on the same images

    @property
    def worst(self) -> pd.DataFrame:
        """The layers, those first whose own error is largest beside what they give."""
        return self.layers.sort_values("alone_db", kind="stable", ignore_index=True)


@takes_settings(QuantizeSettings, places=["model", "directory", "data"])
def quantize(
    model: Model | str | Path, directory: str | Path, settings: QuantizeSettings
) -> Quantized:
    """Write a network in int8 as a LiteRT file, and compare it with itself in float.

    Weights and maps become integers of 8 bits after a look at some training images. Nothing is
    trained, unless epochs are asked for: then the int8 network learns, and the best of the epochs
    on the validation images is kept, or what was before. Both networks then answer other images,
    the int8 network by LiteRT's own interpreter. The errors of layers are those before learning.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        directory: where the file goes; made if it is not there.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: if there is no such network, it has no weights or no design, its classes
            are not those of the images that it shall learn from, or ai-edge-litert is missing.
        EvaluationFailed: if its fine-tuning diverges.
        InvalidArchitecture: if the design has layers that LiteRT lacks.
        DataProblem: if the images cannot be read, or there are none of that split.
        StorageProblem: if the file cannot be written there.
    """
    require("litert", "quantize")
    require_folder(Path(directory))
    model, data = as_model(model, settings), settings.data
    if settings.epochs and several_in(data):
        raise InvalidSetting(
            f"--epochs lets an int8 network learn one class of each image, and those of {data} may "
            "have several labels; leave it out"
        )
    with threads_of_torch(settings.threads):
        calibrated = calibrate(model, data, settings)
        split = _split(settings)
        groups = cut_groups(model, data, split=split, asked=settings.group_by)
        found = chosen_images(model, data, split=split, seed=settings.seed, group_by=groups)
        pixels = found.images.pixels
        tuned = tune(model, calibrated.network, data, settings) if settings.epochs else None
        network = tuned.network if tuned else calibrated.network
        file = content(model, network)
        compared = Comparison(
            float_logits(calibrated.graph, pixels), file_logits(file, pixels, network)
        )
        before = None
        if tuned:
            before = file_logits(content(model, calibrated.network), pixels, calibrated.network)
        layers = _layers(calibrated, pixels[:_ERRORS_ON])
    answers, notices = _labels(model, data, found.images.labels)
    path = Path(directory) / FILES["int8"]
    write_bytes(path, file)
    return Quantized(
        path=path,
        bytes=len(file),
        which=found.which,
        calibrated_on=calibrated.which,
        images=len(pixels),
        accuracy_float=_accuracy(compared.true, answers),
        accuracy_int8=_accuracy(compared.found, answers),
        agreement=compared.agreement,
        difference=compared.difference,
        layers=layers,
        notices=(
            *model.notes,
            *found.notices,
            *notices,
            *_learned_from(settings),
            *_carried(model),
        ),
        tuned=tuned,
        accuracy_before=None if before is None else _accuracy(before, answers),
    )


def _split(settings: QuantizeSettings) -> str:
    """Which images both answer: where the network learns, none that it learned from."""
    if settings.epochs and settings.split == "auto" and not has_splits(settings.data):
        return "test"
    return settings.split


def _learned_from(settings: QuantizeSettings) -> tuple[str, ...]:
    if settings.epochs and settings.split in ("train", "all"):
        return ("it learned from some of the images that it answers; --split test has others",)
    return ()


def _carried(model: Model) -> tuple[str, ...]:
    if model.header.answering is None:
        return ()
    return ("the file says how its logits become an answer as it was chosen for the float network",)


def _layers(calibrated: Calibrated, pixels: NDArray[np.uint8]) -> pd.DataFrame:
    errors = layer_errors(calibrated.graph, calibrated.network, batches(pixels))
    return pd.DataFrame([asdict(error) for error in errors])


class _Right(NamedTuple):
    """What is right for each image."""

    labels: NDArray[np.int64]  # which logit; of several labels those of the data's classes
    places: NDArray[np.int64]  # which logit each class of the data is
    thresholds: NDArray[np.float64] | None  # of several labels, one a logit


def _labels(
    model: Model, data: str, labels: NDArray[np.int64]
) -> tuple[_Right | None, tuple[str, ...]]:
    """What is right for each image; None, and why, if the classes are not the data's."""
    told = told_by(data)
    try:
        places = class_places(model, told.classes, data)
        labelling = labelling_of(model, data, several=told.several)
        if labelling.several:
            known = model.header.classes or told.classes
            return _Right(labels, places, labelling.thresholds_of(len(known))), ()
        return _Right(places[labels], places, None), ()
    except InvalidSetting:
        return None, (
            f"{model.name} does not tell the classes of {shown(data)} apart, so only the agreement "
            "of its answers is known, no accuracy",
        )


def _accuracy(logits: NDArray[np.float32], right: _Right | None) -> float | None:
    """Share of images answered right; of several labels, of which all are."""
    if right is None:
        return None
    thresholds = right.thresholds
    if thresholds is not None:
        logits, thresholds = logits[:, right.places], thresholds[right.places]
    return float(Predictions(right.labels, logits, thresholds).right.mean())
