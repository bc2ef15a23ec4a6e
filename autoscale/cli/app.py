"""Arguments -> one workflow -> a printed answer."""

import io
import os
import re
import shlex
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from autoscale.cli.calibrate import calibrate_command
from autoscale.cli.counting import compare_command, count_command
from autoscale.cli.export import export_command
from autoscale.cli.latency import latency_command
from autoscale.cli.options import command
from autoscale.cli.predict import evaluate_command, predict_command
from autoscale.cli.report import report_command
from autoscale.cli.scaling import GridOptions, family_command, grid_command
from autoscale.cli.search import DemoSettings, check_command, search_command
from autoscale.cli.status import doctor_command, status_command
from autoscale.cli.train import train_command
from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.search.settings import CheckSettings, SearchSettings

# Workflows are imported where they are used: `autoscale --help` must not wait for torch.

app = typer.Typer(
    name="autoscale",
    help="Search a small network on your images, find how to scale it, get a family of sizes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
DEFAULT_RUN = "runs/default"


@app.callback()
def everywhere(
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Where decoded images and compiled kernels are kept for all runs; may be deleted "
            "at any time. \\[default: $AUTOSCALE_CACHE, else autoscale in the user's cache folder]"
        ),
    ] = None,
) -> None:
    if cache is not None:
        os.environ["AUTOSCALE_CACHE"] = str(cache)  # other processes of this command see it too


app.command(
    "search-baseline",
    epilog="Example: autoscale search-baseline --data photos --resolution 96 --trials 30 "
    "--run runs/photos",
)(command(SearchSettings, search_command, run=DEFAULT_RUN))
app.command(
    "check-baseline", epilog="Example: autoscale check-baseline --run runs/photos --networks 10"
)(command(CheckSettings, check_command, run=DEFAULT_RUN))


@app.command()
def spaces(as_json: Json = False) -> None:
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


app.command(
    "grid",
    epilog="Example: autoscale grid --run runs/photos --flops-budget 2x --max-candidates 8",
)(command(GridOptions, grid_command, run=DEFAULT_RUN))
app.command("family", epilog="Example: autoscale family --run runs/photos --budgets 20M,40M,80M")(
    command(FamilySettings, family_command, run=DEFAULT_RUN)
)
app.command("calibrate-w", epilog="Example: autoscale calibrate-w --run runs/photos")(
    calibrate_command
)
app.command("count", epilog="Example: autoscale count efficientnet-b4 --per-stage")(count_command)
app.command("compare", epilog="Example: autoscale compare efficientnet resnet --plot sizes.svg")(
    compare_command
)
app.command("train", epilog="Example: autoscale train runs/photos/family/phi-2.yaml --data photos")(
    train_command
)
app.command(
    "evaluate",
    epilog="Example: autoscale evaluate runs/phi-2/train/best.safetensors --data photos",
)(evaluate_command)
app.command(
    "predict",
    epilog="Example: autoscale predict new/*.jpg --model runs/phi-2/train/best.safetensors",
)(predict_command)
app.command("export", epilog="Example: autoscale export best.safetensors out --to onnx")(
    export_command
)
app.command("latency", epilog="Example: autoscale latency efficientnet-b0 resnet-50 --clock cpu")(
    latency_command
)
app.command("status", epilog="Example: autoscale status runs/photos")(status_command)
app.command("doctor", epilog="Example: autoscale doctor --data photos --run runs/photos")(
    doctor_command
)
app.command("report", epilog="Example: autoscale report --run runs/photos --trained runs/phi-2")(
    report_command
)


def demo_command(settings: DemoSettings, *, run: Path) -> None:
    """Search, check, grid and family on the built-in synthetic images, in about four minutes.

    The search and the grid train one network at a time, so that what they propose does not depend
    on which of several trainings ends first; the check trains --workers of them.
    """
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


app.command("demo")(command(DemoSettings, demo_command, run="runs/demo", has_json=False))


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 is an answer, 1 a refusal, 2 wrong usage, 130 an interruption.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a poor terminal must not stop a finished job
    try:
        status = app(arguments, prog_name="autoscale", standalone_mode=False)
        sys.stdout.flush()
    except InvalidSetting as problem:
        refuse(f"autoscale: {problem}")
        return 2
    except AutoscaleError as problem:
        refuse(f"autoscale: {problem}")
        return 1
    except TyperException as problem:
        if problem.format_message():  # empty where the help was shown instead
            refuse(f"autoscale: {problem.format_message()} (try --help)")
        return problem.exit_code
    except OSError as problem:
        reason = problem.strerror or problem
        if problem.filename is not None:  # a file where a folder should be, and the like
            refuse(f"autoscale: {problem.filename}: {reason}; correct it and repeat the command")
        else:
            refuse(f"autoscale: cannot write the answer: {reason}")
        return 1
    return status if isinstance(status, int) else 0


def refuse(text: str) -> None:
    """Say on standard error why there is no answer."""
    from autoscale.cli import (
        terminal,  # it loads pandas: the help and completions do not wait for that
    )

    terminal.refuse(text)


if __name__ == "__main__":
    sys.exit(main())
