"""Spaces and designs by the name they ship under, or by file."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale.design.architecture import Architecture
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, InvalidSpace

if TYPE_CHECKING:
    import pandas as pd

#: Designs that are drawn to know what is usual in a space.
USUAL = 1000


def space_names() -> list[str]:
    """Names of the spaces that ship with autoscale."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _shipped())


def load_space(name: str) -> SearchSpace:
    """The shipped space of that name, or the space in that YAML file.

    Raises:
        InvalidSetting: if there is neither.
        InvalidSpace: if the file is no space; the message names line and key.
    """
    return SearchSpace.from_yaml(space_text(name), source=name)


def space_text(name: str) -> str:
    """The YAML text of a space, by name or file.

    Raises:
        InvalidSetting: if there is no such space and no such file.
    """
    for entry in _shipped():
        if entry.name == f"{name}.yaml":
            return entry.read_text(encoding="utf-8")
    path = Path(name)
    if path.is_dir():
        raise InvalidSpace(f"{name} is a folder; name a YAML file in it")
    if not path.exists():
        raise InvalidSetting(
            f"no space {name!r}; choose from {', '.join(space_names())}, or name a YAML file"
        )
    from autoscale.runs.store import read_text  # which the list of spaces does without

    return read_text(path)


def space_table() -> pd.DataFrame:
    """One row for each shipped space.

    Columns: space; networks (points of the space, Python integers of any size); resolution (pixels
    per side, of the height where the space has an aspect); macs_least, macs_median (of a thousand
    drawn) and macs_most (multiply-adds of one image); description.
    """
    import pandas as pd

    return pd.DataFrame(space_rows()).astype({"networks": object})


def space_rows() -> list[dict[str, Any]]:
    """The rows of `space_table` as plain data."""
    rows: list[dict[str, Any]] = []
    for name in space_names():
        space = load_space(name)
        least, most = space.macs_range()
        rows.append(
            {
                "space": name,
                "networks": space.size,
                "resolution": "/".join(str(side) for side in space.resolution),
                "macs_least": least,
                "macs_median": usual_macs(space),
                "macs_most": most,
                "description": space.description,
            }
        )
    return rows


def usual_cost(space: SearchSpace, price: Callable[[Architecture], float]) -> float:
    """What half of the designs of a space cost at most, from a thousand drawn with a fixed seed."""
    rng = random.Random(0)
    return statistics.median(price(space.sample(rng)) for _ in range(USUAL))


def usual_macs(space: SearchSpace) -> int:
    """What half of the designs of a space cost at most, in multiply-adds."""
    rng = random.Random(0)
    return round(statistics.median(space.macs_of([space.draw(rng) for _ in range(USUAL)])))


def _shipped() -> list[Traversable]:
    # The wheel carries the folder inside the package; in a checkout it lies beside it.
    inside = files("autoscale") / "search_spaces"
    folder = inside if inside.is_dir() else files("autoscale") / ".." / "search_spaces"
    return [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
