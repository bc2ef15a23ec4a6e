"""What a trained network sees in single images."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from autoscale.datasets.labelling import Labelling
from autoscale.datasets.named import find_pictures, read_pictures
from autoscale.datasets.named import names_in as names_in  # for the command
from autoscale.datasets.pictures.depth import range_notices
from autoscale.errors import InvalidSetting
from autoscale.listener import Listener, duration
from autoscale.metrics.predictions import said_by
from autoscale.models.inference.passes import class_names, logits_of, require_weights
from autoscale.models.load import Model, as_model
from autoscale.models.settings import PredictSettings
from autoscale.settings.function import takes_settings

#: Seconds between two lines that tell how far a long prediction is.
_PACE = 10.0
_COLUMNS = ("image", "rank", "class", "probability")
#: Classes of an image that are told unless another number is asked for.
TOP = 3


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network sees in single images."""

    table: pd.DataFrame  # one row for each image and rank: image, rank, class, probability
    refused: tuple[str, ...]  # one line for each image that could not be read
    notices: tuple[str, ...] = ()  # what a person should know, in sentences


@takes_settings(PredictSettings)
def predict(
    model: Model | str | Path, images: Iterable[str | Path], settings: PredictSettings
) -> Predictions:
    """The most probable classes of single images, the best first.

    Probabilities are the softmax of the logits: how the network weighs its classes against each
    other. They need not be how often it is right. Of a network that says several labels of an
    image they are the sigmoids, each of a label for itself, and without `top` the labels are those
    whose probability is at least their threshold; an image of none has a row without a class.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        images: files, and folders of such at any depth. One that cannot be read is named in the
            answer, the others are answered. Names that are not UTF-8 are escaped, as \\xe9.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: if there is no such network, it has no weights, nothing is named, or `top`
            is below 1.
    """
    parts = list(predict_in_parts(as_model(model, settings), images, settings))
    return Predictions(
        table=pd.concat([part.table for part in parts], ignore_index=True),
        refused=tuple(line for part in parts for line in part.refused),
        notices=parts[-1].notices,
    )


@takes_settings(PredictSettings)
def predict_in_parts(
    model: Model,
    images: Iterable[str | Path],
    settings: PredictSettings,
    *,
    listener: Listener | None = None,
) -> Iterator[Predictions]:
    """The answers of `predict` for some hundred images at a time, so that memory holds any number.

    There is at least one part; the last one has the notices.

    Args:
        listener: is told how far a long prediction is.

    Raises:
        InvalidSetting: as `predict`.
    """
    require_weights(model)
    asked = list(images)
    if not asked:
        raise InvalidSetting("name at least one image")
    preparation = model.preparation
    paths, refused = find_pictures(asked)
    yield Predictions(table=pd.DataFrame(columns=_COLUMNS), refused=refused)
    started = told = time.monotonic()
    done = 0
    peaks: list[int] = []
    for chunk in read_pictures(paths, size=model.resolution, preparation=preparation):
        rows: list[tuple[str, int, str | None, float | None]] = []
        if chunk.names:
            logits, _ = logits_of(model, chunk.pixels, settings)
            names = class_names(model, None, logits.shape[1])
            labelling = model.header.labelling
            rows = (
                _labels(chunk.names, logits, names, labelling, settings.top)
                if labelling.several
                else _answers(chunk.names, logits, names, settings.top or TOP)
            )
        yield Predictions(table=pd.DataFrame(rows, columns=_COLUMNS), refused=chunk.refused)
        done += len(chunk.names) + len(chunk.refused)
        peaks += chunk.peaks
        now = time.monotonic()
        if listener is not None and now - told >= _PACE and done < len(paths):
            told = now
            left = duration((now - started) / done * (len(paths) - done))
            listener.notice(f"{done:,} of {len(paths):,} images, about {left} left")
    notices = range_notices(peaks, pictures=done, preparation=preparation)
    yield Predictions(
        table=pd.DataFrame(columns=_COLUMNS), refused=(), notices=notices if peaks else ()
    )


def _answers(
    images: Sequence[str], logits: Tensor, names: Sequence[str], top: int
) -> list[tuple[str, int, str | None, float | None]]:
    """Rows of `Predictions.table`."""
    chances, order = logits.double().softmax(dim=1).sort(dim=1, descending=True, stable=True)
    return [
        (image, rank, names[number], chance)
        for image, own, classes in zip(
            images, chances[:, :top].tolist(), order[:, :top].tolist(), strict=True
        )
        for rank, (chance, number) in enumerate(zip(own, classes, strict=True), start=1)
    ]


def _labels(
    images: Sequence[str],
    logits: Tensor,
    names: Sequence[str],
    labelling: Labelling,
    top: int | None,
) -> list[tuple[str, int, str | None, float | None]]:
    """Rows of `Predictions.table` for several labels: those that are said, or so many."""
    chances, order = logits.double().sigmoid().sort(dim=1, descending=True, stable=True)
    said = said_by(logits.double().numpy(), labelling.thresholds_of(len(names)))
    rows: list[tuple[str, int, str | None, float | None]] = []
    for place, image in enumerate(images):
        pairs = zip(order[place].tolist(), chances[place].tolist(), strict=True)
        told = [(i, chance) for i, chance in pairs if top is not None or said[place, i]][:top]
        rows += [(image, rank, names[i], p) for rank, (i, p) in enumerate(told, start=1)]
        if not told:
            rows.append((image, 1, None, None))
    return rows
