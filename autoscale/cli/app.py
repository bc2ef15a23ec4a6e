"""Arguments -> one workflow -> a printed answer."""

import io
import os
import re
import shlex
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from autoscale.cli.calibrate import calibrate_command
from autoscale.cli.completion import recipes, samplers
from autoscale.cli.completion import spaces as space_names
from autoscale.cli.counting import compare_command, count_command
from autoscale.cli.export import export_command
from autoscale.cli.latency import latency_command
from autoscale.cli.predict import evaluate_command, predict_command
from autoscale.cli.report import report_command
from autoscale.cli.scaling import family_command, grid_command
from autoscale.cli.status import doctor_command, status_command
from autoscale.cli.train import train_command
from autoscale.cli.workers import (
    Address,
    Cpus,
    Engine,
    Gpus,
    Retries,
    TrialTimeout,
    Workers,
    staff_of,
)
from autoscale.errors import AutoscaleError, InvalidSetting

# Workflows are imported where they are used: `autoscale --help` must not wait for torch.

app = typer.Typer(
    name="autoscale",
    help="Search a small network on your images, find how to scale it, get a family of sizes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Run = Annotated[Path, typer.Option(help="Run directory; every step finds the earlier ones in it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Device = Annotated[str, typer.Option(help="cpu, or a CUDA device such as cuda:0.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads of one training. More than one pays on idle cores only.")
]
Kernels = Annotated[
    str,
    typer.Option(
        help="What computes trainings: native (compiled for this CPU), torch, none, or auto, "
        "the fastest there is. The later steps keep to it."
    ),
]
Moved = Annotated[
    str | None, typer.Option(help="Where the images lie now, if they were moved since the search.")
]
DEFAULT_RUN = Path("runs/default")


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


@app.command(
    epilog="Example: autoscale search-baseline --data photos --resolution 96 --trials 30 "
    "--run runs/photos"
)
def search_baseline(
    run: Run = DEFAULT_RUN,
    data: Annotated[
        str,
        typer.Option(
            help="'synthetic' (drawn in memory), a folder with one sub-folder per class, with or "
            "without train/validation/test, or Parquet in the Hugging Face image layout."
        ),
    ] = "synthetic",
    space: Annotated[
        str,
        typer.Option(
            help="A shipped space (autoscale spaces) or a YAML file.", autocompletion=space_names
        ),
    ] = "mbconv-small",
    trials: Annotated[int, typer.Option(help="Networks to train.")] = 20,
    sampler: Annotated[
        str,
        typer.Option(
            help="guided, evolution, controller, random, tpe, nsga2, or gp (needs scipy).",
            autocompletion=samplers,
        ),
    ] = "guided",
    objective: Annotated[
        str,
        typer.Option(
            help="hard: best accuracy up to the target. soft: accuracy * (cost/target)^w, the "
            "papers' reward. front: accuracy and cost apart."
        ),
    ] = "hard",
    cost: Annotated[
        str,
        typer.Option(
            help="What networks cost: macs (FLOPs, multiply-adds), or latency on this device, "
            "predicted from some that are timed."
        ),
    ] = "macs",
    target: Annotated[
        str | None,
        typer.Option(
            help="Cost to aim at, such as 5M (multiply-adds) or 12ms. \\[default: the median]"
        ),
    ] = None,
    w: Annotated[float, typer.Option(help="Exponent of the soft reward.")] = -0.07,
    max_flops: Annotated[
        str | None, typer.Option(help="Never train a design that costs more, such as 8M.")
    ] = None,
    confirm: Annotated[
        int, typer.Option(help="Train so many of the best with two more seeds; choose by the mean.")
    ] = 0,
    rungs: Annotated[
        str | None,
        typer.Option(help="Stop trainings that are left behind after so many epochs, as 1,2."),
    ] = None,
    caution: Annotated[
        float | None,
        typer.Option(
            help="How far behind, in standard deviations of what may still change. \\[default: 0.5]"
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels per side. \\[default: the space's]")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Training recipe: proxy, full, sgd or efficientnet.", autocompletion=recipes
        ),
    ] = "proxy",
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most so many training images.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse unreadable images instead of skipping them.")
    ] = False,
    white_level: Annotated[
        int,
        typer.Option(
            help="The number of a picture of 16 bits that is white: 1023 for 10 bits in them, 4095 "
            "for 12, 16383 for 14. The later steps keep to it."
        ),
    ] = 65535,
    seed: Annotated[int, typer.Option(help="Of proposals, splits and trainings.")] = 0,
    device: Device = "cpu",
    threads: Threads = 1,
    kernels: Kernels = "auto",
    workers: Workers = 1,
    trial_timeout: TrialTimeout = None,
    retries: Retries = 1,
    engine: Engine = "local",
    address: Address = None,
    cpus_per_trial: Cpus = 1.0,
    gpus_per_trial: Gpus = 0.0,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="AUTOSCALE_STORAGE",
            help="Copy the search into a PostgreSQL database as an Optuna study: "
            "postgresql://user@host/database (needs the extra postgresql; a password may be in "
            "PGPASSWORD).",
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write curves, and the choices of each finished trial, for TensorBoard beside "
            "trials.csv (needs the extra tensorboard).",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Search a small baseline network on your images.

    The same command continues an interrupted search; a larger --trials prolongs a finished one.
    """
    from autoscale.cli.terminal import working
    from autoscale.design.budget import parse_count
    from autoscale.design.measures.registry import kind_named
    from autoscale.jobs.search import job as baseline
    from autoscale.jobs.search.stopping import parse_epochs

    with working() as listener:
        found = baseline.search_baseline(
            run,
            data=data,
            space=space,
            trials=trials,
            sampler=sampler,
            objective=objective,
            cost_measure=cost,
            target=kind_named(cost).parse(target) if target is not None else None,
            w=w,
            max_macs=parse_count(max_flops) if max_flops is not None else None,
            confirm=confirm,
            rungs=parse_epochs(rungs) if rungs is not None else (),
            caution=caution,
            seed=seed,
            resolution=resolution,
            recipe=recipe,
            epochs=epochs,
            limit=limit,
            strict=strict,
            white_level=white_level,
            device=device,
            threads=threads,
            kernels=kernels,
            staff=staff_of(
                workers=workers,
                retries=retries,
                trial_timeout=trial_timeout,
                engine=engine,
                address=address,
                cpus_per_trial=cpus_per_trial,
                gpus_per_trial=gpus_per_trial,
            ),
            storage=storage,
            tensorboard=tensorboard,
            listener=listener,
        )
    _show_search(found, run, as_json)


@app.command(epilog="Example: autoscale check-baseline --run runs/photos --networks 10")
def check_baseline(
    run: Run = DEFAULT_RUN,
    networks: Annotated[int, typer.Option(help="Random networks to train.")] = 8,
    seeds: Annotated[int, typer.Option(help="New trainings of the baseline.")] = 3,
    data: Moved = None,
    device: Device = "cpu",
    threads: Threads = 1,
    workers: Workers = 1,
    trial_timeout: TrialTimeout = None,
    retries: Retries = 1,
    engine: Engine = "local",
    address: Address = None,
    cpus_per_trial: Cpus = 1.0,
    gpus_per_trial: Gpus = 0.0,
    as_json: Json = False,
) -> None:
    """Is the baseline better than random networks of its cost, on held-out images?"""
    from autoscale.cli.terminal import working
    from autoscale.jobs import check

    with working() as listener:
        found = check.check_baseline(
            run,
            networks=networks,
            seeds=seeds,
            data=data,
            device=device,
            threads=threads,
            staff=staff_of(
                workers=workers,
                retries=retries,
                trial_timeout=trial_timeout,
                engine=engine,
                address=address,
                cpus_per_trial=cpus_per_trial,
                gpus_per_trial=gpus_per_trial,
            ),
            listener=listener,
        )
    _show_check(found, as_json)


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
)(grid_command)
app.command("family", epilog="Example: autoscale family --run runs/photos --budgets 20M,40M,80M")(
    family_command
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


@app.command()
def demo(
    run: Run = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Of images, proposals and trainings.")] = 0,
    kernels: Kernels = "auto",
    threads: Threads = 1,
    workers: Workers = 2,
) -> None:
    """Search, check, grid and family on the built-in synthetic images, in about four minutes.

    The search and the grid train one network at a time, so that what they propose does not depend
    on which of several trainings ends first; the check trains --workers of them.
    """
    from autoscale.cli.terminal import brief, say

    with brief():
        for title, command in demo_commands(run, seed=seed, kernels=kernels):
            say(f"\n{title}\n{_typed(command)}")
            step = command.split()[0]
            options = "" if step == "family" else f" --threads {threads}"
            options += f" --workers {workers}" if step == "check-baseline" else ""
            status = app(shlex.split(command + options), standalone_mode=False)
            if status:  # interrupted: typer gives it back instead of raising
                raise typer.Exit(status)
    say(f"\nDone -> {run}. On your own images: the same commands, with --data.")


def _typed(command: str) -> str:
    """A command as a shell takes it, in lines of at most 80 columns, options with their values."""
    joined = re.sub(r"( --\S+) (?!--)", "\\1\0", f"$ autoscale {command}")
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


def _show_search(found: Any, run: Path, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table
    from autoscale.design.budget import several

    table = found.table
    score = found.trial.score
    accuracy = sum(found.accuracies) / len(found.accuracies)
    file = run / "search" / "baseline.yaml"
    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "baseline": {
                    "trial": found.trial.number,
                    "accuracy": accuracy,
                    "seeds": len(found.accuracies),
                    "macs": score.macs,
                    "params": score.params,
                },
                "target": found.objective.target,
                "file": str(file),
                "trials": records(table),
            }
        )
        return
    column = found.objective.measure.column
    front = table[table.on_front].sort_values(column)
    wanted = ("trial", "accuracy", "macs", "params", column, "seconds")
    columns = tuple(dict.fromkeys(wanted))
    show_table(front, title="Front: no other trial is as accurate and cheaper", columns=columns)
    failed = int((table.status == "failed").sum())
    say(
        several(len(table), "network")
        + (f" trained, {failed} failed. " if failed else " trained. ")
        + f"Baseline: trial {found.trial.number}, accuracy {accuracy:.4f} on validation images"
        + (f" (mean of {len(found.accuracies)} seeds)" if len(found.accuracies) > 1 else "")
        + f", {score.macs:,} multiply-adds, {score.params:,} parameters -> {file}"
    )
    explain(CONVENTION)


def _show_check(found: Any, as_json: bool) -> None:
    from autoscale.cli.terminal import say, show_json

    if as_json:
        show_json(found.to_dict())
        return
    mean = sum(found.baseline) / len(found.baseline)
    say(
        f"On {found.split} images: baseline {mean:.4f} at {found.baseline_macs:,} multiply-adds, "
        f"random networks {mean - found.margin:.4f} at {found.random_macs:,} on average. Margin "
        f"{found.margin:+.4f} +- {found.margin_error:.4f} (standard error); seed noise "
        f"{found.seed_noise:.4f}. Verdict: {found.verdict}."
    )


if __name__ == "__main__":
    sys.exit(main())
