"""Use a trained network: how good it is on a data set, and what it sees in single images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from autoscale.errors import DataProblem, InvalidSetting
from autoscale.network.threads import threads_of_torch
from autoscale.training.batches import as_channels_last
from autoscale.training.data import ImageData, Images, classes_in, load, read_pictures
from autoscale.training.fit import device_named
from autoscale.workflows.models import Loading, Model, as_model

#: Which images of a data set; "auto" is test where there are such, else validation.
SPLITS = ("auto", "test", "validation", "train", "all")
BATCH = 64
#: Training images of each class that are read where other images are asked for.
_FEW = 8


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How good a network is on some images."""

    split: str
    images: int
    accuracy: float  # share whose largest logit is that of their class
    loss: float  # mean cross-entropy, nats
    images_per_second: float  # of the passes, images in memory; decoding left out
    classes: pd.DataFrame  # class, images, right, accuracy, predicted (how often it was answered)
    confusions: pd.DataFrame  # class, taken_for, images, share (of the class's images); most first
    skipped: tuple[str, ...]  # unreadable files, one line each


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network sees in single images."""

    table: pd.DataFrame  # one row for each image and rank: image, rank, class, probability
    refused: tuple[str, ...]  # one line for each image that could not be read


def evaluate_model(
    model: Model | str | Path,
    data: str | Path,
    *,
    split: str = "auto",
    seed: int = 0,
    batch: int = BATCH,
    device: str = "auto",
    threads: int = 1,
    **loading: Unpack[Loading],
) -> Evaluation:
    """How good a trained network is on the images of a data set.

    Images are decoded and normalised as the training's validation images were.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        data: a folder with one sub-folder per class, Parquet files, or "synthetic".
        split: auto (test where there are such images, else validation), test, validation, train or
            all.
        seed: of the cut of a folder without splits: give that of the training, or images that it
            has seen may be among them.
        batch: images of one pass.
        device: "auto" is the first CUDA device if there is one, else the CPU.
        threads: of torch.
        loading: `weights`, `style`, `resolution` for a name, as `load_model` takes them.

    Raises:
        InvalidSetting: if there is no such network, it has no weights, or its classes are not those
            of the data.
        DataProblem: if the images cannot be read, or there are none of that split.
    """
    model, data = as_model(model, **loading), str(data)
    _require_weights(model)
    if split not in SPLITS:
        raise InvalidSetting(f"no split {split!r}; choose from {', '.join(SPLITS)}")
    known = classes_in(data)
    places = _places(model, known, data)
    whole = split in ("train", "all")
    found = load(
        data,
        size=model.resolution,
        seed=seed,
        limit=None if whole else _FEW * len(known),
        test=split in ("auto", "test", "all"),
    )
    name, images = _chosen(found, split, data)
    labels = places[images.labels]
    logits, seconds = _logits(model, images.pixels, batch=batch, device=device, threads=threads)
    names = _names(model, known, logits.shape[1])
    guesses = logits.argmax(dim=1).numpy()
    right = guesses == labels
    loss = functional.cross_entropy(logits.double(), torch.from_numpy(labels))
    return Evaluation(
        split=name,
        images=len(images),
        accuracy=float(right.mean()),
        loss=float(loss),
        images_per_second=len(images) / seconds,
        classes=_by_class(names, labels, guesses),
        confusions=_confusions(names, labels, guesses),
        skipped=found.skipped,
    )


def predict(
    model: Model | str | Path,
    images: Sequence[str | Path],
    *,
    top: int = 3,
    batch: int = BATCH,
    device: str = "auto",
    threads: int = 1,
    **loading: Unpack[Loading],
) -> Predictions:
    """The most probable classes of single images, the best first.

    Probabilities are the softmax of the logits: how the network weighs its classes against each
    other. They need not be how often it is right.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        images: files. One that cannot be read is named in the answer, the others are answered.
        top: classes of each image.
        batch: images of one pass.
        device: "auto" is the first CUDA device if there is one, else the CPU.
        threads: of torch.
        loading: `weights`, `style`, `resolution` for a name, as `load_model` takes them.

    Raises:
        InvalidSetting: if there is no such network, it has no weights, nothing is named, or `top`
            is below 1.
    """
    model = as_model(model, **loading)
    _require_weights(model)
    if top < 1:
        raise InvalidSetting(f"top must be at least 1 class, got {top}")
    if not images:
        raise InvalidSetting("name at least one image")
    paths = [Path(image) for image in images]
    pixels, kept, refused = read_pictures(paths, size=model.resolution)
    rows = []
    if kept:
        logits, _ = _logits(model, pixels, batch=batch, device=device, threads=threads)
        names = _names(model, None, logits.shape[1])
        chances, order = logits.double().softmax(dim=1).sort(dim=1, descending=True, stable=True)
        for path, own, classes in zip(kept, chances.tolist(), order.tolist(), strict=True):
            for rank, (chance, number) in enumerate(zip(own, classes, strict=True), start=1):
                if rank <= top:
                    rows.append(
                        {
                            "image": str(path),
                            "rank": rank,
                            "class": names[number],
                            "probability": chance,
                        }
                    )
    columns = ["image", "rank", "class", "probability"]
    return Predictions(table=pd.DataFrame(rows, columns=columns), refused=refused)


def to_network_input(pixels: NDArray[np.uint8], model: Model) -> Tensor:
    """(N, S, S, 3) bytes as the network expects them: (N, 3, S, S), normalised by its header."""
    mean = 255 * torch.tensor(model.preparation.mean, dtype=torch.float32).view(3, 1, 1)
    deviation = 255 * torch.tensor(model.preparation.deviation, dtype=torch.float32).view(3, 1, 1)
    return as_channels_last(pixels).float().sub_(mean).div_(deviation)


def _logits(
    model: Model, pixels: NDArray[np.uint8], *, batch: int, device: str, threads: int
) -> tuple[Tensor, float]:
    """Logits of every image, and the seconds of the passes."""
    if batch < 1:
        raise InvalidSetting(f"batch must be at least 1 image, got {batch}")
    if threads < 1:
        raise InvalidSetting(f"threads must be at least 1, got {threads}")
    target = device_named(device)
    network: nn.Module = model.network.to(target)
    parts = []
    with threads_of_torch(threads), torch.inference_mode():
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


def _places(model: Model, known: Sequence[str], data: str) -> NDArray[np.int64]:
    """Which logit each class of the data is."""
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
