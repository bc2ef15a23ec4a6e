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

from autoscale.datasets.pictures.pictures import Listing, Pictures, listing, shown, unknown_class
from autoscale.datasets.splits import Split
from autoscale.datasets.summary import shortened
from autoscale.distribution import install
from autoscale.errors import DataProblem, first_line

#: Names of columns that are looked for, in this order and in any case.
IMAGE_COLUMNS = (
    "image", "img", "jpg", "jpeg", "png", "webp", "photo", "picture", "image_bytes", "bytes",
    "image_path", "file_name", "path",
)  # fmt: skip
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class", "category", "cls")


#: Names of columns that tell the split of each row, which nothing here reads.
_SPLIT_COLUMNS = ("split", "subset", "partition")


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
    columns: tuple[str, ...]  # all there are, read or not

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
    leading = next(split for split, paths in files.items() if paths)
    read = {
        split: [_read(path, wanted, labelled=split == leading) for path in paths]
        for split, paths in files.items()
        if paths
    }
    for shards in read.values():
        _require_alike(shards)
    _require_labels(read[leading])
    named, classes = _classes(read[leading])
    path = read[leading][0].path
    if len(classes) < 2:
        raise DataProblem(f"{path} has {len(classes)} class; at least 2 are needed to tell apart")
    numbers = {key: number for number, key in enumerate(classes)}
    parts: dict[Split, Pictures] = {}
    notices = [
        *_rowless(named, classes, path),
        *_doubts(read[leading][0], wanted, classes),
    ]
    for split, shards in read.items():
        if split != leading and _is_unlabelled(shards, numbers):
            unused += (f"{split} (unlabelled)",)
            notices.append(
                f"the {split} rows have no labels, so they are not used; {shards[0].path.name}, "
                f"with the columns {', '.join(shards[0].columns)}, serves no accuracy"
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


def _doubts(shard: _Shard, wanted: Columns, classes: Sequence[Any]) -> Iterator[str]:
    """What the owner may have meant otherwise."""
    usual = [name for name in shard.columns if name.lower() in LABEL_COLUMNS]
    if wanted.label is None and len(usual) > 1:
        read = _usual(shard.columns, LABEL_COLUMNS)[0]
        other = next(name for name in usual if name != read)
        yield (
            f"of the columns {', '.join(usual)} the labels are read from {read}; name another as "
            f"{shard.path.name}?label={other}"
        )
    for name in shard.columns:
        if name.lower() in _SPLIT_COLUMNS:
            yield (
                f"the column {name} of {shard.path.name} is not read; if it tells training rows "
                "from test rows, write each split into a file of its own, as train.parquet and "
                "test.parquet"
            )
    if -1 in classes and len(classes) > 2:
        yield f"-1 is a class of {shard.path.name}; if it stands for no label, drop those rows"


# One file


def _read(path: Path, wanted: Columns, *, labelled: bool) -> _Shard:
    """A file; without a column of labels it is one of unlabelled rows, unless it must have one."""
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
            image, label = _chosen(schema, path, wanted, labelled=labelled)
            asked = [name for name in (image, label) if name is not None]
            nested = any("." in name for name in asked)  # which would name a field of a struct
            table = file.read(columns=None if nested else asked)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataProblem(
            f"cannot read {path}: {first_line(error)}; fetch the file again"
        ) from error
    pictures = _as_structs(table[image])
    _require_pictures(pictures, path)
    names, labels = None, [None] * len(pictures)
    if label is not None:
        names = _class_names(schema, label, path)
        labels = _labels(table[label].to_pylist(), names, path)
    return _Shard(path, pictures, labels, names, tuple(schema.names))


def _chosen(schema: Any, path: Path, wanted: Columns, *, labelled: bool) -> tuple[str, str | None]:
    """The names of the image column and of the label column, if there must or may be one."""
    from pyarrow import types

    image = _column(schema, path, wanted.image, IMAGE_COLUMNS, "image")
    kind = schema.field(image).type
    if not (_holds_text(kind) or _holds_bytes(_bytes_of(kind))):
        raise DataProblem(
            f"column {image!r} of {path} holds {kind}; binary, paths, or a struct with a field "
            "'bytes' of binary is needed"
        )
    usual = _usual(schema.names, LABEL_COLUMNS) if wanted.label is None else [wanted.label]
    if not labelled and not set(usual) & set(schema.names):
        return image, None
    label = _column(schema, path, wanted.label, LABEL_COLUMNS, "label")
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
        found = _usual(schema.names, usual)[:1]
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


def _usual(names: Sequence[str], usual: tuple[str, ...]) -> list[str]:
    """Names that are usual, the best first."""
    return sorted(
        (name for name in names if name.lower() in usual),
        key=lambda name: (usual.index(name.lower()), name.lower() != name),
    )


def _as_structs(column: Any) -> Any:
    """A column of structs of bytes and perhaps path, of one of bytes or of paths."""
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        return column
    if _holds_text(column.type):
        fields = {"bytes": pa.binary(), "path": column.type}
        chunks = [[pa.nulls(len(chunk), pa.binary()), chunk] for chunk in column.chunks]
    else:
        fields = {"bytes": column.type}
        chunks = [[chunk] for chunk in column.chunks]
    return pa.chunked_array(
        [pa.StructArray.from_arrays(chunk, list(fields)) for chunk in chunks], pa.struct(fields)
    )


def _bytes_of(kind: Any) -> Any:
    """The type of the field 'bytes' of a struct; any other type as it is."""
    from pyarrow import types

    if not types.is_struct(kind):
        return kind
    place = kind.get_field_index("bytes")
    return kind.field(place).type if place >= 0 else kind


def _holds_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


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
            if label is None or label == "":
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
                    f"{', '.join(sorted(kinds))}; give names in both, or numbers in both"
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
            f"(the first: {shortened((shown(first),))}); put the pictures there, or write the file "
            "with the bytes in it (datasets: map(embed_table_storage) of datasets.table before "
            "to_parquet)"
        )
