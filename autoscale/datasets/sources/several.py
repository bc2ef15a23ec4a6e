"""Labels of rows that may have several of them: lists, texts with a separator, columns of 0 and 1.

Of each row they are a tuple, sorted and each once; that of a row with none of the classes is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from autoscale.datasets.sources.labels import brief, in_numbers, labels_by_name, require_single
from autoscale.errors import DataProblem, InvalidSetting

Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class RowLabels:
    """The labels of rows."""

    values: Sequence[Any]  # one each, or of `several` a tuple each; None: unlabelled
    several: bool = False
    classes: tuple[str, ...] | None = None  # as the file calls them, where it does


def asked_labels(
    columns: Mapping[str, Sequence[Any]],
    names: tuple[str, ...] | None,
    separator: str | None,
    place: Place,
    *,
    path: Path,
) -> RowLabels:
    """What columns that were named as labels say: one of lists or of texts, or one for each class.

    Args:
        names: of the classes, where lists may give their positions.
        separator: of texts.
        path: the file, for messages.

    Raises:
        DataProblem: naming the first row that has something else.
        InvalidSetting: for one column of texts and no separator.
    """
    if len(columns) > 1:
        return RowLabels(of_columns(columns, place), several=True, classes=tuple(columns))
    ((column, values),) = columns.items()
    if separator is not None:
        return RowLabels(of_texts(values, separator, place, column=column), several=True)
    if not any(isinstance(value, list) for value in values):
        raise InvalidSetting(
            f"the column {column} of {path.name} holds no lists; say what cuts its texts, as "
            f"?labels={column}&separator=|, or name a column of 0 and 1 for each class, as "
            "?labels=one,other"
        )
    return RowLabels(of_lists(values, names, place, column=column), several=True, classes=names)


def are_lists(values: Sequence[Any]) -> bool:
    """Whether every row that has something has a list."""
    given = [value for value in values if value is not None]
    return bool(given) and all(isinstance(value, list) for value in given)


def of_lists(
    values: Sequence[Any], names: tuple[str, ...] | None, place: Place, *, column: str
) -> list[tuple[Any, ...] | None]:
    """Of lists of names or numbers; None of a row that has no list.

    Args:
        names: of the classes, where lists may give their positions.
        place: says where a row is.

    Raises:
        DataProblem: naming the first row that has something else, or a label that is empty or
            there twice.
    """
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, list):
            raise DataProblem(
                f"{place(row)} has {brief(value)} in the column {column}, where others have lists; "
                "write a list into each row, [] for none of the classes"
            )
    return _named(values, names, place)


def of_texts(
    values: Sequence[Any], separator: str, place: Place, *, column: str
) -> list[tuple[Any, ...] | None]:
    """Of texts that a separator cuts into labels; an empty text is one of none of the classes.

    Raises:
        DataProblem: naming the first row that has no text, or a label that is empty or there twice.
    """
    lists: list[list[str] | None] = []
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise DataProblem(
                f"{place(row)} has {brief(value)} in the column {column}, which the separator "
                f"{separator!r} is to cut; leave the separator out, or write texts"
            )
        parts = [part.strip() for part in value.split(separator)] if value else []
        lists.append(None if value is None else [] if parts == [""] else parts)
    flat = [label for one in lists for label in one or ()]
    numbers = iter(in_numbers(flat))  # whole numbers where all are, so that 2 comes before 10
    plain = [None if one is None else [next(numbers) for _ in one] for one in lists]
    return _named(plain, None, place)


def of_columns(columns: Mapping[str, Sequence[Any]], place: Place) -> list[tuple[str, ...]]:
    """Of a column of 0 and 1 for each class, called as the class.

    Raises:
        DataProblem: naming the first row that has something else.
    """
    rows = len(next(iter(columns.values())))
    found: list[list[str]] = [[] for _ in range(rows)]
    for name, values in columns.items():
        for row, value in enumerate(values):
            if (told := _truth(value)) is None:
                shown = "nothing" if value in (None, "") else brief(value)
                raise DataProblem(
                    f"{place(row)} has {shown} in the column {name}; a column of a class holds 1 "
                    "where an image has it and 0 where it has not"
                )
            if told:
                found[row].append(name)
    return [tuple(sorted(own)) for own in found]


def _truth(value: Any) -> bool | None:
    """None of what is neither 0 nor 1."""
    if isinstance(value, bool | int | float | Decimal):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        return {"0": False, "1": True, "false": False, "true": True}.get(value.strip().lower())
    return None


def _named(
    lists: Sequence[Any], names: tuple[str, ...] | None, place: Place
) -> list[tuple[Any, ...] | None]:
    rows = [row for row, own in enumerate(lists) for _ in own or ()]

    def where(label: int) -> str:
        return place(rows[label])

    flat = [label for own in lists for label in own or ()]
    require_single(flat, where)
    labels = labels_by_name(flat, names, where)
    for i, label in enumerate(labels):
        if label is None or (isinstance(label, str) and not label.strip()):
            raise DataProblem(
                f"{where(i)} has an empty label among its labels; drop it, or name the class"
            )
    left = iter(labels)
    found: list[tuple[Any, ...] | None] = []
    for row, own in enumerate(lists):
        if own is None:
            found.append(None)
            continue
        given = [next(left) for _ in own]
        if twice := [label for label in given if given.count(label) > 1]:
            raise DataProblem(
                f"{place(row)} has the label {brief(twice[0])} twice; labels are names or "
                "positions of the classes that an image has, each once, and no row of zeros and "
                "ones (for that give each class a column, ?labels=one,other)"
            )
        found.append(tuple(sorted(given, key=lambda label: (str(type(label)), label))))
    return found
