"""Data sets laid out in many ways, drawn from a seed; their pictures are empty files."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

WORDS = {
    "train": ("train", "training", "trn", "Train", "TRAINING", "TRAIN"),
    "validation": ("val", "valid", "validation", "dev", "Valid", "VAL", "eval", "Development"),
    "test": ("test", "testing", "Test", "TEST", "holdout", "Hold-out"),
}
#: What people write around the name of a split.
STYLES = (
    "{}", "{}", "{}", "{}_images", "images_{}", "dataset-{}", "{}2017", "01_{}", "{} Set", "{}_set",
    "seg_{}", "flowers-{}", "{}_data", "[{}]", "{}.images",
)  # fmt: skip
WRAPPERS = ((), (), (), ("data",), ("dataset", "images"), ("Flowers 102",), ("train_val_test",))
CLASSES = (
    "hat", "pants", "shoes", "t-shirt", "1", "10", "2", "Straße", "日本", "café", "a b", "train",
    "Test", "dev", "eval", "holdout", "bullet_train", "test tube", "images", "data", "labels",
    "v1.0", "x.jpg", "UPPER", "valid",
)  # fmt: skip
LIKE_SPLITS = ("train", "Test", "dev", "eval", "holdout", "valid", "bullet_train", "test tube")
LITTER = (
    ".DS_Store", "Thumbs.db", "desktop.ini", "._001.jpg", "@eaDir/001.jpg/SYNOPHOTO_THUMB.jpg",
    "__MACOSX/001.jpg", ".ipynb_checkpoints/001-checkpoint.jpg", "#recycle/001.jpg",
)  # fmt: skip
NOTES = ("README.md", "LICENSE", "labels.txt", "metadata.json", "boxes.xml", "data.yaml")


@dataclass
class Drawn:
    """A data set on disk and what its owner meant."""

    classes: list[str]
    splits: dict[str, dict[str, int]]  # images of each class; without splits all are "train"
    unused: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)  # splits without classes


def write(path: Path, count: int = 1, *, ending: str = ".jpg") -> int:
    """That many empty pictures in a folder."""
    path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (path / f"{number:03}{ending}").write_bytes(b"")
    return count


def draw(root: Path, rng: random.Random) -> Drawn:
    """Write a data set."""
    root.mkdir(parents=True)
    classes = rng.sample(CLASSES, rng.randint(2, 6))
    if sum(name not in LIKE_SPLITS for name in classes) < 2:
        classes = [*classes, "skirt", "dress"]
    kind = rng.choice(("classes", "splits", "splits", "splits", "within", "among"))
    start = root.joinpath(*rng.choice(WRAPPERS))
    if kind == "classes":
        drawn = _classes(start, classes, rng)
    elif kind == "within":
        drawn = _within(start, classes, rng)
    elif kind == "among":
        drawn = _among(start, [name for name in classes if name.isalpha()][:3], rng)
    else:
        drawn = _splits(start, classes, rng)
    for name in rng.sample(LITTER, rng.randint(0, 3)):
        place = start / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    for name in rng.sample(NOTES, rng.randint(0, 2)):
        (root / name).write_bytes(b"")
    if rng.random() < 0.3:
        (root / "contact-sheet.jpg").write_bytes(b"")
        drawn.unused.append("contact-sheet.jpg")
    return drawn


def _fill(folder: Path, classes: list[str], rng: random.Random) -> dict[str, int]:
    counts = {}
    for name in classes:
        ending = rng.choice((".jpg", ".JPG", ".png", ".jfif", ".ppm", ""))
        counts[name] = write(folder / name, rng.randint(1, 3), ending=ending)
        if rng.random() < 0.2:
            counts[name] += write(folder / name / rng.choice(("more", "2019")), 2)
        if rng.random() < 0.2:
            (folder / name / rng.choice(LITTER[:4])).write_bytes(b"")
    return counts


def _classes(start: Path, classes: list[str], rng: random.Random) -> Drawn:
    return Drawn(classes, {"train": _fill(start, classes, rng)})


def _splits(start: Path, classes: list[str], rng: random.Random) -> Drawn:
    parts = ["train", *rng.choice(((), ("validation",), ("test",), ("validation", "test")))]
    style, inner = rng.choice(STYLES), rng.choice(("", "", "", "same", "images"))
    if len(parts) == 1 and style.startswith(("seg", "flowers")):
        style = "{}"
    drawn = Drawn(classes, {})
    for part in parts:
        name = style.format(rng.choice(WORDS[part]))
        place = start / name
        if part == "test" and rng.random() < 0.2:
            write(place, 3)
            drawn.unlabelled.append(part)
            drawn.unused.append(f"{name}/")
            continue
        place = place / {"": "", "same": name, "images": "images"}[inner]
        own = classes if part == "train" or rng.random() < 0.7 else classes[: len(classes) - 1]
        if inner and len(own) == 1:
            own = classes
        drawn.splits[part] = _fill(place, list(own), rng)
        if rng.random() < 0.3:
            (place / "sheet.png").write_bytes(b"")
            drawn.unused.append("sheet.png")
    if rng.random() < 0.3:
        write(start / "unsorted")
        drawn.unused.append("unsorted/")
    return drawn


def _within(start: Path, classes: list[str], rng: random.Random) -> Drawn:
    """Splits in the folders of the classes."""
    drawn = Drawn(classes, {"train": {}, "test": {}})
    for name in classes:
        for part, own in drawn.splits.items():
            own[name] = write(start / name / part, rng.randint(1, 3))
    return drawn


def _among(start: Path, classes: list[str], rng: random.Random) -> Drawn:
    """A split among the folders of the classes, which are the training images."""
    classes = ["cat", "dog", *(name for name in classes if name in ("hat", "pants", "shoes"))]
    part = rng.choice(("validation", "test"))
    drawn = Drawn(classes, {"train": _fill(start, classes, rng)})
    drawn.splits[part] = _fill(start / rng.choice(WORDS[part][:3]), classes, rng)
    return drawn
