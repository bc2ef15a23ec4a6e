"""The commands that list: `autoscale spaces`, `autoscale boards` and `autoscale weights`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import typer

from autoscale.settings import Settings, option

if TYPE_CHECKING:
    from autoscale.inspection.weights import WeightsHere


@dataclass(frozen=True, kw_only=True)
class SpacesCommand(Settings):
    """Nothing to choose."""

    command: ClassVar[str] = "spaces"


def spaces_command(settings: SpacesCommand, *, as_json: bool) -> None:
    """List the search spaces that ship with autoscale."""
    from autoscale.cli.terminal import CONVENTION, explain, records, show_json, show_table
    from autoscale.jobs.search.spaces import space_table

    table = space_table()
    if as_json:
        show_json({"convention": CONVENTION, "spaces": records(table)})
        return
    show_table(
        table,
        title="Search spaces",
        columns=tuple(table.columns),
        spare=("resolution", "macs_least", "macs_most"),
    )
    explain(CONVENTION)


def _boards(incomplete: str) -> list[str]:
    from autoscale.devices.boards import board_names

    return [name for name in board_names() if name.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True)
class BoardsCommand(Settings):
    """Which of them."""

    command: ClassVar[str] = "boards"

    board: str | None = option(
        None,
        "Print this one as a YAML file, to change it and name it with --board.",
        complete=_boards,
    )


def boards_command(settings: BoardsCommand, *, as_json: bool) -> None:
    """List boards as --board takes them: their flash and RAM, and what the firmware leaves of them.

    Milliseconds are claimed of none: nothing was timed on them but on this machine (here).
    """
    import pandas as pd

    from autoscale.cli.terminal import explain, records, show_json, show_table
    from autoscale.devices.boards import board_table, board_text, load_board

    if settings.board is not None and not as_json:
        load_board(settings.board)
        typer.echo(board_text(settings.board).rstrip())  # not folded: it is a file
        return
    table = board_table()
    if settings.board is not None:
        load_board(settings.board)
        table = table[table["board"] == settings.board]
    if as_json:
        show_json({"boards": records(table)})
        return
    for name in ("flash_left", "ram_left"):
        table[name] = ["any" if pd.isna(n) else f"{n:,}" for n in table[name]]
    show_table(
        table,
        title="Boards",
        columns=("board", "dtype", "flash_left", "ram_left", "description"),
        spare=("dtype",),
    )
    explain("flash_left, ram_left: bytes for the network, a bootloader and the like taken off")


@dataclass(frozen=True, kw_only=True)
class WeightsCommand(Settings):
    """Nothing to choose."""

    command: ClassVar[str] = "weights"


def weights_command(settings: WeightsCommand, *, as_json: bool) -> None:
    """List published weights on this machine, as --weights takes them, and what could be had.

    Looked through are installed packages, the cache of the Hugging Face hub (HF_HUB_CACHE, HF_HOME)
    and that of torch.hub (TORCH_HOME). A network is told from names and shapes.
    """
    from autoscale.cli.terminal import show_json
    from autoscale.inspection.weights import weights_here

    found = weights_here()
    if as_json:
        show_json(
            {
                "weights": [one.to_dict() for one in found.held],
                "missing": [{"source": m.source, "command": m.command} for m in found.missing],
                "looked": [str(folder) for folder in found.looked],
            }
        )
        return
    _show_weights(found)


def _show_weights(found: WeightsHere) -> None:
    import pandas as pd

    from autoscale.cli.terminal import say, show_table

    rows = [
        {
            "weights": one.source,
            "network": one.network or "not known",
            "names": one.names or "-",
            "MB": f"{one.bytes / 1e6:.1f}",
            "licence": one.licence or "not stated",
        }
        for one in found.held
    ]
    if rows:
        show_table(
            pd.DataFrame(rows), title="Weights here", columns=tuple(rows[0]), spare=("names",)
        )
    else:
        say("No published weights are here.")
    for one in found.held:
        if one.problem:
            say(f"{one.source}: {one.problem}")
        elif one.source != str(one.path):
            say(f"{one.source}: {one.path}")
    for missing in found.missing:
        if missing.command:
            say(f"Not here: {missing.source}; {missing.command}")
        else:
            say(f"Fetched when it is named, where there is a network: {missing.source}")
    say(f"Looked through: installed packages, {', '.join(map(str, found.looked))}")
