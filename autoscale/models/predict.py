"""Use a trained network: how good it is on a data set, and what it sees in single images."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from autoscale.datasets.data import ImageData, Images, classes_in, has_splits, load, load_whole
from autoscale.datasets.named import find_pictures, read_pictures
from autoscale.datasets.named import names_in as names_in  # for the command
from autoscale.datasets.pictures.depth import range_notices
from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.pictures.selection import Selection
from autoscale.datasets.seen import share_among
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.listener import Listener, duration
from autoscale.models.load import Model, as_model
from autoscale.models.settings import EvaluateSettings, PassSettings, PredictSettings
from autoscale.network.threads import threads_of_torch
from autoscale.settings.function import takes_settings
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.chance import chance_warning
from autoscale.training.task import device_named

#: Training images of each class that are read where other images are asked for.
_FEW = 8
#: Share of the training images among those of a source from which on it is the training's own.
_OWN = 0.5
#: The same of a part that the training put aside: pictures that the source holds twice.
_STRAY = 0.1
#: Seconds between two lines that tell how far a long prediction is.
_PACE = 10.0
_COLUMNS = ("image", "rank", "class", "probability")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How good a network is on some images."""

    split: str
    which: str  # a sentence: how many images, and which
    images: int
    accuracy: float  # share whose largest logit is that of their class
    loss: float  # mean cross-entropy, nats
    images_per_second: float  # of the passes, images in memory; decoding left out
    classes: pd.DataFrame  # class, images, right, accuracy, predicted (how often it was answered)
    confusions: pd.DataFrame  # class, taken_for, images, share (of the class's images); most first
    skipped: tuple[str, ...]  # unreadable files, one line each
    summary: str  # what was understood of the data set, a sentence
    notices: tuple[str, ...]  # what a person should know, in sentences
    notes: tuple[str, ...] = ()  # the same of the network


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network sees in single images."""

    table: pd.DataFrame  # one row for each image and rank: image, rank, class, probability
    refused: tuple[str, ...]  # one line for each image that could not be read
    notices: tuple[str, ...] = ()  # what a person should know, in sentences


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The images that are evaluated."""

    split: str
    which: str
    images: Images
    share: float  # of the images that the network was trained on, about, among these
    skipped: tuple[str, ...]
    summary: str
    notices: tuple[str, ...]


@takes_settings(EvaluateSettings, places=["model", "data"])
def evaluate_model(model: Model | str | Path, settings: EvaluateSettings) -> Evaluation:
    """How good a trained network is on the images of a data set.

    Images are decoded and normalised as the training's validation images were. Classes are matched
    by name where the network's file names them.

    By the split auto a source without splits is evaluated whole, unless the network was trained on
    it: then on the test images that its training put aside; of one with splits test where there is
    such, else validation. With another seed than the training's, images that the network has seen
    are among them.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: if there is no such network, it has no weights, or its classes are not those
            of the data.
        DataProblem: if the images cannot be read, or there are none of that split.
    """
    model, data = as_model(model, settings), settings.data
    _require_weights(model)
    known = classes_in(data)
    places = class_places(model, known, data)
    found = chosen_images(model, data, split=settings.split, seed=settings.seed)
    images = found.images
    labels = places[images.labels]
    logits, seconds = _logits(model, images.pixels, settings)
    names = _names(model, known, logits.shape[1])
    guesses = logits.argmax(dim=1).numpy()
    right = guesses == labels
    loss = functional.cross_entropy(logits.double(), torch.from_numpy(labels))
    return Evaluation(
        split=found.split,
        which=found.which,
        images=len(images),
        accuracy=float(right.mean()),
        loss=float(loss),
        images_per_second=len(images) / seconds,
        classes=_by_class(names, labels, guesses),
        confusions=_confusions(names, labels, guesses),
        skipped=found.skipped,
        summary=found.summary,
        notices=(
            *found.notices,
            *_lacking(names, known, data),
            *_nameless(model, known),
            *filter(
                None, [chance_warning(float(right.mean()), labels, names, part=_part(found.split))]
            ),
        ),
        notes=model.notes,
    )


@takes_settings(PredictSettings)
def predict(
    model: Model | str | Path, images: Iterable[str | Path], settings: PredictSettings
) -> Predictions:
    """The most probable classes of single images, the best first.

    Probabilities are the softmax of the logits: how the network weighs its classes against each
    other. They need not be how often it is right.

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
    _require_weights(model)
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
        rows = []
        if chunk.names:
            logits, _ = _logits(model, chunk.pixels, settings)
            names = _names(model, None, logits.shape[1])
            rows = _answers(chunk.names, logits, names, settings.top)
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


def _part(split: str) -> str:
    """What a sentence calls the images of a split."""
    return "the whole set's" if split == "all" else split


def _answers(
    images: Sequence[str], logits: Tensor, names: Sequence[str], top: int
) -> list[tuple[str, int, str, float]]:
    """Rows of `Predictions.table`."""
    chances, order = logits.double().softmax(dim=1).sort(dim=1, descending=True, stable=True)
    return [
        (image, rank, names[number], chance)
        for image, own, classes in zip(
            images, chances[:, :top].tolist(), order[:, :top].tolist(), strict=True
        )
        for rank, (chance, number) in enumerate(zip(own, classes, strict=True), start=1)
    ]


def chosen_images(model: Model, data: str, *, split: str, seed: int | None) -> Chosen:
    """The images of that split, as `evaluate_model` takes them, and which they are.

    Raises:
        DataProblem: if the images cannot be read, or there are none of that split.
    """
    if split not in ("auto", "all") or has_splits(data):
        return _split(model, data, split=split, seed=seed)
    seen, place = model.header.seen, shown(data)
    whole = load_whole(data, size=model.resolution, preparation=model.preparation)
    share = share_among(seen, whole.digests)
    if split == "auto" and share >= _OWN:
        apart = _split(model, data, split="test", seed=seed)
        if apart.share < _STRAY:
            rest = ", on the rest of which the network was trained"
            return replace(apart, which=apart.which + rest)
    return Chosen(
        split="all",
        which=f"{len(whole.images):,} images: all of {place}, which has no splits",
        images=whole.images,
        share=share,
        skipped=whole.skipped,
        summary=whole.summary.sentence,
        notices=(*whole.notices, *_seen_before(share, place)),
    )


def _split(model: Model, data: str, *, split: str, seed: int | None) -> Chosen:
    """The images of a split that the source names, or that is cut from it."""
    header, place = model.header, shown(data)
    if seed is None:
        seed = header.seed or 0
    found = load(
        data,
        size=model.resolution,
        selection=Selection(
            seed=seed,
            limit=None if split in ("train", "all") else _FEW * len(classes_in(data)),
            test=split in ("auto", "test", "all"),
        ),
        preparation=model.preparation,
    )
    name, images = _chosen(found, split, place)
    summary = found.summary if split in ("train", "all") else found.summary.without("train")
    which = f"all splits of {place}" if name == "all" else f"the {name} images of {place}"
    if found.summary.cut and name in (*found.summary.cut, "train"):
        which += f", cut by seed {seed}"
    share = share_among(header.seen, found.held_out) if name == "test" else 0.0
    return Chosen(
        split=name,
        which=f"{len(images):,} images: {which}",
        images=images,
        share=share,
        skipped=found.skipped,
        summary=summary.sentence,
        notices=(*found.notices, *_seen_before(share, place)),
    )


def _seen_before(share: float, data: str) -> tuple[str, ...]:
    if share == 0:
        return ()
    return (
        f"about {100 * share:.0f} % of the images that the network was trained on are among these "
        f"of {data}: the accuracy flatters",
    )


def _lacking(names: Sequence[str], known: Sequence[str], data: str) -> tuple[str, ...]:
    """What to say of classes that the network tells apart and the data lacks."""
    lacking = [name for name in names if name not in known]
    if not lacking:
        return ()
    named = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
    return (f"{shown(data)} has no images of {len(lacking)} of {len(names)} classes: {named}",)


def to_network_input(pixels: NDArray[np.uint8], model: Model) -> Tensor:
    """(N, S, S, C) bytes as the network expects them: (N, C, S, S), normalised as in training."""
    return normalised(as_channels_last(pixels), model.preparation)


def _logits(
    model: Model, pixels: NDArray[np.uint8], settings: PassSettings
) -> tuple[Tensor, float]:
    """Logits of every image, and the seconds of the passes."""
    batch, target = settings.batch, device_named(settings.device)
    network: nn.Module = model.network.to(target)
    parts = []
    with threads_of_torch(settings.threads), torch.inference_mode():
        started = time.perf_counter()
        for start in range(0, len(pixels), batch):
            images = to_network_input(pixels[start : start + batch], model)
            parts.append(network(images.to(target)).float().cpu())
        seconds = time.perf_counter() - started
    found = torch.cat(parts)
    if found.ndim != 2:
        raise InvalidSetting(f"{model.name} must give logits of shape (N, classes)")
    return found, seconds


def _require_weights(model: Model) -> None:
    if not model.trained and model.architecture is not None:
        raise InvalidSetting(
            f"{model.name} has no weights, so its answers mean nothing; name a .safetensors file, "
            "or give one with --weights"
        )


def _names(model: Model, known: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = model.header.classes or known or tuple(f"class {number}" for number in range(count))
    if len(names) != count:
        raise InvalidSetting(
            f"{model.name} gives {count} logits, but {len(names)} classes are named"
        )
    return tuple(names)


def _nameless(model: Model, known: Sequence[str]) -> tuple[str, ...]:
    """A sentence where the classes of the data are taken by their places alone."""
    if model.header.classes is not None:
        return ()
    names = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
    return (f"{model.name} does not name its classes: they are taken in the data's order, {names}",)


def class_places(model: Model, known: Sequence[str], data: str) -> NDArray[np.int64]:
    """Which logit each class of the data is.

    Raises:
        InvalidSetting: if the network does not tell these classes apart.
    """
    held = model.header.classes
    if held is None:
        if model.num_classes not in (None, len(known)):
            raise InvalidSetting(
                f"{data} has {len(known)} classes, {model.name} tells {model.num_classes} apart "
                "and does not say which; train it on these images"
            )
        return np.arange(len(known), dtype=np.int64)
    strange = [name for name in known if name not in held]
    if strange:
        raise InvalidSetting(
            f"{data} has the class {strange[0]!r}, which {model.name} does not know; it knows "
            f"{', '.join(held[:10])}{', ...' if len(held) > 10 else ''}"
        )
    return np.array([held.index(name) for name in known], dtype=np.int64)


def _chosen(found: ImageData, split: str, data: str) -> tuple[str, Images]:
    if split == "auto":
        split = "validation" if found.test is None else "test"
    if split == "all":
        parts = [part for part in (found.train, found.validation, found.test) if part is not None]
        pixels = np.concatenate([part.pixels for part in parts])
        return split, Images(pixels, np.concatenate([part.labels for part in parts]))
    images = {"train": found.train, "validation": found.validation, "test": found.test}[split]
    if images is None:
        raise DataProblem(f"{data} has no test images; take --split validation or all")
    return split, images


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


def _confusions(
    names: Sequence[str], labels: NDArray[np.int64], guesses: NDArray[np.int64]
) -> pd.DataFrame:
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (labels, guesses), 1)
    rows = [
        {
            "class": names[true],
            "taken_for": names[guess],
            "images": int(counts[true, guess]),
            "share": float(counts[true, guess] / counts[true].sum()),
        }
        for true, guess in np.argwhere(counts)
        if true != guess
    ]
    rows.sort(key=lambda row: (-row["images"], -row["share"], row["class"], row["taken_for"]))
    return pd.DataFrame(rows, columns=["class", "taken_for", "images", "share"])
