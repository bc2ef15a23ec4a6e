"""The commands on devices: `autoscale latency` measures here, `autoscale boards` lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import typer

from autoscale.jobs.groups.networks import BoardSettings
from autoscale.models.settings import LatencySettings, published_names
from autoscale.settings.command import Settings
from autoscale.settings.option import again, begun, option


@dataclass(frozen=True, kw_only=True)
class LatencyCommand(LatencySettings):
    """Which networks, and how."""

    command: ClassVar[str] = "latency"

    networks: tuple[str, ...] = option(
        help="Published networks (efficientnet-b0), designs' YAML files, or "
        "package.module:name of an nn.Module or of a function that makes one.",
        argument=True,
        complete=begun(published_names),
        place=True,
    )


def latency_command(settings: LatencyCommand, *, as_json: bool) -> None:
    """Measure how long networks take on this device; several take turns."""
    from autoscale.cli.terminal import records, say, show_json, show_table
    from autoscale.design.amounts import several
    from autoscale.models.latency import time_networks

    found = time_networks(settings.networks, settings)
    table = found.table
    if as_json:
        show_json({"networks": records(table)})
        return
    columns = ("network", "resolution", "median_ms", "low_ms", "high_ms", "standard_error_ms",
               "repeats", "images_per_second", "steady_ms", "ratio")  # fmt: skip
    show_table(table, title=f"Milliseconds for a batch of {settings.batch}", columns=columns)
    one = next(iter(found.latencies.values()))
    norms = "batch norms folded" if one.folded else "batch norms as they are"
    threads_used = several(one.threads, "thread")
    say(
        f"{one.runtime}, {one.dtype}, {threads_used}, {norms}, {one.clock} clock, on "
        f"{one.device}: {one.hardware}. In memory maps lie {one.memory_format}. {one.version}."
    )
    say(
        "low_ms, high_ms: 10th and 90th percentile of the timed passes. steady_ms: with the "
        "machine's changes of pace taken out. ratio: of steady_ms to the first."
    )
    unsettled = [name for name, latency in found.latencies.items() if not latency.settled]
    if unsettled:
        say(
            f"The median is not known to {settings.precision:.2g} of itself for "
            f"{', '.join(unsettled)}: the machine is busy or the time was short; try --clock cpu "
            "or more --seconds."
        )


@dataclass(frozen=True, kw_only=True)
class BoardsCommand(Settings):
    """Which of them."""

    command: ClassVar[str] = "boards"

    board: str | None = again(
        BoardSettings,
        "board",
        help="Print this one as a YAML file, to change it and name it with --board.",
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
