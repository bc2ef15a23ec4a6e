"""Rows of pictures with a label each, whatever they lie in: the one place where labels are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.datasets.labelling import Labels
from autoscale.datasets.pictures.pictures import Listing, Pictures, listing, shown, unknown_class
from autoscale.datasets.sources.columns import LABEL_COLUMNS, SPLIT_COLUMNS, Columns, usual_names
from autoscale.datasets.splits import Role, Split, read_name
from autoscale.errors import DataProblem

_NUMERIC = {"int", "float", "Decimal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One file: its pictures, and the label of each row as the file means it."""

    path: Path
    # Class names where `classes`, else the values, and where `several` tuples of these; None:
    # unlabelled.
    labels: Sequence[Any]
    read: Callable[[int], bytes]  # the picture of a row
    sizes: Callable[[], Iterable[int]]  # bytes of each picture
    classes: tuple[str, ...] | None = None  # what the file calls its classes
    columns: tuple[str, ...] = ()  # all there are, read or not
    names: Sequence[str] | None = None  # of the pictures; None: FILE row N
    places: Sequence[str] | None = None  # of the rows, for messages; None: FILE row N
    splits: Sequence[Any] | None = None  # what the column of splits says of each row
    groups: Sequence[str] | None = None  # what lies in one part only
    several: bool = False  # whether a row may have several labels, or none

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        return f"{self.path.name} row {row}" if self.places is None else self.places[row]

    @property
    def kinds(self) -> set[str]:
        """Names of the types of the labels."""
        return {type(label).__name__ for label in self.each_label if label is not None}

    @property
    def each_label(self) -> Iterator[Any]:
        """All labels, one after the other; None of a row without."""
        for label in self.labels:
            if self.several and label is not None:
                yield from label
            else:
                yield label

    def only(self, rows: Sequence[int]) -> Table:
        """Some rows of it."""

        def chosen(values: Sequence[Any] | None) -> list[Any] | None:
            return None if values is None else [values[row] for row in rows]

        sizes = self.sizes
        return replace(
            self,
            labels=[self.labels[row] for row in rows],
            read=lambda i: self.read(rows[i]),
            sizes=lambda: _at(list(sizes()), rows),
            names=chosen(self.names),
            places=[self.place(row) for row in rows],
            splits=chosen(self.splits),
            groups=chosen(self.groups),
        )


def _at(values: Sequence[int], rows: Sequence[int]) -> list[int]:
    return [values[row] for row in rows]


def join(
    tables: Mapping[Split, Sequence[Table]],
    *,
    splits: bool,
    columns: Columns | None = None,
    unused: tuple[str, ...] = (),
    skipped: tuple[str, ...] = (),
    notices: Iterable[str] = (),
) -> Listing:
    """The pictures of tables, by split.

    Each table's labels are read by its own names of the classes, and joined by those names.

    Args:
        tables: by split; of several, the first is the one that names the classes. Where a table
            tells the split of each row, that counts.
        splits: whether the source names its own training split.
        columns: those that were asked for.
        unused, skipped, notices: for the listing.

    Raises:
        DataProblem: if they have too few classes, differ in how they label, or lack labels.
    """
    told = any(table.splits is not None for own in tables.values() for table in own)
    if told:
        tables, splits = _by_split(tables), True
    leading = next((split for split in tables if tables[split]), None)
    if leading is None:
        raise DataProblem("there are no rows; write images into the files")
    for own in tables.values():
        _require_alike(own)
    _require_one_kind([table for own in tables.values() for table in own])
    first = tables[leading]
    _require_labels(first)
    named, classes = _classes(first)
    path = first[0].path
    if len(classes) < 2:
        raise DataProblem(f"{path} has {len(classes)} class; at least 2 are needed to tell apart")
    numbers = {key: number for number, key in enumerate(classes)}
    parts: dict[Split, Pictures] = {}
    said = [
        *notices,
        *_rowless(named, classes, path),
        *_doubts(first[0], columns or Columns(), classes),
    ]
    for split, own in tables.items():
        if split != leading and own and _is_unlabelled(own, numbers):
            unused += (f"{split} (unlabelled)",)
            said.append(_unlabelled(split, own[0]))
        elif own:
            _require_labels(own)
            parts[split] = _list(own, numbers, split)
    names = tuple(map(str, classes))
    return listing(parts, names, splits=splits, unused=unused, skipped=skipped, notices=tuple(said))


def _unlabelled(split: str, table: Table) -> str:
    columns = f", with the columns {', '.join(table.columns)}," if table.columns else ""
    return (
        f"the {split} rows have no labels, so they are not used; {table.path.name}{columns} serves "
        "no accuracy"
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


def _doubts(table: Table, wanted: Columns, classes: Sequence[Any]) -> Iterator[str]:
    """What the owner may have meant otherwise."""
    usual = [name for name in table.columns if name.lower() in LABEL_COLUMNS]
    if wanted.label is None and len(usual) > 1:
        read = usual_names(table.columns, LABEL_COLUMNS)[0]
        other = next(name for name in usual if name != read)
        yield (
            f"of the columns {', '.join(usual)} the labels are read from {read}; name another as "
            f"{table.path.name}?label={other}"
        )
    for name in table.columns:
        if name.lower() in SPLIT_COLUMNS and table.places is None:
            yield (
                f"the column {name} of {table.path.name} is not read; if it tells training rows "
                f"from test rows, name it, as {table.path.name}?split={name}"
            )
    if -1 in classes and len(classes) > 2:
        yield f"-1 is a class of {table.path.name}; if it stands for no label, drop those rows"


# Splits that a column tells


def _by_split(tables: Mapping[Split, Sequence[Table]]) -> dict[Split, list[Table]]:
    """The rows of all tables by what the column of splits says of them.

    Raises:
        DataProblem: if a row's split is none.
    """
    rows: list[tuple[Role, Table, list[int]]] = []
    for table in (table for own in tables.values() for table in own):
        by_role: dict[Role, list[int]] = {}
        for row in range(len(table.labels)):
            by_role.setdefault(_role(table, row), []).append(row)
        rows += [(role, table, own) for role, own in by_role.items()]
    roles = {role for role, _, _ in rows}
    # As with folders: validation where there is no other, else test.
    other: Split = "test" if "validation" in roles else "validation"
    found: dict[Split, list[Table]] = {}
    for split in ("train", "validation", "test"):
        own = [
            table.only(chosen)
            for role, table, chosen in rows
            if (other if role == "evaluation" else role) == split
        ]
        if own:
            found[split] = own
    return found


def _role(table: Table, row: int) -> Role:
    value = None if table.splits is None else table.splits[row]
    if value is None or not str(value).strip():
        raise DataProblem(f"{table.place(row)} has no split; give it one, such as train")
    name = read_name(str(value))
    if not name.plain or name.role is None:
        raise DataProblem(
            f"{table.place(row)} has the split {shown(str(value))!r}; write train, validation or "
            "test"
        )
    return name.role


# Labels


def _require_alike(tables: Sequence[Table]) -> None:
    """Refuse tables that do not say the same in the same way, and tables without rows."""
    if not any(table.labels for table in tables):
        raise DataProblem(f"{tables[0].path} has no rows; write images into it or remove the file")
    filled = [table for table in tables if table.kinds]
    for table in filled[1:]:
        first = filled[0]
        if not _joinable(first, table):
            raise DataProblem(
                f"{first.path} and {table.path.name} have different labels, {_kind(first)} and "
                f"{_kind(table)}; write them alike"
            )


def _require_one_kind(tables: Sequence[Table]) -> None:
    """Refuse tables of which some give an image one label and others several."""
    labelled = [table for table in tables if any(label is not None for label in table.labels)]
    for table in labelled[1:]:
        if table.several != labelled[0].several:
            raise DataProblem(
                f"of {labelled[0].path} and {table.path.name} one has several labels for an image "
                "and one has one; write them alike"
            )


def _joinable(one: Table, other: Table) -> bool:
    return one.kinds == other.kinds or one.kinds | other.kinds <= _NUMERIC


def _kind(table: Table) -> str:
    return "names" if table.classes else ", ".join(sorted(table.kinds)) or "none"


def _require_labels(tables: Sequence[Table]) -> None:
    for table in tables:
        for row, label in enumerate(table.labels):
            if label is None or label == "":
                way = "[] for none of the classes" if table.several else "give it one"
                raise DataProblem(f"{table.place(row)} has no label; {way}, or drop the row")


def _classes(tables: Sequence[Table]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Every name that the files give, and the classes of some row, in order.

    Names are in the order of the files, other labels are sorted.
    """
    present = dict.fromkeys(label for table in tables for label in table.each_label)
    named = tuple(dict.fromkeys(name for table in tables for name in table.classes or ()))
    if not named:
        return (), tuple(sorted(present))
    unnamed = sorted(label for label in present if label not in named)
    return named, (*(name for name in named if name in present), *unnamed)


def _is_unlabelled(tables: Sequence[Table], numbers: Mapping[Any, int]) -> bool:
    """Whether every row is without a label; -1 stands for none unless it is a training class."""
    if any(table.several for table in tables):
        return all(label is None for table in tables for label in table.labels)
    labels = {None if label == "" else label for table in tables for label in table.labels}
    return labels == {None} or (labels <= {None, -1} and -1 not in numbers)


def _list(tables: Sequence[Table], numbers: Mapping[Any, int], split: str) -> Pictures:
    kinds = {type(key).__name__ for key in numbers}
    for table in tables:
        for label in table.each_label:
            if label in numbers:
                continue
            if (kind := type(label).__name__) not in kinds:
                raise DataProblem(
                    f"the labels of {split} hold {label!r}, {kind}, where training has "
                    f"{', '.join(sorted(kinds))}; give names in both, or numbers in both"
                )
            raise unknown_class(str(label), split, map(str, numbers))
    rows = [(table, row) for table in tables for row in range(len(table.labels))]
    numbered = tables[0].names is None
    return Pictures(
        [table.place(row) if table.names is None else table.names[row] for table, row in rows],
        [size for table in tables for size in table.sizes()],
        _positions(tables, numbers),
        lambda i: rows[i][0].read(rows[i][1]),
        # As if all rows were of the first file, which fingerprints have always had.
        [f"{tables[0].path.name} row {row}" for row in range(len(rows))] if numbered else None,
        groups=_groups(tables),
    )


def _positions(tables: Sequence[Table], numbers: Mapping[Any, int]) -> Labels:
    """Of each row the position of its label; of several labels a 1 at the position of each."""
    labels = [label for table in tables for label in table.labels]
    if not tables[0].several:
        return np.array([numbers[label] for label in labels], dtype=np.int64)
    found = np.zeros((len(labels), len(numbers)), dtype=np.int64)
    for row, own in enumerate(labels):
        found[row, [numbers[label] for label in own]] = 1
    return found


def _groups(tables: Sequence[Table]) -> list[str] | None:
    """The group of each row; None where none is read."""
    found: list[str] = []
    for table in tables:
        if table.groups is None:
            return None
        found += table.groups
    return found


def groups_in(values: Sequence[Any], name: str, place: Callable[[int], str]) -> list[str]:
    """The groups that a column gives, as texts.

    Raises:
        DataProblem: naming the first row that has none.
    """
    found = []
    for row, value in enumerate(values):
        if value is None or value != value or not str(value).strip():
            raise DataProblem(
                f"{place(row)} has nothing in the column {name} that groups pictures; fill it in, "
                "or leave out --group-by"
            )
        found.append(str(value))
    return found
