"""What a person sees: live progress on standard error, answers on standard output."""

from __future__ import annotations

import json
import math
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from autoscale.design.amounts import format_count
from autoscale.listener import Progress, duration
from autoscale.metrics.names import is_quality

if TYPE_CHECKING:
    import pandas as pd

    #: A table: a frame, or its rows.
    Rows = pd.DataFrame | Sequence[Mapping[str, Any]]

#: Columns that hold counts, printed with a unit; so are all whose names begin with "macs".
COUNTS = ("macs", "flops", "params", "activations", "memory")
#: Columns of shares, printed with four decimals.
ACCURACIES = ("accuracy", "accuracy_sd", "estimate", "low", "high", "lead", "probability", "share")
#: Least width of a text column, if its longest word is not shorter.
READABLE = 24
#: Width at which a text column is left alone rather than a spare column shown.
COMFORTABLE = 16
#: Longest line of a refusal, in characters.
LONGEST = 1000
#: Columns of a line where no terminal says how many it has: a file, a pipe.
COLUMNS = 80
#: Seconds between two lines of progress where no terminal is.
QUIET = 60.0
#: Of a console: what people and files are called is shown as it is, such as `:cat:`.
PLAIN: Mapping[str, Any] = {"highlight": False, "emoji": False}
NARROW = "Tables leave out the columns that find no room; --json has them all."
CONVENTION = "macs: multiply-adds of convolutions and linear layers, one image (FLOPs)"


class Live:
    """A listener that shows where the work stands in a terminal, and prints plain lines elsewhere.

    In a terminal every piece of work is a line, and the last lines stay in place: a bar with the
    best so far and the time left, then the front and how much failed. Elsewhere, so that a log is
    short, a line is written for the last piece, for a failure, and when a minute has passed without
    one; what was just finished is left out of a long one, unless it failed.
    """

    def __init__(self) -> None:
        # An answer without work before it does not wait for these.
        from rich.live import Live as View
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True, **PLAIN)
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
        self._written = time.monotonic()  # when the last line of progress was, in seconds
        self._failed = 0

    def __enter__(self) -> Live:
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
        """Print a line; of several commands in one, a line that was said is not said again."""
        if _said_before(text):
            return
        style = "yellow" if text.startswith(("warning", "skipped")) else None
        _write(self._console, printable(text), style=style)

    def progress(self, progress: Progress) -> None:
        """Print what was done, and bring what stays in place up to date."""
        left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
        failed = f"{progress.failed} failed" if progress.failed else ""
        counted = f"[{progress.done}/{progress.total}]"
        best = f"best {progress.best}"
        line = " | ".join(filter(None, [f"{counted} {progress.note}", best, failed, left]))
        if self._console.is_terminal:
            _write(self._console, line)
        elif written := self._due(progress):
            short = " | ".join(filter(None, [f"{counted} {best}", failed, left]))
            whole = written == "failure" or cell_len(line) <= COLUMNS
            _write(self._console, line if whole else short)
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

    def _due(self, progress: Progress) -> Literal["", "failure", "progress"]:
        """What a log gets a line for, if it gets one."""
        now = time.monotonic()
        # The last one goes without: an answer follows.
        working = progress.done < progress.total
        failed, self._failed = progress.failed > self._failed, progress.failed
        quiet = working and now - self._written >= QUIET
        if not (quiet or failed):
            return ""
        self._written = now
        return "failure" if failed else "progress"


@contextmanager
def working(kept: str = "finished work is kept") -> Iterator[Live]:
    """Progress on the terminal, and a promise when it is interrupted."""
    from autoscale.cli.app import loaded

    loaded()
    try:
        with Live() as listener:
            yield listener
    except KeyboardInterrupt:
        refuse(f"autoscale: stopped; {kept}, the same command continues")
        raise


def say(text: str) -> None:
    """A sentence of the answer; a terminal folds what is too long for it, elsewhere words wrap."""
    _write(Console(**PLAIN), printable(text))


_said: ContextVar[set[str] | None] = ContextVar("said", default=None)


@contextmanager
def brief() -> Iterator[None]:
    """Within it, notices and what words mean are said once, and only the chief tables are shown."""
    token = _said.set(set())
    try:
        yield
    finally:
        _said.reset(token)


def is_brief() -> bool:
    """Whether several commands answer as one."""
    return _said.get() is not None


def explain(text: str) -> None:
    """What words of an answer mean."""
    if not _said_before(text):
        say(text)


def _said_before(text: str) -> bool:
    said = _said.get()
    if said is None:
        return False
    known = text in said
    said.add(text)
    return known


def _write(console: Console, text: str, *, style: str | None = None) -> None:
    if not console.is_terminal:
        text = "\n".join(map(wrapped, text.split("\n")))
    console.print(escape(text), style=style, soft_wrap=True)


def wrapped(line: str) -> str:
    """A line as lines of at most `COLUMNS` columns; a longer word, such as a path, stays whole."""
    if cell_len(line) <= COLUMNS:
        return line
    return textwrap.fill(line, COLUMNS, break_long_words=False, break_on_hyphens=False)


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


def show_table(
    rows: Rows, *, title: str, columns: tuple[str, ...], spare: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """A table of some columns of a frame or of rows, counts with their unit.

    Where it is wider than the terminal, or than 80 columns elsewhere, text wraps between words,
    then `spare` columns are left out, and that is said below. Numbers stay whole, even if the table
    is then still wider.

    Args:
        spare: columns that a narrow table can do without, the first to go first.

    Returns:
        The columns shown.
    """
    console = Console(**PLAIN)
    # Off a terminal nobody sees the width that rich would guess.
    room = console.width if console.is_terminal else COLUMNS
    values = {name: _column(rows, name) for name in columns}
    cells = {name: [_cell(name, value) for value in values[name]] for name in columns}
    texts = {name for name in columns if all(v is None or isinstance(v, str) for v in values[name])}
    least = {name: _least_width(name, cells[name], wraps=name in texts) for name in columns}
    wanted = {
        name: max(width, min(COMFORTABLE, max(map(cell_len, cells[name]), default=0)))
        for name, width in least.items()
    }
    dropped: list[str] = []
    for name in spare:
        if _widest(wanted) <= room:
            break
        if wanted.pop(name, None) is not None:
            least.pop(name)
            dropped.append(name)
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, len(_GAP) - 1, 0, 0)
    )
    for name, width in least.items():
        if name in texts:
            table.add_column(name, overflow="fold", min_width=width)
        else:
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for row in zip(*(cells[name] for name in least), strict=True):
        table.add_row(*map(escape, row))
    if not console.is_terminal:
        console = Console(**PLAIN, width=max(room, _widest(least)))
    _write(console, printable(title), style="bold")
    console.print(table, crop=False)
    if dropped:
        explain(NARROW)
    return tuple(least)


def _column(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows] if isinstance(rows, Sequence) else list(rows[name])


#: Between two columns of a table.
_GAP = "  "


def _widest(least: dict[str, int]) -> int:
    return sum(least.values()) + len(_GAP) * (len(least) - 1)


def _least_width(name: str, cells: list[str], *, wraps: bool) -> int:
    """Columns that a column of a table needs so that numbers, and words up to 24, stay whole."""
    if not wraps:
        return max(map(cell_len, (name, *cells)))
    words = [word for text in (name, *cells) for word in text.split()]
    return min(READABLE, max(map(cell_len, words)))


def show_json(data: Any) -> None:
    """Plain data on standard output; missing numbers become null."""
    sys.stdout.write(json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain data: integers exact at any size, None for what is missing."""
    import numpy as np
    import pandas as pd

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic | np.ndarray):
            value = value.tolist()
        return None if pd.api.types.is_scalar(value) and pd.isna(value) else value

    rows = frame.astype(object).to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name in COUNTS or name.startswith("macs"):
        return format_count(value)
    if name == "networks":
        return f"{value:,}" if value < 10**9 else f"{value:.2e}"
    if name in ACCURACIES or is_quality(name):
        return f"{value:z.4f}"
    return (
        f"{value:z.4g}" if isinstance(value, float) else printable(str(value)).replace("\n", "\\n")
    )


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(name): _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
