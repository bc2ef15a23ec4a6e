"""Images in Parquet files, in the layout of Hugging Face."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.distribution import install
from autoscale.errors import DataProblem
from autoscale.training.pictures import Listing, Pictures, unknown_class


def list_parquet(files: dict[str, list[Path]], *, splits: bool) -> Listing:
    """What Parquet files hold.

    Args:
        files: by "train", "validation" and "test"; the first is needed.
        splits: whether the source names its own training split.

    Raises:
        DataProblem: if they cannot be read, differ, or are laid out otherwise; without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataProblem(
            f"{files['train'][0]} needs pyarrow, which is not installed; run: {install('parquet')}"
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
        raise unknown_class(str(value), split, classes)
    column = table[image]
    return Pictures(
        [f"{path.name} row {row}" for row in range(len(values))],
        [len(picture["bytes"].as_py() or b"") for picture in column],
        np.array([numbers[value] for value in values], dtype=np.int64),
        lambda i: column[i]["bytes"].as_py() or b"",
    )
