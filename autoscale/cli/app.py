"""Arguments -> one workflow -> a printed answer."""

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer
from typer.exceptions import TyperException

from autoscale.cli.counting import CompareCommand, CountCommand, compare_command, count_command
from autoscale.cli.demo import DemoSettings, demo_command
from autoscale.cli.devices import BoardsCommand, LatencyCommand, boards_command, latency_command
from autoscale.cli.export import ExportCommand, QuantizeCommand, export_command, quantize_command
from autoscale.cli.make import MakeOptions, make_command
from autoscale.cli.options import RUN, Cache, Version, command
from autoscale.cli.predict import (
    EvaluateCommand,
    PredictCommand,
    evaluate_command,
    predict_command,
)
from autoscale.cli.scaling import GridOptions, family_command, grid_command
from autoscale.cli.search import (
    CalibrateCommand,
    SpacesCommand,
    calibrate_command,
    check_command,
    search_command,
    spaces_command,
)
from autoscale.cli.status import (
    DoctorCommand,
    ReportCommand,
    StatusCommand,
    doctor_command,
    report_command,
    status_command,
)
from autoscale.cli.train import (
    CutSettings,
    TrainFamilySettings,
    TrainSettings,
    cut_command,
    train_command,
    train_family_command,
)
from autoscale.cli.weights import WeightsCommand, try_weights_command, weights_command
from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.settings.command import Settings

# Workflows are imported where they are used: `autoscale --help` must not wait for torch.

app = typer.Typer(
    name="autoscale",
    help="Search a small network on your images, find how to scale it, get a family of sizes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_RUN = "runs/default"


@app.callback()
def everywhere(cache: Cache = None, version: Version = False) -> None:
    if cache is not None:
        os.environ["AUTOSCALE_CACHE"] = str(cache)  # other processes of this command see it too


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: its settings, what it does with them, and what its help says of it."""

    settings: type[Settings]
    work: Callable[..., Any]
    example: str = ""  # without "autoscale" and the command
    run: str = ""  # the default run directory of one that has such
    run_help: str = RUN
    has_json: bool = True

    def add_to(self, group: typer.Typer) -> None:
        """Make typer offer it."""
        name = self.settings.command
        epilog = f"Example: autoscale {name} {self.example}" if self.example else None
        group.command(name, epilog=epilog)(
            command(
                self.settings,
                self.work,
                run=self.run,
                run_help=self.run_help,
                has_json=self.has_json,
            )
        )


#: All commands, in the order in which the help lists them.
COMMANDS = (
    Command(
        settings=MakeOptions,
        work=make_command,
        run="runs/make",
        example="photos --limit macs=30M --hours 1 --run runs/photos",
    ),
    Command(
        settings=SearchSettings,
        work=search_command,
        run=DEFAULT_RUN,
        example="--data photos --resolution 96 --trials 30 --run runs/photos",
    ),
    Command(
        settings=CheckSettings,
        work=check_command,
        run=DEFAULT_RUN,
        example="--run runs/photos --networks 10",
    ),
    Command(settings=SpacesCommand, work=spaces_command),
    Command(settings=BoardsCommand, work=boards_command, example="--board nano-33-ble-sense"),
    Command(
        settings=GridOptions,
        work=grid_command,
        run=DEFAULT_RUN,
        example="--run runs/photos --flops-budget 2x --max-candidates 8",
    ),
    Command(
        settings=FamilySettings,
        work=family_command,
        run=DEFAULT_RUN,
        example="--run runs/photos --budgets 20M,40M,80M",
    ),
    Command(
        settings=CalibrateCommand,
        work=calibrate_command,
        run=DEFAULT_RUN,
        run_help="Run directory of a search, finished or not.",
        example="--run runs/photos",
    ),
    Command(settings=CountCommand, work=count_command, example="efficientnet-b4 --per-stage"),
    Command(
        settings=CompareCommand,
        work=compare_command,
        example="efficientnet resnet --plot sizes.svg",
    ),
    Command(
        settings=TrainSettings,
        work=train_command,
        run="runs/train",
        run_help="Run directory; weights and metrics go to its folder train.",
        example="runs/photos/family/phi-2.yaml --data photos",
    ),
    Command(
        settings=TrainFamilySettings,
        work=train_family_command,
        run=DEFAULT_RUN,
        run_help="Run directory with a family; weights and metrics go to its folder nested.",
        example="--run runs/photos",
    ),
    Command(
        settings=CutSettings,
        work=cut_command,
        run=DEFAULT_RUN,
        run_help="Run directory in which train-family has trained.",
        example="--run runs/photos --limit macs=12M",
    ),
    Command(settings=WeightsCommand, work=weights_command),
    Command(
        settings=TryWeightsSettings,
        work=try_weights_command,
        run=DEFAULT_RUN,
        example="efficientnet-lite0 --data photos --budgets 10M,30M --run runs/photos",
    ),
    Command(
        settings=EvaluateCommand,
        work=evaluate_command,
        example="runs/phi-2/train/best.safetensors --data photos",
    ),
    Command(
        settings=PredictCommand,
        work=predict_command,
        example="new/*.jpg --model runs/phi-2/train/best.safetensors",
    ),
    Command(settings=ExportCommand, work=export_command, example="best.safetensors out --to onnx"),
    Command(
        settings=QuantizeCommand,
        work=quantize_command,
        example="runs/phi-2/train/best.safetensors out --data photos",
    ),
    Command(
        settings=LatencyCommand,
        work=latency_command,
        example="efficientnet-b0 resnet-50 --clock cpu",
    ),
    Command(settings=StatusCommand, work=status_command, example="runs/photos"),
    Command(
        settings=DoctorCommand,
        work=doctor_command,
        run=DEFAULT_RUN,
        run_help="Where a run would be written; nothing is written.",
        example="--data photos --run runs/photos",
    ),
    Command(
        settings=ReportCommand,
        work=report_command,
        run=DEFAULT_RUN,
        run_help="Run directory; the page tells what its steps have left.",
        example="--run runs/photos --trained runs/phi-2",
    ),
    Command(settings=DemoSettings, work=demo_command, run="runs/demo", has_json=False),
)
for _one in COMMANDS:
    _one.add_to(app)


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
