"""Names of classes in a file beside pictures that are labelled by numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoscale.datasets.pictures.pictures import shown
from autoscale.errors import DataProblem, first_line

#: What such files are called, the first that is there.
CLASS_FILES = ("classes.txt", "classes.json", "class_names.txt", "class_names.json", "labels.txt",
               "classnames.txt")  # fmt: skip


def names_in(contents: Mapping[str, bytes], where: Path) -> tuple[str, ...] | None:
    """The names that the first of some files gives: a line each, or JSON; None without a file.

    JSON is a list, or an object of names and numbers either way round.

    Raises:
        DataProblem: if it gives none, or one twice.
    """
    name = next((name for name in CLASS_FILES if name in contents), None)
    if name is None:
        return None
    place = f"{shown(where)}/{name}"
    try:
        text = contents[name].decode("utf-8-sig")
        found = _of_json(json.loads(text)) if name.endswith(".json") else _lines(text)
    except (ValueError, RecursionError) as problem:
        raise DataProblem(
            f"cannot read {place}: {first_line(problem)}; write a name of a class a line"
        ) from None
    if not found or len(set(found)) < len(found) or not all(found):
        raise DataProblem(
            f"{place} must name different classes; got {len(found)} names, {len(set(found))} "
            "different ones"
        )
    return found


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _of_json(found: Any) -> tuple[str, ...]:
    """
    Raises:
        ValueError: if that names no classes.
    """
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return tuple(found)
    if isinstance(found, dict):
        pairs = [(v, k) if isinstance(v, int) else (k, v) for k, v in found.items()]
        if all(str(number).isdecimal() and isinstance(name, str) for number, name in pairs):
            named = {int(number): name for number, name in pairs}
            if sorted(named) == list(range(len(pairs))):
                return tuple(named[number] for number in range(len(named)))
    raise ValueError("it is neither a list of names nor names with numbers from 0")
