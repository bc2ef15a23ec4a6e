"""Lists: a path and a label in each row of a .csv, .tsv or .jsonl file."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscale.datasets.pictures.pictures import Listing, shown, size_of
from autoscale.datasets.sources.columns import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    Columns,
    column_of,
    group_column,
    usual_names,
)
from autoscale.datasets.sources.labels import in_numbers, labels_by_name, require_single
from autoscale.datasets.sources.several import (
    Place,
    RowLabels,
    are_lists,
    asked_labels,
    of_lists,
)
from autoscale.datasets.sources.tables import Table, groups_in, join
from autoscale.datasets.tree import content_of
from autoscale.errors import DataProblem, first_line

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_MOST = 2**30  # bytes of a list; one of a hundred million rows is no list by mistake


def is_list(name: str) -> bool:
    """Whether a file is called like a list."""
    return name.lower().endswith(_ENDINGS)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a list holds, by column."""

    columns: tuple[str, ...]
    values: dict[str, list[Any]]
    lines: list[int]  # of the rows, from 1
    texts: bool  # whether all values are texts


def list_list(path: Path, *, columns: Columns) -> Listing:
    """What a list names; paths are relative to its folder.

    A file that is not there is left out and named, as one that cannot be read; but a list of which
    most files are missing is refused.

    Args:
        columns: those to read.

    Raises:
        DataProblem: if it cannot be read, lacks columns, labels or files, or contradicts itself.
    """
    rows = _read(path)

    def place(row: int) -> str:
        return f"{path.name} line {rows.lines[row]}"

    image = column_of(rows.columns, path, columns.image, FILE_COLUMNS, "image", images=FILE_COLUMNS)
    if columns.split is not None or usual_names(rows.columns, SPLIT_COLUMNS):
        split = column_of(rows.columns, path, columns.split, SPLIT_COLUMNS, "split")
    else:
        split = None
    group = None if columns.group is None else group_column(rows.columns, path, columns.group)
    table = _table(
        path,
        rows,
        [_named(value, place(row)) for row, value in enumerate(rows.values[image])],
        _labels(path, rows, columns, place),
        splits=None if split is None else rows.values[split],
        groups=None if group is None else groups_in(rows.values[group], group, place),
    )
    kept, notices = _without_repeats(table)
    return join({"train": [table.only(kept)]}, splits=False, columns=columns, notices=notices)


def _labels(path: Path, rows: _Rows, columns: Columns, place: Place) -> RowLabels:
    """Of each row its label, or its several ones where that is asked for or all rows have lists."""
    if columns.labels is not None:
        asked = [
            column_of(rows.columns, path, name, (), "label", images=FILE_COLUMNS)
            for name in columns.labels
        ]
        values = {name: rows.values[name] for name in asked}
        return asked_labels(values, None, columns.separator, place, path=path)
    label = column_of(
        rows.columns, path, columns.label, LABEL_COLUMNS, "label", images=FILE_COLUMNS
    )
    found = rows.values[label]
    if are_lists(found):
        return RowLabels(of_lists(found, None, place, column=label), several=True)
    require_single(found, place)
    found = in_numbers(found) if rows.texts else found
    return RowLabels(labels_by_name(found, None, place))


def _table(
    path: Path,
    rows: _Rows,
    names: Sequence[str],
    labels: RowLabels,
    *,
    splits: Sequence[Any] | None,
    groups: Sequence[str] | None,
) -> Table:
    files = [_found(path.parent, name) for name in names]
    missing = [name for name, file in zip(names, files, strict=True) if not os.path.lexists(file)]
    if 2 * len(missing) > len(names):
        raise DataProblem(
            f"{len(missing):,} of the {len(names):,} files that {path.name} names are not there, "
            f"the first {shown(missing[0])}, looked for in {shown(path.parent)}; put the list "
            "where its paths begin"
        )
    return Table(
        path=path,
        labels=labels.values,
        several=labels.several,
        classes=labels.classes,
        read=lambda i: content_of(files[i]),
        sizes=lambda: map(size_of, files),
        columns=rows.columns,
        names=[shown(name) for name in names],
        places=[f"{path.name} line {line}" for line in rows.lines],
        splits=splits,
        groups=groups,
    )


def _named(value: Any, place: str) -> str:
    """The path of a row.

    Raises:
        DataProblem: if it is none.
    """
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        given = "nothing" if value is None or value == "" else shown(repr(value))
        raise DataProblem(
            f"{place} has {given} for a path; name the picture's file, or drop the row"
        )
    if _URL.match(value):
        raise DataProblem(
            f"{place} names {shown(value[:80])}, which lies on no disk; fetch the pictures and "
            "name their files"
        )
    return os.path.normpath(value.strip())


def _found(folder: Path, name: str) -> str:
    """Where the file lies; paths that Windows wrote are read too."""
    file = os.path.join(folder, name)
    if "\\" in name and not os.path.lexists(file):
        other = os.path.join(folder, name.replace("\\", "/"))
        return other if os.path.lexists(other) else file
    return file


def _without_repeats(table: Table) -> tuple[list[int], list[str]]:
    """The rows without those that say again what one before them said.

    Raises:
        DataProblem: if a path has two labels, or lies in two splits.
    """
    first: dict[str, int] = {}
    kept: list[int] = []
    names = table.names or ()
    for row, name in enumerate(names):
        other = first.setdefault(name, row)
        if other == row:
            kept.append(row)
            continue
        for what, values in (("labels", table.labels), ("splits", table.splits)):
            if values is not None and values[other] != values[row]:
                raise DataProblem(
                    f"{name} has two {what}: {values[other]!r} in {table.place(other)} and "
                    f"{values[row]!r} in {table.place(row)}; keep one"
                )
    if not (times := len(names) - len(kept)):
        return kept, []
    row = next(row for row, name in enumerate(names) if first[name] != row)
    rows = "1 row of" if times == 1 else f"{times:,} rows of"
    return kept, [
        f"{rows} {table.path.name} name a picture again, with the same label, and count once "
        f"({names[row]} in {table.place(row)})"
    ]


# Reading


def _read(path: Path) -> _Rows:
    """
    Raises:
        DataProblem: if it is no such list.
    """
    if size_of(path) > _MOST:
        raise DataProblem(f"{path} is over 1 GiB, which no list of files is; write Parquet instead")
    try:
        text = content_of(str(path)).decode("utf-8-sig")
    except (OSError, ValueError) as problem:
        reason = "it is not UTF-8" if isinstance(problem, UnicodeError) else first_line(problem)
        raise DataProblem(f"cannot read {path}: {reason}; write it again as UTF-8") from problem
    lines = path.suffix.lower() in (".jsonl", ".ndjson")
    found = _of_json(text, path) if lines else _of_csv(text, path)
    if not found.lines:
        raise DataProblem(f"{path} has no rows; write a path and a label into each")
    return found


def _of_csv(text: str, path: Path) -> _Rows:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=_delimiter(text, path), strict=True
    )
    try:
        rows = [(reader.line_num, row) for row in reader if row and any(row)]
    except csv.Error as problem:
        raise DataProblem(
            f"cannot read {path}: line {reader.line_num}: {problem}; close its quotes"
        ) from None
    if not rows:
        return _Rows((), {}, [], True)
    (_, header), *body = rows
    columns = tuple(name.strip() for name in header)
    for line, row in body:
        if len(row) != len(columns):
            raise DataProblem(
                f"{path.name} line {line} has {len(row)} fields where the first line has "
                f"{len(columns)}; put texts with commas in quotes"
            )
    values = {name: [row[i].strip() for _, row in body] for i, name in enumerate(columns)}
    return _Rows(columns, values, [line for line, _ in body], True)


def _delimiter(text: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = next((line for line in text.splitlines() if line.strip()), "")
    # Spreadsheets of countries whose numbers have commas write semicolons.
    return ";" if ";" in header and "," not in header else ","


def _of_json(text: str, path: Path) -> _Rows:
    rows = list(_objects(text, path))
    columns = tuple(dict.fromkeys(name for _, row in rows for name in row))
    values = {name: [row.get(name) for _, row in rows] for name in columns}
    return _Rows(columns, values, [line for line, _ in rows], False)


def _objects(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise DataProblem(
                f"{path.name} line {number} is no JSON: {first_line(problem)}; write an object a "
                "line"
            ) from None
        if not isinstance(row, dict):
            raise DataProblem(
                f"{path.name} line {number} is no JSON object; write "
                '{"image": "cat/1.jpg", "label": "cat"} a line'
            )
        yield number, row
