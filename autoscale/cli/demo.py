"""The demonstration: every step of the recipe on images that are drawn."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import typer

from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings, WorkerSettings
from autoscale.settings.command import Settings
from autoscale.settings.option import again, option


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
