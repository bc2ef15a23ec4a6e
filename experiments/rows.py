"""Rows of experiments: kept in a CSV file, and told by means over seeds."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

AnyRow = TypeVar("AnyRow", bound="DataclassInstance")


def read(table: Path, kind: type[AnyRow]) -> list[AnyRow]:
    """The rows of a table; none if there is no file."""
    if not table.exists():
        return []
    types, names = get_type_hints(kind), [field.name for field in fields(kind)]
    with table.open(newline="", encoding="utf-8") as opened:
        lines = csv.DictReader(opened)
        found = list(lines.fieldnames or names)
        if found != names:
            raise SystemExit(
                f"{table} has the columns {', '.join(found)}, not {', '.join(names)}; "
                "name another file"
            )
        return [kind(**{n: cell_of(text, types[n]) for n, text in line.items()}) for line in lines]


def cell_of(text: str, kind: Any) -> object:
    """A cell as int, float, str, bool, or one of them or None, which has no text."""
    if options := get_args(kind):
        if not text:
            return None
        (kind,) = set(options) - {NoneType}
    return {"True": True, "False": False}[text] if kind is bool else kind(text)


def write(
    table: Path,
    rows: Sequence["DataclassInstance"],
    *,
    mode: Literal["w", "a"] = "w",
    ending: str = "\r\n",
) -> None:
    """Rows of one kind as a table that begins with its columns; mode `a` goes on with one."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open(mode, newline="", encoding="utf-8") as opened:
        names = [field.name for field in fields(rows[0])]
        lines = csv.DictWriter(opened, names, lineterminator=ending)
        if not table.stat().st_size:
            lines.writeheader()
        lines.writerows(map(asdict, rows))


def append(table: Path, row: "DataclassInstance", *, ending: str = "\r\n") -> None:
    """One row more at the end of a table."""
    write(table, [row], mode="a", ending=ending)


def keep(table: Path, rows: list[AnyRow], row: AnyRow) -> list[AnyRow]:
    """The rows with one more, in the file too, and printed."""
    append(table, row)
    print(", ".join(str(cell) for cell in asdict(row).values()), flush=True)
    return [*rows, row]


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and its standard error, which is nan of a single value."""
    several = len(values) > 1
    return mean(values), stdev(values) / sqrt(len(values)) if several else float("nan")


def told(values: Sequence[float], sign: str = "") -> str:
    """The mean, and its standard error where there are several values."""
    middle, error = mean_and_error(values)
    return f"{middle:{sign}.4f}" + (f" +- {error:.4f}" if len(values) > 1 else "")
