"""What a person sees: live progress on standard error, answers on standard output."""

import json
import math
import sys
from types import TracebackType
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from autoscale.design.budget import format_count
from autoscale.workflows.progress import Progress, duration

#: Columns that hold counts, printed with a unit.
COUNTS = ("macs", "flops", "params", "activations", "memory")
CONVENTION = (
    "macs: multiply-adds of convolutions and linear layers for one image (the papers' FLOPs)"
)


class Live:
    """A listener that shows a bar in a terminal and plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, left="", visible=False)

    def __enter__(self) -> "Live":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def notice(self, text: str) -> None:
        """Print a line."""
        style = "yellow" if text.startswith(("warning", "skipped")) else None
        self._console.print(escape(text), style=style, soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        """Move the bar and print what was done."""
        left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
        counted = f"[{progress.done}/{progress.total}] "
        line = f"{counted}{progress.note} | best {progress.best}" + (f" | {left}" if left else "")
        self._console.print(escape(line), soft_wrap=True)
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            description=escape(f"best {progress.best}"),
            left=left,
            visible=progress.done < progress.total,
        )


def say(text: str) -> None:
    """A line of the answer."""
    Console(highlight=False).print(escape(text), soft_wrap=True)


def refuse(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(" ".join(text.split()) + "\n")


def show_table(frame: pd.DataFrame, *, title: str, columns: tuple[str, ...]) -> None:
    """A table of some columns of a frame, counts with their unit."""
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in columns:
        text = frame[name].map(lambda value: isinstance(value, str)).all()
        table.add_column(name, justify="left" if text else "right", overflow="fold")
    for _, row in frame.iterrows():
        table.add_row(*(escape(_cell(name, row[name])) for name in columns))
    terminal = Console(highlight=False)
    # Off a terminal nobody sees the width that rich would guess.
    (terminal if terminal.is_terminal else Console(highlight=False, width=200)).print(table)


def show_json(data: Any) -> None:
    """Plain data on standard output; missing numbers become null."""
    sys.stdout.write(json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain data."""
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return found


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name in COUNTS:
        return format_count(value)
    if name in ("accuracy", "accuracy_sd"):
        return f"{value:.4f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(name): _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
