"""Images in memory: the only reader of data sets."""

from __future__ import annotations

import hashlib
import io
import json
import os
import reprlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from autoscale.errors import DataProblem, InvalidSetting
from autoscale.training import synthetic

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
VALIDATION_NAMES = ("validation", "val", "valid")

# Formats that Pillow reads without running another program; the content decides, not the extension.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_LITTER = ("thumbs.db", "desktop.ini")
_SIDE_EXTENSIONS = (".txt", ".json", ".csv", ".md")  # notes and annotations beside the images
_DECODERS = 2  # threads; Pillow decodes outside the interpreter lock
_CHUNK = 256  # pictures handed to the decoders at a time


@dataclass(frozen=True, eq=False)
class Images:
    """Decoded square images and their classes."""

    pixels: NDArray[np.uint8]  # (N, S, S, 3), contiguous
    labels: NDArray[np.int64]  # (N,), positions in the classes of the data set

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: ArrayLike) -> Images:
        """The images at `indices` (whole numbers, or N truth values), in that order, copied."""
        chosen = np.asarray(indices)
        return Images(self.pixels[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set, cut into what trains, what ranks and what is reported."""

    train: Images
    validation: Images
    test: Images | None  # None when the source has none, or when it was not asked for
    classes: tuple[str, ...]
    skipped: tuple[str, ...]  # one line for each file left out: its name and the reason
    name: str  # for people, such as "clothing"
    # Of the classes, and of the names, byte sizes and labels of the training and the validation
    # images, each in order; not of the bytes themselves, nor of the size they are decoded at. Of
    # `synthetic`: of its version, the seed and the number of training images.
    fingerprint: str


@dataclass(frozen=True)
class _Pictures:
    """Pictures not yet decoded."""

    names: Sequence[str]  # for messages and fingerprints
    sizes: Sequence[int]  # bytes
    labels: NDArray[np.int64]
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: NDArray[np.int64]) -> _Pictures:
        return _Pictures(
            [self.names[i] for i in indices],
            [self.sizes[i] for i in indices],
            self.labels[indices],
            lambda i: self.read(int(indices[i])),
        )


@dataclass(frozen=True)
class _Listing:
    """What a source holds, before anything is cut or decoded."""

    train: _Pictures
    validation: _Pictures | None
    test: _Pictures | None
    classes: tuple[str, ...]
    splits: bool  # whether the source names its own training split
    skipped: tuple[str, ...]


def load(
    source: str,
    *,
    size: int,
    seed: int = 0,
    validation_fraction: float = 0.2,
    strict: bool = False,
    limit: int | None = None,
    test: bool = True,
) -> ImageData:
    """Read a data set into memory; every image is decoded once and takes 3 * size**2 bytes.

    Each image is turned upright by its EXIF orientation, laid on white where it is transparent,
    and its centre square is shrunk to `size` with antialiasing. Grey images of 16 bits are scaled
    to 8.

    `source` is one of

    - `synthetic`: drawn from `seed`, see `training.synthetic`; it comes with its own splits;
    - a folder with a sub-folder for each class;
    - a folder with `train/`, and perhaps `validation/` (or `val/`, `valid/`) and `test/`, each with
      a sub-folder for each class;
    - a Parquet file in the Hugging Face image layout;
    - a folder with such files: `train*.parquet`, and perhaps `validation*` and `test*`, there or in
      its `data/`.

    A source without splits is cut in two steps: `validation_fraction` of each class is put aside as
    test images, then `validation_fraction` of the rest as validation images (64 / 16 / 20 % by
    default). A source that names its training split but no validation split loses
    `validation_fraction` of each training class to validation; its test split, or the lack of one,
    is respected. The cut depends on `seed` alone, never on `test` or `limit`.

    Args:
        size: pixels per side.
        validation_fraction: above 0 and at most 0.5.
        strict: refuse a file that cannot be read, instead of skipping it.
        limit: at most so many training images, in the proportions of the classes.
        test: False leaves the test images undecoded, so that nothing can look at them.

    Raises:
        InvalidSetting: if `source` is empty, or `size`, `seed`, `validation_fraction` or `limit` is
            out of range.
        DataProblem: if `source` is not one of the above, has a class without readable images, fewer
            than two classes, or validation or test classes that the training split lacks; if
            `strict` and a file cannot be read; if pyarrow is needed and missing.
    """
    if not source.strip():
        raise InvalidSetting(
            "data must not be empty; give a folder of classes, a .parquet file or 'synthetic'"
        )
    if seed < 0:
        raise InvalidSetting(f"seed must be at least 0, got {seed}")
    if size < 1:
        raise InvalidSetting(f"size must be at least 1 pixel; got {size}")
    if not 0 < validation_fraction <= 0.5:
        raise InvalidSetting(
            f"validation_fraction must be above 0 and at most 0.5; got {validation_fraction}"
        )
    if limit is not None and limit < 1:
        raise InvalidSetting(f"limit must be at least 1 image; got {limit}")
    if source == "synthetic":
        return _draw(size=size, seed=seed, limit=limit, test=test)

    root = Path(source).expanduser()
    listing = _list(root, test=test)
    train, validation, held_out = listing.train, listing.validation, listing.test
    if not listing.splits:
        kept, aside = carve(train.labels, validation_fraction, seed=seed)
        train, held_out = train.subset(kept), train.subset(aside)
    if validation is None:
        kept, aside = carve(train.labels, validation_fraction, seed=seed)
        train, validation = train.subset(kept), train.subset(aside)
    if limit is not None:
        train = train.subset(_limited(train.labels, limit, len(listing.classes), seed=seed))
    parts = {"training": train, "validation": validation}
    if test and held_out is not None:
        parts["test"] = held_out
    for part, pictures in parts.items():
        if len(pictures) == 0:
            raise DataProblem(
                f"{source} leaves 0 {part} images; at least 1 is needed: add images to its classes"
            )

    skipped = list(listing.skipped)
    if strict and skipped:
        raise DataProblem(f"{skipped[0]}; remove the file or load without strict")
    decode = _Decoder(size, strict, skipped)
    images = {part: decode(pictures) for part, pictures in parts.items()}
    for label, name in enumerate(listing.classes):
        if not np.any(images["training"].labels == label):
            reason = next((line for line in skipped if f"{name}/" in line), "see the skipped files")
            raise DataProblem(
                f"no training image of class {name!r} could be read ({reason}); repair the files "
                "or remove the class"
            )
    for part, decoded in images.items():
        if len(decoded) == 0:
            raise DataProblem(
                f"none of the {len(parts[part])} {part} images of {source} could be read "
                f"({skipped[-1]}); repair the files"
            )
    return ImageData(
        train=images["training"],
        validation=images["validation"],
        test=images.get("test"),
        classes=listing.classes,
        skipped=tuple(skipped),
        name=root.resolve().name,
        fingerprint=_fingerprint(listing.classes, train, validation),
    )


def classes_in(source: str) -> tuple[str, ...]:
    """The classes of a data set, in order; no image is decoded.

    Raises:
        DataProblem: if `source` is nothing that `load` reads.
    """
    if source == "synthetic":
        return synthetic.CLASSES
    return _list(Path(source).expanduser(), test=False).classes


def carve(
    labels: NDArray[np.int64], fraction: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted lists of positions in `labels`: those kept, and about `fraction` of each class.

    Each class keeps at least one for fractions up to 0.5; a class too small to share keeps all.
    """
    place, members = _shuffled_places(labels, seed)
    aside = place + 0.5 < fraction * members
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _limited(
    labels: NDArray[np.int64], limit: int, classes: int, *, seed: int
) -> NDArray[np.int64]:
    if limit < classes:
        raise InvalidSetting(f"limit must be at least 1 image for each of {classes}; got {limit}")
    place, members = _shuffled_places(labels, seed)
    # The first of every class comes before the second of any, then the classes take turns.
    return np.sort(np.argsort(place / members, kind="stable")[:limit])


def _shuffled_places(
    labels: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each image's place (from 0) in a random order of its class, and the size of its class."""
    random = np.random.default_rng(seed)
    place = np.zeros(len(labels), dtype=np.int64)
    members = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        place[own] = random.permutation(len(own))
        members[own] = len(own)
    return place, members


def _fingerprint(classes: tuple[str, ...], *parts: _Pictures) -> str:
    pictures = [(list(p.names), list(p.sizes), p.labels.tolist()) for p in parts]
    return _hash([classes, pictures])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _draw(*, size: int, seed: int, limit: int | None, test: bool) -> ImageData:
    def part(name: synthetic.Part) -> Images:
        return Images(*synthetic.draw(name, size=size, seed=seed))

    train = part("train")
    if limit is not None:
        train = train.subset(_limited(train.labels, limit, len(synthetic.CLASSES), seed=seed))
    return ImageData(
        train=train,
        validation=part("validation"),
        test=part("test") if test else None,
        classes=synthetic.CLASSES,
        skipped=(),
        name="synthetic shapes",
        fingerprint=_hash(["synthetic", synthetic.VERSION, seed, len(train)]),
    )


# Folders


def _list(root: Path, *, test: bool) -> _Listing:
    if not root.exists():
        raise DataProblem(f"no such folder: {root}; give a folder of classes, or 'synthetic'")
    if root.is_file():
        if root.suffix.lower() != ".parquet":
            raise DataProblem(f"{root} is not a folder or a .parquet file; give one of these")
        return _list_parquet({"train": [root]}, splits=False)
    for folder in (root, root / "data"):
        if trained := sorted(folder.glob("train*.parquet")):
            files = {"train": trained, "validation": sorted(folder.glob("val*.parquet"))}
            files["test"] = sorted(folder.glob("test*.parquet")) if test else []
            return _list_parquet(files, splits=True)
    return _list_folders(root, test=test)


def _list_folders(root: Path, *, test: bool) -> _Listing:
    # A class may be called "train": a split holds folders, a class holds images.
    loose = [path.suffix.lower() for path in _files(root / "train", nested=False)]
    splits = bool(_folders(root / "train")) and not set(loose) & set(EXTENSIONS)
    start = root / "train" if splits else root
    classes = tuple(folder.name for folder in _folders(start))
    if len(classes) < 2:
        raise DataProblem(
            f"{start} has {len(classes)} class sub-folders; at least 2 are needed: give a folder "
            "with one sub-folder of images for each class"
        )
    skipped: list[str] = []
    train = _list_split(root, start, classes, skipped)
    for label, name in enumerate(classes):
        if not np.any(train.labels == label):
            raise DataProblem(
                f"class {name!r} in {start} has 0 images; add some ({', '.join(EXTENSIONS)}) or "
                "remove the folder"
            )
    validation = held_out = None
    if splits:
        present = [root / name for name in VALIDATION_NAMES if (root / name).is_dir()]
        if len(present) > 1:
            names = " and ".join(folder.name for folder in present)
            raise DataProblem(f"{root} has {len(present)} validation splits, {names}; keep one")
        if present:
            validation = _list_split(root, present[0], classes, skipped)
        if test and (root / "test").is_dir():
            held_out = _list_split(root, root / "test", classes, skipped)
    return _Listing(train, validation, held_out, classes, splits, tuple(skipped))


def _list_split(root: Path, split: Path, classes: tuple[str, ...], skipped: list[str]) -> _Pictures:
    number = {name: label for label, name in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    for folder in _folders(split):
        if folder.name not in number:
            raise _unknown_class(folder.name, split.name, classes)
        for path in _files(folder, nested=True):
            if path.suffix and path.suffix.lower() not in EXTENSIONS:
                skipped.append(f"{path.relative_to(root)}: {path.suffix} is no image extension")
            else:
                paths.append(path)
                labels.append(number[folder.name])
    return _Pictures(
        [path.relative_to(root).as_posix() for path in paths],
        [path.stat().st_size if path.exists() else 0 for path in paths],
        np.array(labels, dtype=np.int64),
        lambda i: _content(paths[i]),
    )


def _content(path: Path) -> bytes:
    # Reading a pipe or a device may never end.
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    return path.read_bytes()


def _unknown_class(name: str, split: str, classes: Iterable[str]) -> DataProblem:
    known = ", ".join(classes)
    return DataProblem(
        f"class {name!r} of {split} has no training images; the training classes are {known}: "
        "rename it or add training images"
    )


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _files(folder: Path, *, nested: bool) -> list[Path]:
    """Sorted, without hidden files, side files and what file managers leave behind."""

    def counts(name: str) -> bool:
        return name.lower() not in _LITTER and not name.lower().endswith(_SIDE_EXTENSIONS)

    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if nested and not f.startswith(".")]
        found += [Path(parent, n) for n in names if not n.startswith(".") and counts(n)]
    return sorted(found)


# Parquet


def _list_parquet(files: dict[str, list[Path]], *, splits: bool) -> _Listing:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataProblem(
            f"{files['train'][0]} needs pyarrow, which is not installed; "
            "run: pip install autoscale[parquet]"
        ) from error

    def read(paths: list[Path]) -> Any:
        tables = []
        for path in paths:
            try:
                tables.append(parquet.read_table(path))
            except (pyarrow.ArrowException, OSError) as error:
                reason = str(error).splitlines()[0]
                raise DataProblem(f"cannot read {path}: {reason}; fetch the file again") from error
            if not tables[-1].schema.equals(tables[0].schema):
                raise DataProblem(
                    f"{paths[0]} and {path.name} have different columns; write them alike"
                )
        table = pyarrow.concat_tables(tables)
        if table.num_rows == 0:
            raise DataProblem(f"{paths[0]} has no rows; write images into it or remove the file")
        return table

    table = read(files["train"])
    first = files["train"][0]
    classes, numbers = _parquet_classes(table, first)
    if len(classes) < 2:
        raise DataProblem(f"{first} has {len(classes)} class; at least 2 are needed to tell apart")
    pictures = {"train": _list_table(table, first, classes, numbers, "train")}
    for split in ("validation", "test"):
        if paths := files.get(split):
            pictures[split] = _list_table(read(paths), paths[0], classes, numbers, split)
    for label, name in enumerate(classes):
        if not np.any(pictures["train"].labels == label):
            raise DataProblem(f"class {name!r} in {first} has 0 images; add some or drop the class")
    return _Listing(
        pictures["train"],
        pictures.get("validation"),
        pictures.get("test"),
        classes,
        splits,
        (),
    )


def _columns(table: Any, path: Path) -> tuple[str, str]:
    """The names of the image column and of the label column."""
    from pyarrow import types

    images = [name for name in ("image", "img") if name in table.column_names]
    labels = [name for name in ("label", "labels", "fine_label") if name in table.column_names]
    if not images or not labels:
        raise DataProblem(
            f"{path} has the columns {', '.join(table.column_names)}; an image column (image, img) "
            "and a label column (label, labels, fine_label) are needed"
        )
    image, label = images[0], labels[0]
    for name in (image, label):
        if (times := table.column_names.count(name)) > 1:
            raise DataProblem(f"{path} has {times} columns {name!r}; keep one")
    kind = table.schema.field(image).type
    fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
    if "bytes" not in fields or not _holds_bytes(fields["bytes"]):
        raise DataProblem(
            f"column {image!r} of {path} holds {kind}; a struct with a field 'bytes' of binary "
            "is needed"
        )
    kind = table.schema.field(label).type
    if types.is_nested(kind):
        raise DataProblem(
            f"column {label!r} of {path} holds {kind}; one number or text for each image is needed"
        )
    return image, label


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_null(kind)


def _labels(table: Any, path: Path) -> list[Any]:
    """The label of each row.

    Raises:
        DataProblem: if a row has none.
    """
    _, label = _columns(table, path)
    values: list[Any] = table[label].to_pylist()
    for row, value in enumerate(values):
        if value is None or value != value:  # NaN, what pandas writes for a missing number
            raise DataProblem(f"{path.name} row {row} has no label; give it one or drop the row")
    return values


def _parquet_classes(table: Any, path: Path) -> tuple[tuple[str, ...], dict[object, int]]:
    """The classes, named when the file names them, and the class number of each label value."""
    _, label = _columns(table, path)
    values = set(_labels(table, path))
    if names := _class_names(table, label, path):
        # Labels are positions in the names, or the names themselves.
        numbers: list[object] = [*(names if values <= set(names) else range(len(names)))]
        return names, {value: number for number, value in enumerate(numbers)}
    known = sorted(values)
    return tuple(map(str, known)), {value: number for number, value in enumerate(known)}


def _class_names(table: Any, label: str, path: Path) -> tuple[str, ...]:
    """What the metadata of Hugging Face call the classes; nothing if they are silent."""
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        feature = json.loads(metadata)
        for key in ("info", "features", label):
            feature = feature.get(key, {})
        names = feature.get("names") or []
    except (ValueError, AttributeError) as error:
        raise DataProblem(
            f"the huggingface metadata of {path} are not JSON of info, features and {label}; "
            "write the file again, or without them"
        ) from error
    if not isinstance(names, list) or len(set(map(str, names))) < len(names):
        raise DataProblem(
            f"the huggingface metadata of {path} must list different names of {label}; got "
            f"{reprlib.repr(names)}"
        )
    return tuple(map(str, names))


def _list_table(
    table: Any, path: Path, classes: tuple[str, ...], numbers: dict[object, int], split: str
) -> _Pictures:
    image, _ = _columns(table, path)
    values = _labels(table, path)
    kinds = {type(value).__name__ for value in numbers}
    for value in values:
        if value in numbers:
            continue
        if (kind := type(value).__name__) not in kinds:
            raise DataProblem(
                f"the labels of {split} hold {value!r}, {kind}, where training has "
                f"{', '.join(sorted(kinds))}; write all labels alike"
            )
        raise _unknown_class(str(value), split, classes)
    column = table[image]
    return _Pictures(
        [f"{path.name} row {row}" for row in range(len(values))],
        [len(picture["bytes"].as_py() or b"") for picture in column],
        np.array([numbers[value] for value in values], dtype=np.int64),
        lambda i: column[i]["bytes"].as_py() or b"",
    )


# Decoding


@dataclass
class _Decoder:
    """Turns pictures into images of one size, noting those left out."""

    size: int
    strict: bool
    skipped: list[str]  # grows

    def __call__(self, pictures: _Pictures) -> Images:
        try:
            pixels = np.empty((len(pictures), self.size, self.size, 3), dtype=np.uint8)
        except MemoryError as error:
            gigabytes = len(pictures) * self.size**2 * 3 / 1e9
            raise DataProblem(
                f"{len(pictures)} images of {self.size} pixels need {gigabytes:.0f} GB of memory; "
                "lower size or set limit"
            ) from error
        readable = np.ones(len(pictures), dtype=bool)

        def decode(i: int) -> str | None:
            try:
                pixels[i] = _decode(pictures.read(i), self.size)
            except MemoryError:
                raise
            except UnidentifiedImageError:
                return f"{pictures.names[i]}: not an image ({', '.join(_FORMATS)})"
            except Exception as error:  # damaged files make Pillow raise nearly anything
                return f"{pictures.names[i]}: {error or type(error).__name__}".splitlines()[0]
            return None

        with warnings.catch_warnings(), ThreadPoolExecutor(_DECODERS) as pool:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for start in range(0, len(pictures), _CHUNK):
                chunk = range(start, min(start + _CHUNK, len(pictures)))
                for i, problem in zip(chunk, pool.map(decode, chunk), strict=True):
                    if problem is None:
                        continue
                    if self.strict:
                        raise DataProblem(f"{problem}; repair the file or load without strict")
                    readable[i] = False
                    self.skipped.append(problem)
        if readable.all():
            return Images(pixels, pictures.labels)
        return Images(pixels[readable], pictures.labels[readable])


def _decode(content: bytes, size: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        image.draft("RGB", (size, size))  # JPEG: decode at 1/2, 1/4 or 1/8 where that is enough
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("F"):
            raise ValueError(f"its pixels have more than 8 bits (mode {image.mode})")
        if image.mode.startswith("I"):
            upright = _eight_bits(image).convert("RGB")
        elif image.has_transparency_data:
            seen = image.convert("RGBA")
            upright = Image.new("RGB", seen.size, "white")
            upright.paste(seen, mask=seen)
        else:
            upright = image.convert("RGB")
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    square = (left, top, left + side, top + side)
    shrunk = upright.resize((size, size), Image.Resampling.BILINEAR, box=square)
    return np.asarray(shrunk)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits, or of more if its numbers fit in 16, with black and white kept."""
    values = np.asarray(image).astype(np.int64)
    least, most = values.min(), values.max()
    if least < 0 or most > 65535:
        raise ValueError(f"its pixels have more than 16 bits ({least} to {most})")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
