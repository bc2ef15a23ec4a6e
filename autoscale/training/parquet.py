"""Images in Parquet files, in the layout of Hugging Face."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.distribution import install
from autoscale.errors import DataProblem
from autoscale.training.pictures import Listing, Pictures, listing, shown, unknown_class
from autoscale.training.splits import Split

#: Names of columns that are looked for, in this order and in any case.
IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "photo")
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class", "category", "cls")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read; None looks for a usual name."""

    image: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class _Shard:
    """One file: its pictures, and the label of each row as the file means it."""

    path: Path
    pictures: Any  # a column of structs of bytes and perhaps path
    labels: Sequence[Any]  # class names where `names`, else the values; None: unlabelled
    names: tuple[str, ...] | None  # what the file calls its classes

    @property
    def kinds(self) -> set[str]:
        return {type(label).__name__ for label in self.labels if label is not None}

    @property
    def unlabelled(self) -> bool:
        return bool(self.labels) and all(label is None for label in self.labels)


def list_parquet(
    files: Mapping[Split, Sequence[Path]],
    *,
    splits: bool,
    columns: Columns | None = None,
    unused: tuple[str, ...] = (),
) -> Listing:
    """What Parquet files hold.

    Each file's labels are read by its own names of the classes, and joined by those names.

    Args:
        files: by split; of several, the first is the one that names the classes.
        splits: whether the source names its own training split.
        columns: those to read.
        unused: what else lies in the source, for the listing.

    Raises:
        DataProblem: if they cannot be read, differ, or are laid out otherwise; without pyarrow.
    """
    wanted = columns or Columns()
    read = {split: [_read(path, wanted) for path in paths] for split, paths in files.items()}
    read = {split: shards for split, shards in read.items() if shards}
    for shards in read.values():
        _require_alike(shards)
    leading = next(iter(read))
    _require_labels(read[leading])
    named, classes = _classes(read[leading])
    path = read[leading][0].path
    if len(classes) < 2:
        raise DataProblem(f"{path} has {len(classes)} class; at least 2 are needed to tell apart")
    numbers = {key: number for number, key in enumerate(classes)}
    parts: dict[Split, Pictures] = {}
    notices = _rowless(named, classes, path)
    for split, shards in read.items():
        if split != leading and _is_unlabelled(shards, numbers):
            unused += (f"{split} (unlabelled)",)
            notices.append(
                f"the {split} rows have no labels, so they are not used; {shards[0].path.name} "
                "serves no accuracy"
            )
            continue
        _require_labels(shards)
        parts[split] = _list(shards, numbers, split)
    return listing(
        parts, tuple(map(str, classes)), splits=splits, unused=unused, notices=tuple(notices)
    )


def _rowless(named: Sequence[str], classes: Sequence[Any], path: Path) -> list[str]:
    empty = [name for name in named if name not in classes]
    if not empty:
        return []
    shown_names = ", ".join(map(repr, empty[:5])) + (", ..." if len(empty) > 5 else "")
    if len(empty) == 1:
        return [f"the class {shown_names} that {path.name} names has no row and is left out"]
    return [f"{len(empty)} classes that {path.name} names have no row and are left out: "
            f"{shown_names}"]  # fmt: skip


# One file


def _read(path: Path, wanted: Columns) -> _Shard:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataProblem(
            f"{path} needs pyarrow, which is not installed; run: {install('parquet')}"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            image, label = _chosen(schema, path, wanted)
            nested = "." in image + label  # which would name a field of a struct
            table = file.read(columns=None if nested else [image, label])
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataProblem(f"cannot read {path}: {reason}; fetch the file again") from error
    names = _class_names(schema, label, path)
    labels = _labels(table[label].to_pylist(), names, path)
    _require_pictures(table[image], path)
    return _Shard(path, table[image], labels, names)


def _chosen(schema: Any, path: Path, wanted: Columns) -> tuple[str, str]:
    """The names of the image column and of the label column."""
    from pyarrow import types

    image = _column(schema, path, wanted.image, IMAGE_COLUMNS, "image")
    label = _column(schema, path, wanted.label, LABEL_COLUMNS, "label")
    kind = schema.field(image).type
    fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
    if "bytes" not in fields or not _holds_bytes(fields["bytes"]):
        raise DataProblem(
            f"column {image!r} of {path} holds {kind}; a struct with a field 'bytes' of binary "
            "is needed"
        )
    kind = schema.field(label).type
    if types.is_nested(kind):
        raise DataProblem(
            f"column {label!r} of {path} holds {kind}; one number or text for each image is needed"
        )
    return image, label


def _column(schema: Any, path: Path, wanted: str | None, usual: tuple[str, ...], role: str) -> str:
    if wanted is not None:
        found = [name for name in schema.names if name == wanted][:1]
        missing = f"no column {wanted!r}"
    else:
        found = sorted(
            (name for name in schema.names if name.lower() in usual),
            key=lambda name: (usual.index(name.lower()), name.lower() != name),
        )[:1]
        missing = f"none of them usual for {role}s"
    if not found:
        raise DataProblem(
            f"{path} has the columns {', '.join(schema.names)}, {missing}; an image column "
            f"({', '.join(IMAGE_COLUMNS)}) and a label column ({', '.join(LABEL_COLUMNS)}) are "
            f"needed: name yours behind the path, as '{path.name}?image=photo&label=kind'"
        )
    if (times := schema.names.count(found[0])) > 1:
        raise DataProblem(f"{path} has {times} columns {found[0]!r}; keep one")
    name: str = found[0]
    return name


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary", "is_null")
    return any(getattr(types, test)(kind) for test in tests)


def _labels(values: list[Any], names: tuple[str, ...] | None, path: Path) -> list[Any]:
    """Labels by name where the file has names; None for a row that has none.

    Names may be written out, or be given by their positions, of which -1 stands for none.
    """
    values = [None if value != value else value for value in values]  # NaN: none, to pandas
    if names is None or {value for value in values if value is not None} <= set(names):
        return values
    found: list[str | None] = []
    for row, value in enumerate(values):
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        place = int(value) if whole else None
        if value is None or place == -1:
            found.append(None)
        elif place is None or not 0 <= place < len(names):
            raise DataProblem(
                f"{path.name} row {row} has the label {reprlib.repr(value)}, but its metadata "
                f"name {len(names)} classes, 0 to {len(names) - 1}; write labels and names alike"
            )
        else:
            found.append(names[place])
    return found


def _class_names(schema: Any, label: str, path: Path) -> tuple[str, ...] | None:
    """What the metadata of Hugging Face call the classes; None if they are silent."""
    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        feature = json.loads(metadata)
        for key in ("info", "features", label):
            feature = feature.get(key, {})
        names = feature.get("names") or None
    except (ValueError, AttributeError) as error:
        raise DataProblem(
            f"the huggingface metadata of {path} are not JSON of info, features and {label}; "
            "write the file again, or without them"
        ) from error
    if names is None:
        return None
    if not isinstance(names, list) or len(set(map(str, names))) < len(names):
        raise DataProblem(
            f"the huggingface metadata of {path} must list different names of {label}; got "
            f"{reprlib.repr(names)}"
        )
    return tuple(map(str, names))


# Files together


def _require_alike(shards: Sequence[_Shard]) -> None:
    """Refuse shards that do not say the same in the same way, and shards without rows."""
    if not any(shard.labels for shard in shards):
        raise DataProblem(f"{shards[0].path} has no rows; write images into it or remove the file")
    filled = [shard for shard in shards if shard.kinds]
    for shard in filled[1:]:
        first = filled[0]
        if not _joinable(first, shard):
            raise DataProblem(
                f"{first.path} and {shard.path.name} have different labels, {_kind(first)} and "
                f"{_kind(shard)}; write them alike"
            )


def _joinable(one: _Shard, other: _Shard) -> bool:
    numeric = {"int", "float", "Decimal"}
    return one.kinds == other.kinds or one.kinds | other.kinds <= numeric


def _kind(shard: _Shard) -> str:
    return "names" if shard.names else ", ".join(sorted(shard.kinds)) or "none"


def _require_labels(shards: Sequence[_Shard]) -> None:
    for shard in shards:
        for row, label in enumerate(shard.labels):
            if label is None:
                raise DataProblem(
                    f"{shard.path.name} row {row} has no label; give it one or drop the row"
                )


def _classes(shards: Sequence[_Shard]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Every name that the files give, and the classes of some row, in order.

    Names are in the order of the files, other labels are sorted.
    """
    present = dict.fromkeys(label for shard in shards for label in shard.labels)
    named = tuple(dict.fromkeys(name for shard in shards for name in shard.names or ()))
    if not named:
        return (), tuple(sorted(present))
    unnamed = sorted(label for label in present if label not in named)
    return named, (*(name for name in named if name in present), *unnamed)


def _is_unlabelled(shards: Sequence[_Shard], numbers: Mapping[Any, int]) -> bool:
    """Whether every row is without a label; -1 stands for none unless it is a training class."""
    labels = {label for shard in shards for label in shard.labels}
    return labels == {None} or (labels <= {None, -1} and -1 not in numbers)


def _list(shards: Sequence[_Shard], numbers: Mapping[Any, int], split: str) -> Pictures:
    kinds = {type(key).__name__ for key in numbers}
    for shard in shards:
        for label in shard.labels:
            if label in numbers:
                continue
            if (kind := type(label).__name__) not in kinds:
                raise DataProblem(
                    f"the labels of {split} hold {label!r}, {kind}, where training has "
                    f"{', '.join(sorted(kinds))}; write all labels alike"
                )
            raise unknown_class(str(label), split, map(str, numbers))
    rows = [(shard, row) for shard in shards for row in range(len(shard.labels))]
    return Pictures(
        [f"{shard.path.name} row {row}" for shard, row in rows],
        [size for shard in shards for size in _sizes(shard)],
        np.array([numbers[label] for shard in shards for label in shard.labels], dtype=np.int64),
        lambda i: _content(rows[i][0].pictures[rows[i][1]], rows[i][0].path),
        # As if all rows were of the first file, which fingerprints have always had.
        [f"{shards[0].path.name} row {row}" for row in range(len(rows))],
    )


# Pictures of rows


def _sizes(shard: _Shard) -> Iterator[int]:
    for picture in shard.pictures:
        content = picture["bytes"].as_py()
        if content is not None:
            yield len(content)
        else:
            place = _place(picture, shard.path)
            yield os.stat(place).st_size if place is not None and place.is_file() else 0


def _content(picture: Any, file: Path) -> bytes:
    content: bytes | None = picture["bytes"].as_py()
    if content is not None:
        return content
    named = _path_of(picture)
    if named is None:
        return b""
    place = _place(picture, file)
    if place is None or not place.is_file():
        raise ValueError(
            f"the row holds a path instead of a picture, and no file is there: {named}"
        )
    return place.read_bytes()


def _path_of(picture: Any) -> str | None:
    try:
        value = picture["path"].as_py()
    except KeyError:
        return None
    return value if isinstance(value, str) and value else None


def _place(picture: Any, file: Path) -> Path | None:
    """Where the file lies that a row names: below the folder of the Parquet file, or one above."""
    named = _path_of(picture)
    if named is None or "\0" in named:
        return None
    places = [file.parent / named, file.parent.parent / named]
    return next((place for place in places if _is_file(place)), places[0])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, and the like
        return False


def _require_pictures(column: Any, path: Path) -> None:
    """Refuse a file whose rows all name pictures that are not there."""
    first = None
    for picture in column:
        named = _path_of(picture) if not picture["bytes"].is_valid else None
        if named is None:
            return  # it holds bytes, or nothing, which decoding tells of that row
        place = _place(picture, path)
        if place is not None and _is_file(place):
            return
        first = first or named
    if first is not None:
        raise DataProblem(
            f"the rows of {path} hold paths instead of pictures, and none of the files is there "
            f"(the first: {shown(first)}); put the pictures there, or write the file with the "
            "bytes in it (datasets: map(embed_table_storage) of datasets.table before to_parquet)"
        )
