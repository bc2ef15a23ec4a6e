"""The commands that take every step: `autoscale make`, and `demo` on images that are drawn."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import typer

from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings, WorkerSettings
from autoscale.pipeline.settings import MakeSettings
from autoscale.settings.command import Settings
from autoscale.settings.option import again, option

if TYPE_CHECKING:
    from autoscale.pipeline.result import Made, Planned

# Jobs are imported where they are used: `autoscale --help` must not wait for torch.


@dataclass(frozen=True, kw_only=True)
class MakeOptions(MakeSettings):
    """What a network is made of, and whether it is made."""

    plan: bool = option(
        False,
        "Measure speeds, show what would be done and how long it would take; make nothing.",
        binds=False,
        recorded=False,
    )


def make_command(settings: MakeOptions, *, run: Path, as_json: bool) -> None:
    """Make one trained network of a folder of images: within limits, within a time.

    Looks at machine and images, measures speeds, and does what the time allows: a published design
    scaled to the limits and trained; before that a comparison of the weights that were found with
    random ones, a search around the design, a check and a grid. The same command goes on where it
    was interrupted; a larger --hours goes on with what is finished.
    """
    from autoscale.cli.terminal import working
    from autoscale.pipeline.job import make_network, plan_network

    with working() as listener:
        if settings.plan:
            planned = plan_network(run, settings, listener=listener)
        else:
            made = make_network(run, settings, listener=listener)
    if settings.plan:
        _show_plan(planned, as_json)
    else:
        _show_made(made, settings, as_json)


def _show_plan(planned: Planned, as_json: bool) -> None:
    from autoscale.cli.terminal import say, show_json
    from autoscale.pipeline.result import plan_lines

    if as_json:
        show_json(planned.to_dict())
        return
    for line in plan_lines(planned):
        say(line)
    say("Nothing was trained; the same command without --plan begins.")


def _show_made(made: Made, settings: MakeOptions, as_json: bool) -> None:
    from autoscale.cli.terminal import say, show_json
    from autoscale.listener import duration

    if as_json:
        show_json(made.to_dict())
        return
    told = (
        ("Weights", made.compared),
        ("Check", made.check),
        ("Grid", made.grid),
        ("Rival", made.rival),
    )
    for name, verdict in told:
        if verdict:
            say(f"{name}: {verdict}.")
    for line in made.left_out:
        say(f"Left out: {line}.")
    took = ", ".join(f"{name} {duration(seconds)}" for name, seconds in made.took.items())
    say(f"It took {duration(made.seconds)}: {took}.")
    taught = f"; {made.teacher} taught it" if made.teacher else ""
    say(
        f"Network: {made.network}, {' and '.join(made.costs.values())}, "
        f"within {' and '.join(made.limits)}{taught}."
    )
    say(
        f"On {made.images:,} {made.split} images: accuracy {made.accuracy:.4f}, between "
        f"{made.low:.3f} and {made.high:.3f} (95 %, of the number of images alone). Verdict: "
        f"{made.verdict}."
    )
    if made.int8 is not None:
        say(
            f"In int8: accuracy {made.int8.accuracy:.4f}, the float network's answer to "
            f"{made.int8.agreement:.1%} of them; {made.int8.bytes:,} bytes -> {made.int8.file}"
        )
    say(f"Weights -> {made.weights}")
    say(f"For other programs -> {made.export}")
    if made.report is not None:
        say(f"Page -> {made.report}")
    weights = shlex.quote(str(made.weights))
    say(f"Next: autoscale predict new/*.jpg --model {weights}")


@dataclass(frozen=True, kw_only=True)
class DemoSettings(Settings):
    """What the demonstration may be asked for."""

    command: ClassVar[str] = "demo"

    seed: int = option(0, "Of images, proposals and trainings.", least=0)
    kernels: str = again(KernelSettings, "kernels", "auto")
    threads: int = again(DeviceSettings, "threads", 1)
    workers: int = again(WorkerSettings, "workers", 2, panel="")


def demo_command(settings: DemoSettings, *, run: Path) -> None:
    """Search, check, grid and family on the built-in synthetic images, in about four minutes.

    The search and the grid train one network at a time, so that what they propose does not depend
    on which of several trainings ends first; the check trains --workers of them.
    """
    from autoscale.cli.app import app  # whose commands these are
    from autoscale.cli.terminal import brief, say

    with brief():
        for title, step in demo_commands(run, seed=settings.seed, kernels=settings.kernels):
            say(f"\n{title}\n{_typed(step)}")
            name = step.split()[0]
            options = "" if name == "family" else f" --threads {settings.threads}"
            options += f" --workers {settings.workers}" if name == "check-baseline" else ""
            status = app(shlex.split(step + options), standalone_mode=False)
            if status:  # interrupted: typer gives it back instead of raising
                raise typer.Exit(status)
    say(f"\nDone -> {run}. On your own images: the same commands, with --data.")


def _typed(step: str) -> str:
    """A command as a shell takes it, in lines of at most 80 columns, options with their values."""
    joined = re.sub(r"( --\S+) (?!--)", "\\1\0", f"$ autoscale {step}")
    lines = textwrap.wrap(
        joined, 78, break_long_words=False, break_on_hyphens=False, subsequent_indent="    "
    )
    return " \\\n".join(lines).replace("\0", " ")


def demo_commands(run: Path, *, seed: int = 0, kernels: str = "auto") -> list[tuple[str, str]]:
    """Title and command of each step of the demonstration."""
    where = f"--run {shlex.quote(str(run))}"
    own = f" --seed {seed}" if seed else ""
    own += f" --kernels {shlex.quote(kernels)}" if kernels != "auto" else ""
    return [
        (
            "1. Search a baseline",
            f"search-baseline {where} --space pixels-or-width --target 500K --max-flops 2M "
            f"--trials 16 --epochs 4 --confirm 3{own}",
        ),
        (
            "2. Is it better than a random network, on images it has not seen?",
            f"check-baseline {where} --networks 16 --seeds 4",
        ),
        (
            "3. How should depth, width and resolution grow?",
            f"grid {where} --flops-budget 2x --rounding nearest,divisor=2 --max-candidates 3 "
            "--seeds 2",
        ),
        ("4. The family", f"family {where} --phi 0..3"),
    ]
