"""The command that shows: `autoscale report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from autoscale.settings import Settings, option


@dataclass(frozen=True, kw_only=True)
class ReportCommand(Settings):
    """What the page shows beside the run, and where it goes."""

    command: ClassVar[str] = "report"

    output: Path | None = option(
        None, "The page's file. \\[default: report.html in the run]", place=True
    )
    trained: tuple[Path, ...] = option(
        (),
        "Run directory of an `autoscale train`: a member, or another network on the same "
        "images, to stand beside the family. May be given several times.",
        place=True,
    )


def report_command(settings: ReportCommand, *, run: Path, as_json: bool) -> None:
    """Write a run as one HTML page that works without a network."""
    from autoscale.cli.terminal import say, show_json
    from autoscale.report.writing import write_report

    file = write_report(run, settings.output, trained=settings.trained)
    size = file.stat().st_size
    if as_json:
        show_json({"file": str(file), "bytes": size})
        return
    say(f"{run} as a page of {size / 1000:,.0f} kB -> {file}")
