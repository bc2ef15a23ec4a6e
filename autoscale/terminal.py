"""What a person sees: live progress on standard error, answers on standard output."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live as View
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from autoscale.design.budget import format_count
from autoscale.workflows.progress import Progress, duration

#: Columns that hold counts, printed with a unit; so are all whose names begin with "macs".
COUNTS = ("macs", "flops", "params", "activations", "memory")
#: Columns of shares, printed with four decimals.
ACCURACIES = ("accuracy", "accuracy_sd", "believed", "low", "high", "lead", "probability", "share")
#: Least width of a text column, if its longest word is not shorter.
READABLE = 24
#: Longest line of a refusal, in characters.
LONGEST = 1000
CONVENTION = (
    "macs: multiply-adds of convolutions and linear layers for one image (the papers' FLOPs)"
)


class Live:
    """A listener that shows where the work stands in a terminal, and prints plain lines elsewhere.

    In a terminal the last lines stay in place: a bar with the best so far and the time left, then
    the front and how much failed.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=None, left="", visible=False)
        self._standing = Text(style="dim", overflow="ellipsis", no_wrap=True)
        self._view = View(Group(self._bar, self._standing), console=self._console, transient=True)

    def __enter__(self) -> "Live":
        if self._console.is_terminal:
            self._view.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._view.stop()

    def notice(self, text: str) -> None:
        """Print a line."""
        style = "yellow" if text.startswith(("warning", "skipped")) else None
        self._console.print(escape(text), style=style, soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        """Print what was done, and bring what stays in place up to date."""
        left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
        failed = f"{progress.failed} failed" if progress.failed else ""
        counted = f"[{progress.done}/{progress.total}] {progress.note}"
        parts = [counted, f"best {progress.best}", failed, left]
        self._console.print(escape(" | ".join(filter(None, parts))), soft_wrap=True)
        working = progress.done < progress.total
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            description=escape(f"best {progress.best}"),
            left=left,
            visible=working,
        )
        front = f"front {' · '.join(progress.front)}" if progress.front else ""
        self._standing.plain = "   ".join(filter(None, [failed, front])) if working else ""


@contextmanager
def working() -> Iterator[Live]:
    """Progress on the terminal, and a promise when it is interrupted."""
    try:
        with Live() as listener:
            yield listener
    except KeyboardInterrupt:
        refuse("autoscale: stopped; finished work is kept, the same command continues")
        raise


def say(text: str) -> None:
    """A line of the answer."""
    Console(highlight=False).print(escape(printable(text)), soft_wrap=True)


def refuse(text: str) -> None:
    """One line on standard error; what would make it unreadably long is left out of its middle."""
    line = printable(" ".join(text.split()))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} [...] {line[-LONGEST // 3 :]}"
    sys.stderr.write(line + "\n")


def printable(text: str) -> str:
    """Text in which nothing moves the cursor or turns the line round, whatever a file is called."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def show_table(frame: pd.DataFrame, *, title: str, columns: tuple[str, ...]) -> None:
    """A table of some columns of a frame, counts with their unit.

    On a narrow terminal text wraps between words and numbers stay whole, even if the table is then
    wider than the terminal.
    """
    table = Table(
        title=escape(printable(title)), title_justify="left", title_style="bold", box=SIMPLE_HEAD
    )
    cells = {name: [_cell(name, value) for value in frame[name]] for name in columns}
    for name in columns:
        if frame[name].map(lambda value: isinstance(value, str)).all():
            words = [word for text in (name, *cells[name]) for word in text.split()]
            least = min(READABLE, max(map(cell_len, words)))
            table.add_column(name, overflow="fold", min_width=least)
        else:
            least = max(map(cell_len, (name, *cells[name])))
            table.add_column(name, justify="right", no_wrap=True, min_width=least)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(escape, row))
    terminal = Console(highlight=False)
    # Off a terminal nobody sees the width that rich would guess.
    shown = terminal if terminal.is_terminal else Console(highlight=False, width=200)
    shown.print(table, crop=False)


def show_json(data: Any) -> None:
    """Plain data on standard output; missing numbers become null."""
    sys.stdout.write(json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain data: integers exact at any size, None for what is missing."""
    rows = frame.astype(object).to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name in COUNTS or name.startswith("macs"):
        return format_count(value)
    if name == "networks":
        return f"{value:,}" if value < 10**9 else f"{value:.2e}"
    if name in ACCURACIES:
        return f"{value:.4f}"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(name): _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
