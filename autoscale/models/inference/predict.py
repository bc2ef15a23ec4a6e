"""What a trained network sees in single images."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from autoscale.answering.answering import NONE, Answering
from autoscale.datasets.named import find_pictures, read_pictures
from autoscale.datasets.named import names_in as names_in  # for the command
from autoscale.datasets.named import require_any as require_any
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
#: Of a network that may say "none of these", which some class might be called.
_INDEX = "index"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network sees in single images."""

    # One row for each image and rank: image, rank, class, probability; and index, the place of the
    # class among the network's, where that may answer that it is none of them.
    table: pd.DataFrame
    refused: tuple[str, ...]  # one line for each image that could not be read
    notices: tuple[str, ...] = ()  # what a person should know, in sentences


@takes_settings(PredictSettings)
def predict(
    model: Model | str | Path, images: Iterable[str | Path], settings: PredictSettings
) -> Predictions:
    """The most probable classes of single images, the best first.

    Probabilities are the softmax of the logits: how the network weighs its classes against each
    other. They need not be how often it is right. If `calibrate` wrote into its file how logits
    become an answer, they are calibrated, and where it chose a threshold "none of these" is an
    answer: of rank 1, without index and probability. Of a network that says several labels of an
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
    answering = model.header.answering or Answering()
    yield Predictions(table=_table([], answering), refused=refused)
    started = told = time.monotonic()
    done = 0
    peaks: list[int] = []
    for chunk in read_pictures(paths, size=model.resolution, preparation=preparation):
        rows: list[_Row] = []
        if chunk.names:
            logits, _ = logits_of(model, chunk.pixels, settings)
            names = class_names(model, None, logits.shape[1])
            rows = (
                _labels(chunk.names, logits, names, answering, settings.top)
                if answering.several
                else _answers(chunk.names, logits, names, settings.top or TOP, answering)
            )
        yield Predictions(table=_table(rows, answering), refused=chunk.refused)
        done += len(chunk.names) + len(chunk.refused)
        peaks += chunk.peaks
        now = time.monotonic()
        if listener is not None and now - told >= _PACE and done < len(paths):
            told = now
            left = duration((now - started) / done * (len(paths) - done))
            listener.notice(f"{done:,} of {len(paths):,} images, about {left} left")
    notices = range_notices(peaks, pictures=done, preparation=preparation)
    yield Predictions(table=_table([], answering), refused=(), notices=notices if peaks else ())


#: Of `Predictions.table`, with the index of the class.
_Row = tuple[str, int, str | None, float | None, int | None]


def _table(rows: Sequence[_Row], answering: Answering) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*_COLUMNS, _INDEX])
    if answering.none_below is None:
        return table[[*_COLUMNS]]
    return table.astype({_INDEX: "Int64"})


def _answers(
    images: Sequence[str], logits: Tensor, names: Sequence[str], top: int, answering: Answering
) -> list[_Row]:
    """The best answers to each image, of which "none of these" may be one."""
    scaled = torch.from_numpy(answering.scaled(logits.numpy()))
    chances, order = scaled.softmax(dim=1).sort(dim=1, descending=True, stable=True)
    refused = answering.refuses(chances[:, 0].numpy())
    rows: list[_Row] = []
    for image, none, own, classes in zip(
        images, refused, chances[:, :top].tolist(), order[:, :top].tolist(), strict=True
    ):
        found = [
            (names[number], chance, number) for chance, number in zip(own, classes, strict=True)
        ]
        answers = [(NONE, None, None), *found][:top] if none else found
        rows += [(image, rank, *answer) for rank, answer in enumerate(answers, start=1)]
    return rows


def _labels(
    images: Sequence[str],
    logits: Tensor,
    names: Sequence[str],
    answering: Answering,
    top: int | None,
) -> list[_Row]:
    """Of several labels those that are said of each image, or so many."""
    chances, order = logits.double().sigmoid().sort(dim=1, descending=True, stable=True)
    said = said_by(logits.double().numpy(), answering.thresholds_of(len(names)))
    rows: list[_Row] = []
    for place, image in enumerate(images):
        pairs = zip(order[place].tolist(), chances[place].tolist(), strict=True)
        told = [(i, chance) for i, chance in pairs if top is not None or said[place, i]][:top]
        rows += [(image, rank, names[i], p, i) for rank, (i, p) in enumerate(told, start=1)]
        if not told:
            rows.append((image, 1, None, None, None))
    return rows
