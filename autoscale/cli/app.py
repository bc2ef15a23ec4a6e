"""Arguments -> one workflow -> a printed answer."""

import gc
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, get_type_hints

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from autoscale.cli.options import RUN, Cache, Once, Version, command, require_once
from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.settings.command import Settings

# A command is imported when it is typed, and a job where the command begins it: the list of
# commands waits for no command, and a command's help for no job.


class _Commands(TyperGroup):
    """The commands as the help lists them; the one that is typed is found with all its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        require_once(self, ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed if name is None else _BY_NAME[name].whole, rest


app = typer.Typer(
    cls=_Commands,
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
    """A command: what its help says of it, and where the function is that does its work."""

    name: str
    summary: str  # the first line of its help, as the docstring of its work begins
    home: str  # module:function in `autoscale.cli`
    example: str = ""  # without "autoscale" and the command
    run: str = ""  # the default run directory of one that has such
    run_help: str = RUN
    has_json: bool = True

    @cached_property
    def work(self) -> Callable[..., Any]:
        """What it does with its settings; importing it takes a while."""
        module, _, name = self.home.partition(":")
        work: Callable[..., Any] = getattr(import_module(f"autoscale.cli.{module}"), name)
        return work

    @cached_property
    def settings(self) -> type[Settings]:
        """The class of its settings."""
        kind: type[Settings] = get_type_hints(self.work)["settings"]
        return kind

    @cached_property
    def whole(self) -> Any:
        """typer's command, with all its options."""
        epilog = f"Example: autoscale {self.name} {self.example}" if self.example else None
        call = command(
            self.settings,
            self.work,
            run=self.run,
            run_help=self.run_help,
            has_json=self.has_json,
        )
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(self.name, cls=Once, epilog=epilog)(call)
        return typer.main.get_command(alone)


#: All commands, in the order in which the help lists them.
COMMANDS = (
    Command(
        name="make",
        summary="Make one trained network of a folder of images: within limits, within a time.",
        home="pipeline:make_command",
        run="runs/make",
        example="photos --limit macs=30M --hours 1 --run runs/photos",
    ),
    Command(
        name="search-baseline",
        summary="Search a small baseline network on your images.",
        home="search:search_command",
        run=DEFAULT_RUN,
        example="--data photos --resolution 96 --trials 30 --run runs/photos",
    ),
    Command(
        name="check-baseline",
        summary="Is the baseline better than random networks of its cost, on held-out images?",
        home="search:check_command",
        run=DEFAULT_RUN,
        example="--run runs/photos --networks 10",
    ),
    Command(
        name="spaces",
        summary="List the search spaces that ship with autoscale.",
        home="listing:spaces_command",
    ),
    Command(
        name="boards",
        summary="List boards as --board takes them: their flash and RAM, and what the "
        "firmware leaves of them.",
        home="devices:boards_command",
        example="--board nano-33-ble-sense",
    ),
    Command(
        name="grid",
        summary="Find how depth, width and resolution should grow, or shrink, together "
        "within a budget.",
        home="scaling:grid_command",
        run=DEFAULT_RUN,
        example="--run runs/photos --flops-budget 2x --max-candidates 8",
    ),
    Command(
        name="family",
        summary="Write the family: the base scaled to sizes or budgets, one YAML file a member.",
        home="scaling:family_command",
        run=DEFAULT_RUN,
        example="--run runs/photos --budgets 20M,40M,80M",
    ),
    Command(
        name="advise",
        summary="What would more images, more epochs, a larger network or more pixels buy?",
        home="advise:advise_command",
        run=DEFAULT_RUN,
        run_help="Run directory of a search, or of a grid around a named design.",
        example="--run runs/photos --images 1000 --plan",
    ),
    Command(
        name="calibrate-w",
        summary="What does a doubling of cost buy on your images? The exponent w that follows.",
        home="search:calibrate_command",
        run=DEFAULT_RUN,
        run_help="Run directory of a search, finished or not.",
        example="--run runs/photos",
    ),
    Command(
        name="count",
        summary="Count what one image costs in a network, exactly.",
        home="counting:count_command",
        example="efficientnet-b4 --per-stage",
    ),
    Command(
        name="compare",
        summary="Put designs and families side by side, with published accuracies.",
        home="counting:compare_command",
        example="efficientnet resnet --plot sizes.svg",
    ),
    Command(
        name="train",
        summary="Train a network in full; the same command continues where it was interrupted.",
        home="train:train_command",
        run="runs/train",
        run_help="Run directory; weights and metrics go to its folder train.",
        example="runs/photos/family/phi-2.yaml --data photos",
    ),
    Command(
        name="train-family",
        summary="Train a family: in one set of weights, or each member out of the one before.",
        home="train:train_family_command",
        run=DEFAULT_RUN,
        run_help="Run directory with a family; weights and metrics go to its folder nested, with "
        "--grow to grown.",
        example="--run runs/photos",
    ),
    Command(
        name="cut",
        summary="Write a network out of a family that train-family has trained: a member, or "
        "the largest design between members that keeps a limit.",
        home="train:cut_command",
        run=DEFAULT_RUN,
        run_help="Run directory in which train-family has trained.",
        example="--run runs/photos --limit macs=12M",
    ),
    Command(
        name="weights",
        summary="List published weights on this machine, as --weights takes them, and what "
        "could be had.",
        home="listing:weights_command",
    ),
    Command(
        name="try-weights",
        summary="Do weights help on your images? Short trainings with them and without, "
        "side by side.",
        home="train:try_weights_command",
        run=DEFAULT_RUN,
        example="efficientnet-lite0 --data photos --budgets 10M,30M --run runs/photos",
    ),
    Command(
        name="evaluate",
        summary="How good a trained network is on a data set: accuracy, by class, and what "
        "it mixes up.",
        home="predict:evaluate_command",
        example="runs/phi-2/train/best.safetensors --data photos",
    ),
    Command(
        name="calibrate",
        summary="Calibrate a network's probabilities, and choose when it says 'none of these'.",
        home="predict:calibrate_command",
        example="runs/phi-2/train/best.safetensors --data photos --reject 0.05",
    ),
    Command(
        name="predict",
        summary="What a trained network sees in images: classes with probabilities.",
        home="predict:predict_command",
        example="new/*.jpg --model runs/phi-2/train/best.safetensors",
    ),
    Command(
        name="export",
        summary="Write a network for other programs, each file checked against torch, and a "
        "model card.",
        home="export:export_command",
        example="best.safetensors out --to onnx",
    ),
    Command(
        name="quantize",
        summary="Write a network in int8 as a LiteRT file, and compare it with itself in float.",
        home="export:quantize_command",
        example="runs/phi-2/train/best.safetensors out --data photos",
    ),
    Command(
        name="latency",
        summary="Measure how long networks take on this device; several take turns.",
        home="devices:latency_command",
        example="efficientnet-b0 resnet-50 --clock cpu",
    ),
    Command(
        name="status",
        summary="Show where a run stands: what is done, at work, failed and why, left. "
        "Changes nothing.",
        home="status:status_command",
        example="runs/photos",
    ),
    Command(
        name="doctor",
        summary="Look for what would spoil hours of work, before they begin. Exit 1 if "
        "something would.",
        home="status:doctor_command",
        run=DEFAULT_RUN,
        run_help="Where a run would be written; nothing is written.",
        example="--data photos --run runs/photos",
    ),
    Command(
        name="report",
        summary="Write a run as one HTML page that works without a network.",
        home="status:report_command",
        run=DEFAULT_RUN,
        run_help="Run directory; the page tells what its steps have left.",
        example="--run runs/photos --trained runs/phi-2",
    ),
    Command(
        name="demo",
        summary="Search, check, grid and family on the built-in synthetic images, in about "
        "four minutes.",
        home="pipeline:demo_command",
        run="runs/demo",
        has_json=False,
    ),
)
_BY_NAME = {one.name: one for one in COMMANDS}
for _one in COMMANDS:
    app.command(_one.name, help=_one.summary)(lambda: None)


#: What is said in place of typer's words where a resolution is no whole number, as 96x128.
_RESOLUTION = "Invalid value for '--resolution'"
_SQUARES = (
    "--resolution takes one number, the height in pixels; the width goes by --aspect, as in "
    "--resolution 96 --aspect 4/3 for images of 96x128, height first"
)


#: How often Python looks for garbage: usually, and while a command imports what it needs. Modules
#: are none, and looking takes a seventh of the time until a search's first training begins.
_USUAL = gc.get_threshold()
_LOADING = (20_000, *_USUAL[1:])


def loaded() -> None:
    """Have Python look for garbage as usual: what a command needs is imported, its work begins."""
    gc.set_threshold(*_USUAL)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 is an answer, 1 a refusal, 2 wrong usage, 130 an interruption.
    """
    gc.set_threshold(*_LOADING)
    try:
        return _answered(arguments)
    finally:
        loaded()


def _answered(arguments: list[str] | None) -> int:
    """The exit status of a command line."""
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
        if told := problem.format_message():  # empty where the help was shown instead
            refuse(f"autoscale: {_SQUARES if _RESOLUTION in told else told} (try --help)")
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
    from autoscale.cli import terminal  # it loads rich, which few completions need

    terminal.refuse(text)


if __name__ == "__main__":
    sys.exit(main())
