"""The commands that look: `autoscale status` and `report` at a run, `doctor` at the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import typer

from autoscale.aspect import Aspect
from autoscale.models.settings import GroupSettings, LatencySettings
from autoscale.settings.command import Settings
from autoscale.settings.option import again, option

if TYPE_CHECKING:
    from autoscale.inspection.doctor import Finding
    from autoscale.inspection.status import Status, StepStatus

#: Trainings at work that are named, the longest first.
_SHOWN = 16


@dataclass(frozen=True, kw_only=True)
class StatusCommand(Settings):
    """Which run is looked at."""

    command: ClassVar[str] = "status"

    run: Path = option(
        Path("runs/default"),
        "Run directory, also of a run at work.",
        argument=True,
        place=True,
    )


@dataclass(frozen=True, kw_only=True)
class DoctorCommand(Settings):
    """What is looked at, beside the machine."""

    command: ClassVar[str] = "doctor"

    data: str | None = option(
        None, "Images to read through, as search-baseline takes them.", place=True
    )
    group_by: str | None = again(
        GroupSettings,
        "group_by",
        help="See whether they can be cut by groups: a column, or path:REGEX.",
    )
    aspect: Aspect | None = again(
        LatencySettings,
        "aspect",
        help="See what networks of this aspect, width divided by height, leave out of the "
        "pictures: 4/3. \\[default: 1, squares]",
    )
    device: str = option("cpu", "auto, cpu, or a CUDA device such as cuda:0.")

    needs: ClassVar[Mapping[str, str]] = {"group_by": "data", "aspect": "data"}


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


def status_command(settings: StatusCommand, *, as_json: bool) -> None:
    """Show where a run stands: what is done, at work, failed and why, left. Changes nothing."""
    from autoscale.cli.terminal import show_json
    from autoscale.inspection.status import run_status

    found = run_status(settings.run)
    if as_json:
        show_json(found.to_dict())
        return
    _show_status(found)


def doctor_command(settings: DoctorCommand, *, run: Path, as_json: bool) -> None:
    """Look for what would spoil hours of work, before they begin. Exit 1 if something would."""
    from autoscale.cli.terminal import show_json
    from autoscale.inspection.doctor import examine

    findings = examine(
        run=run,
        data=settings.data,
        group_by=settings.group_by,
        aspect=settings.aspect,
        device=settings.device,
    )
    broken = any(finding.verdict == "fail" for finding in findings)
    if as_json:
        show_json({"ok": not broken, "findings": [finding.to_dict() for finding in findings]})
    else:
        _show_findings(findings)
    if broken:
        raise typer.Exit(1)


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


def _show_status(found: Status) -> None:
    from autoscale.cli.terminal import say, show_table
    from autoscale.listener import duration

    rows = [
        {
            "step": step.step,
            "state": step.state,
            "done": _progress(step),
            "failed": step.failed,
            "used": duration(step.seconds),
            "left": "-" if step.seconds_left is None else duration(step.seconds_left),
        }
        for step in found.steps
    ]
    show_table(rows, title=f"Run {found.run}", columns=tuple(rows[0]))
    for step in found.steps:
        if step.facts:
            say(_sentence(step))
        for piece in step.at_work[:_SHOWN]:
            say(f"{step.step}: at work for {duration(piece.seconds)}: {piece.name}")
        if len(step.at_work) > _SHOWN:
            say(f"{step.step}: {len(step.at_work) - _SHOWN} more are at work")
        for failure in step.failures:
            say(f"{step.step}: {failure.count} failed: {failure.cause}")
        if step.problem:
            say(f"{step.step}: {step.problem}")
        for line in step.commands:
            say(f"{step.step}: {line}")
    if found.working is None:
        say("Whether a process works on it now cannot be known on this system.")
    else:
        say(f"{'A' if found.working else 'No'} process works on it now.")


def _progress(step: StepStatus) -> str:
    of = "" if step.asked is None else f" of {step.asked}"
    return f"{step.done}{of} {step.unit}"


def _sentence(step: StepStatus) -> str:
    """The search's trials by kind, its best one and its baseline; how many folds are finished."""
    facts = step.facts
    if "folds" in facts:
        return f"{step.step}: {facts['folds_finished']} of {facts['folds']} folds finished"
    parts = [f"{facts[name]} {name}" for name in ("finished", "stopped", "repeats", "refused")]
    text = f"{step.step}: " + ", ".join(part for part in parts if not part.startswith("0 "))
    if facts["confirmations"]:
        text += f", {facts['confirmations']} with new seeds"
    for name in ("best", "baseline"):
        one = facts[name]
        if one is not None:
            text += (
                f"; {name}: trial {one.trial}, {one.quality.label} {one.judged:.4f} on validation "
                f"images, {one.macs:,} multiply-adds"
            )
    if shared := facts.get("shared_weights"):
        text += (
            f"; shared weights agree with trainings: tau {shared['tau']:.2f} over "
            f"{shared['networks']} networks"
        )
    return text


def _show_findings(findings: list[Finding]) -> None:
    from autoscale.cli.terminal import say

    for finding in findings:
        advice = f"; {finding.advice}" if finding.advice else ""
        say(f"{finding.verdict:4}  {finding.subject}: {finding.found}{advice}")
