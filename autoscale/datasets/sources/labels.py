"""Labels as a file writes them: names, numbers, or positions among names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from autoscale.errors import DataProblem

_LABELS = (str, bool, int, float, Decimal)


def labels_by_name(
    values: Sequence[Any], names: tuple[str, ...] | None, place: Callable[[int], str]
) -> list[Any]:
    """Labels by name where the file has names; None for a row that has none.

    Names may be written out, or be given by their positions, of which -1 stands for none.

    Args:
        place: says where a row is.

    Raises:
        DataProblem: for a label that is no position among the names, or neither text nor number.
    """
    values = [None if value != value else value for value in values]  # NaN: none, to pandas
    if names is None or {value for value in values if value is not None} <= set(names):
        return values
    found: list[str | None] = []
    for row, value in enumerate(values):
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        position = int(value) if whole else None
        if value is None or position == -1:
            found.append(None)
        elif position is None or not 0 <= position < len(names):
            raise DataProblem(
                f"{place(row)} has the label {brief(value)}, but its metadata "
                f"name {len(names)} classes, 0 to {len(names) - 1}; write labels and names alike"
            )
        else:
            found.append(names[position])
    return found


def brief(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 40 else text[:36] + "..."


def in_numbers(texts: Sequence[str | None]) -> list[Any]:
    """Labels out of a file of texts: whole numbers where all are, so that 2 comes before 10."""
    given = [text for text in texts if text]
    if given and all(text == "-1" or (text.isascii() and text.isdecimal()) for text in given):
        plain = [None if not text else int(text) for text in texts]
        if [str(n) for n in plain if n is not None] == given:  # no 007, which is a name
            return plain
    return list(texts)


def require_single(values: Sequence[Any], place: Callable[[int], str]) -> None:
    """Refuse labels that are no one number or text, and files that mix the two.

    Raises:
        DataProblem: naming the row.
    """
    first: tuple[int, Any] | None = None
    for row, value in enumerate(values):
        if value is None or value != value:
            continue
        if not isinstance(value, _LABELS):
            raise DataProblem(
                f"{place(row)} has the label {brief(value)}; one number or text for each image is "
                "needed"
            )
        if first is None:
            first = (row, value)
        elif isinstance(first[1], str) != isinstance(value, str) or isinstance(
            first[1], bool
        ) != isinstance(value, bool):
            raise DataProblem(
                f"{place(first[0])} has the label {brief(first[1])}, and {place(row)} "
                f"{brief(value)}; give names in all, or numbers in all"
            )
