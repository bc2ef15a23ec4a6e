"""Boards by the name they ship under, or by file."""

from __future__ import annotations

import os
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from autoscale.design.document import dump
from autoscale.devices.board import HERE, Board
from autoscale.errors import InvalidSetting
from autoscale.runs.store import read_text

if TYPE_CHECKING:
    import pandas as pd


def board_names() -> list[str]:
    """Names of the boards that ship with autoscale, and of this machine."""
    return [*sorted(entry.name.removesuffix(".yaml") for entry in _shipped()), HERE]


def load_board(name: str) -> Board:
    """The shipped board of that name, the board in that YAML file, or this machine.

    Raises:
        InvalidSetting: if there is none, or the file is no board; the message names line and key.
    """
    return Board.from_yaml(board_text(name), source=name)


def board_text(name: str) -> str:
    """The YAML text of a board, by name or file.

    Raises:
        InvalidSetting: if there is no such board and no such file.
    """
    for entry in _shipped():
        if entry.name == f"{name}.yaml":
            return entry.read_text(encoding="utf-8")
    if name == HERE:
        return _here()
    path = Path(name)
    if not path.is_file():
        said = "no such file of a board:" if path.suffix in (".yaml", ".yml") else "no board"
        raise InvalidSetting(
            f"{said} {name!r}; choose from {', '.join(board_names())}, or name a YAML file"
        )
    return read_text(path)


def board_table() -> pd.DataFrame:
    """One row for each board.

    Columns: board; dtype; runtime; flash, ram (bytes; missing where there is no limit);
    flash_left, ram_left (what the firmware leaves of them); description; source.
    """
    import pandas as pd

    rows = []
    for name in board_names():
        board = load_board(name)
        flash, ram = board.left
        rows.append(
            {
                "board": name,
                "dtype": board.dtype,
                "runtime": board.runtime,
                "flash": board.flash,
                "ram": board.ram,
                "flash_left": flash,
                "ram_left": ram,
                "description": board.description,
                "source": board.source,
            }
        )
    whole = dict.fromkeys(("flash", "ram", "flash_left", "ram_left"), "Int64")
    return pd.DataFrame(rows).astype(whole)


def _here() -> str:
    """This machine, as far as it tells."""
    plain = {
        "kind": "board",
        "name": HERE,
        "description": "this machine; its milliseconds can be measured",
        "source": "read from the system",
        "runtime": "eager",
        "dtype": "float32",
        "ram": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "here": True,
    }
    return dump(plain)


def _shipped() -> list[Traversable]:
    folder = files("autoscale.devices") / "presets"
    return [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
