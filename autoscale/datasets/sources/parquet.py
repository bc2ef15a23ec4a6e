"""Images in Parquet files, in the layout of Hugging Face."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoscale.datasets.pictures.pictures import Listing, shown
from autoscale.datasets.sources.columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    Columns,
    column_of,
    group_column,
    usual_names,
)
from autoscale.datasets.sources.labels import labels_by_name
from autoscale.datasets.sources.several import RowLabels, asked_labels
from autoscale.datasets.sources.tables import Table, groups_in, join
from autoscale.datasets.splits import Split
from autoscale.datasets.summary import shortened
from autoscale.distribution import install
from autoscale.errors import DataProblem, first_line

#: Endings of streams of Arrow, which Hugging Face's save_to_disk writes.
_ARROW = ".arrow"


def list_parquet(
    files: Mapping[Split, Sequence[Path]],
    *,
    splits: bool,
    columns: Columns | None = None,
    unused: tuple[str, ...] = (),
    notices: tuple[str, ...] = (),
    features: Mapping[str, Any] | None = None,
) -> Listing:
    """What Parquet or Arrow files hold.

    Args:
        files: by split; of several, the first is the one that names the classes.
        splits: whether the source names its own training split.
        columns: those to read.
        unused, notices: for the listing.
        features: what Hugging Face's dataset_info.json says of the columns, for files that do not.

    Raises:
        DataProblem: if they cannot be read, differ, or are laid out otherwise; without pyarrow.
    """
    wanted = columns or Columns()
    leading = next(split for split, paths in files.items() if paths)
    tables = {
        split: [_read(path, wanted, split == leading, features or {}) for path in paths]
        for split, paths in files.items()
        if paths
    }
    return join(tables, splits=splits, columns=wanted, unused=unused, notices=notices)


# One file


def _read(path: Path, wanted: Columns, labelled: bool, features: Mapping[str, Any]) -> Table:
    """A file; without a column of labels it is one of unlabelled rows, unless it must have one."""
    try:
        import pyarrow
    except ImportError as error:
        raise DataProblem(
            f"{path} needs pyarrow, which is not installed; run: {install('parquet')}"
        ) from error
    read = _read_arrow if path.suffix == _ARROW else _read_parquet
    try:
        schema, chosen, table = read(path, wanted, labelled)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataProblem(
            f"cannot read {path}: {first_line(error)}; fetch the file again"
        ) from error
    pictures = _as_structs(table[chosen.image])
    _require_pictures(pictures, path)
    labels = RowLabels([None] * len(pictures))

    def place(row: int) -> str:
        return f"{path.name} row {row}"

    if chosen.labels is not None:
        names = _class_names(schema, chosen.labels[0], path, features)
        values = {name: table[name].to_pylist() for name in chosen.labels}
        labels = asked_labels(values, names, chosen.separator, place, path=path)
    elif chosen.label is not None:
        names = _class_names(schema, chosen.label, path, features)
        values = table[chosen.label].to_pylist()
        labels = RowLabels(labels_by_name(values, names, place), classes=names)
    groups = None
    if chosen.group is not None:
        groups = groups_in(table[chosen.group].to_pylist(), chosen.group, place)
    return Table(
        path=path,
        labels=labels.values,
        several=labels.several,
        read=lambda i: _content(pictures[i], path),
        sizes=lambda: _sizes(pictures, path),
        classes=labels.classes,
        columns=tuple(schema.names),
        splits=None if chosen.split is None else table[chosen.split].to_pylist(),
        groups=groups,
    )


def _read_parquet(path: Path, wanted: Columns, labelled: bool) -> tuple[Any, Columns, Any]:
    """The schema, the columns that are read, and these."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        chosen = _chosen(schema, path, wanted, labelled=labelled)
        asked = [*dict.fromkeys(filter(None, _names(chosen)))]
        nested = any("." in name for name in asked)  # which would name a field of a struct
        return schema, chosen, file.read(columns=None if nested else asked)


def _read_arrow(path: Path, wanted: Columns, labelled: bool) -> tuple[Any, Columns, Any]:
    """The same of a stream of Arrow, mapped into memory."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_stream(file).read_all()
    return table.schema, _chosen(table.schema, path, wanted, labelled=labelled), table


def _names(columns: Columns) -> list[str | None]:
    return [columns.image, columns.label, columns.split, columns.group, *(columns.labels or ())]


def _chosen(schema: Any, path: Path, wanted: Columns, *, labelled: bool) -> Columns:
    """The columns to read; that of labels is None if there need not be one, and there is none."""
    from pyarrow import types

    names = schema.names
    image = column_of(names, path, wanted.image, IMAGE_COLUMNS, "image")
    kind = schema.field(image).type
    if not (_holds_text(kind) or _holds_bytes(_bytes_of(kind))):
        raise DataProblem(
            f"column {image!r} of {path} holds {kind}; binary, paths, or a struct with a field "
            "'bytes' of binary is needed"
        )
    split = group = None
    if wanted.split is not None:
        split = column_of(names, path, wanted.split, (), "split")
    if wanted.group is not None:
        group = group_column(names, path, wanted.group)
    usual = usual_names(names, LABEL_COLUMNS) if wanted.label is None else [wanted.label]
    if not labelled and not set(wanted.labels or usual) & set(names):
        return Columns(image, None, split, group)
    label: str | None = None
    labels = wanted.labels
    if labels is not None:
        for name in labels:
            column_of(names, path, name, (), "label")
    else:
        label = column_of(names, path, wanted.label, LABEL_COLUMNS, "label")
        if _holds_lists(schema.field(label).type):
            labels, label = (label,), None
    for name in filter(None, (label, split, group)):
        if types.is_nested(kind := schema.field(name).type):
            raise DataProblem(
                f"column {name!r} of {path} holds {kind}; one number or text for each image is "
                "needed"
            )
    return Columns(image, label, split, group, labels, wanted.separator)


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


def _holds_lists(kind: Any) -> bool:
    """Of numbers or texts: labels of which an image has several."""
    from pyarrow import types

    tests = ("is_list", "is_large_list", "is_list_view", "is_large_list_view", "is_fixed_size_list")
    return any(getattr(types, test)(kind) for test in tests) and not types.is_nested(
        kind.value_type
    )


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary", "is_null")
    return any(getattr(types, test)(kind) for test in tests)


def _class_names(
    schema: Any, label: str, path: Path, features: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """What the metadata of Hugging Face call the classes; None if they are silent."""
    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        feature = json.loads(metadata)
        for key in ("info", "features", label):
            feature = feature.get(key, {})
        names = _names_of(feature) or _names_of(features.get(label, {})) or None
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


def _names_of(feature: Any) -> Any:
    """Names of a ClassLabel, or of a list of such, which was once written as a list of one."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    held = feature.get("feature", {})
    return feature.get("names") or (held.get("names") if isinstance(held, dict) else None)


# Pictures of rows


def _sizes(pictures: Any, path: Path) -> Iterator[int]:
    for picture in pictures:
        content = picture["bytes"].as_py()
        if content is not None:
            yield len(content)
        else:
            place = _place(picture, path)
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
