"""What a data set holds, before anything is cut or decoded: folders and Parquet files."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import DataProblem

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
VALIDATION_NAMES = ("validation", "val", "valid")

_LITTER = ("thumbs.db", "desktop.ini")
_SIDE_EXTENSIONS = (".txt", ".json", ".csv", ".md")  # notes and annotations beside the images


@dataclass(frozen=True)
class Pictures:
    """Pictures not yet decoded."""

    names: Sequence[str]  # for messages and fingerprints
    sizes: Sequence[int]  # bytes
    labels: NDArray[np.int64]
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: NDArray[np.int64]) -> Pictures:
        return Pictures(
            [self.names[i] for i in indices],
            [self.sizes[i] for i in indices],
            self.labels[indices],
            lambda i: self.read(int(indices[i])),
        )


@dataclass(frozen=True)
class Listing:
    """What a source holds, before anything is cut or decoded."""

    train: Pictures
    validation: Pictures | None
    test: Pictures | None
    classes: tuple[str, ...]
    splits: bool  # whether the source names its own training split
    skipped: tuple[str, ...]


# Folders


def list_source(root: Path, *, test: bool) -> Listing:
    """The pictures of a folder or of Parquet files, as `load` describes them; none is decoded.

    Raises:
        DataProblem: if `root` is no data set.
    """
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


def _list_folders(root: Path, *, test: bool) -> Listing:
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
    return Listing(train, validation, held_out, classes, splits, tuple(skipped))


def _list_split(root: Path, split: Path, classes: tuple[str, ...], skipped: list[str]) -> Pictures:
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
    return Pictures(
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


def _list_parquet(files: dict[str, list[Path]], *, splits: bool) -> Listing:
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
    return Listing(
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
) -> Pictures:
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
    return Pictures(
        [f"{path.name} row {row}" for row in range(len(values))],
        [len(picture["bytes"].as_py() or b"") for picture in column],
        np.array([numbers[value] for value in values], dtype=np.int64),
        lambda i: column[i]["bytes"].as_py() or b"",
    )
