"""The commands that scale: `autoscale grid` and `autoscale family`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoscale.cli.completion import networks
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
from autoscale.errors import InvalidSetting

if TYPE_CHECKING:
    from autoscale.jobs.family import Family
    from autoscale.jobs.grid.plan import Plan
    from autoscale.jobs.grid.result import GridResult

# Workflows are imported where they are used: `autoscale --help` must not wait for torch.

Run = Annotated[Path, typer.Option(help="Run directory; every step finds the earlier ones in it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Baseline = Annotated[
    str | None,
    typer.Option(
        help="Scale this instead of the run's own baseline: a published network "
        "(efficientnet-b0, resnet-18) or a design's YAML file.",
        autocompletion=networks,
        rich_help_panel="Base",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Scale a model of your own: package.module:build, a function of depth and width "
        "(multipliers) and resolution (pixels), and of num_classes if it takes that, that gives an "
        "nn.Module. Costs are traced.",
        rich_help_panel="Base",
    ),
]
Resolution = Annotated[
    int | None,
    typer.Option(
        help="Pixels per side of that base. \\[default: its own; 224 for a model]",
        rich_help_panel="Base",
    ),
]
Rounding = Annotated[
    str | None,
    typer.Option(
        help="How multipliers become whole blocks, channels and pixels: tf, nearest, lite, v2, "
        "mobilenet-v2, tinynet or int; behind it ',divisor=4' and ',fixed-ends' (stem and head "
        "keep their width). \\[default: the base's family's own, else tf]",
        rich_help_panel="Base",
    ),
]
DEFAULT_RUN = Path("runs/default")


def grid_command(
    run: Run = DEFAULT_RUN,
    flops_budget: Annotated[
        str | None,
        typer.Option(help="2x the base, 0.5x, or multiply-adds such as 800M. \\[default: 2x]"),
    ] = None,
    params_budget: Annotated[
        str | None, typer.Option(help="Instead: parameters, 2x or 5M.")
    ] = None,
    activations_budget: Annotated[
        str | None, typer.Option(help="Instead: outputs of all convolutions, 2x or 20M.")
    ] = None,
    memory_budget: Annotated[
        str | None,
        typer.Option(
            help="Instead: bytes of the most activations alive at once, one image, float32; 2x or "
            "10M."
        ),
    ] = None,
    latency_budget: Annotated[
        str | None,
        typer.Option(
            help="Instead: milliseconds of one image on --device with --threads, measured; 2x or "
            "12ms."
        ),
    ] = None,
    alpha: Annotated[
        str | None,
        typer.Option(help="Depth: a range or values 1,1.2. \\[default: 1..2, or 0.5..1]"),
    ] = None,
    beta: Annotated[
        str | None, typer.Option(help="Width. \\[default: 1..1.5, or 0.5..1 below 1x]")
    ] = None,
    gamma: Annotated[
        str | None, typer.Option(help="Resolution. \\[default: 1..1.5, or 0.5..1 below 1x]")
    ] = None,
    step: Annotated[float, typer.Option(help="Step of the ranges.")] = 0.05,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest distance of the counted cost to the budget; where fewer than three "
            "networks keep it, the nearest others race too, and it is said how far they are. "
            "\\[default: 0.05, or 0.01 with --solve]"
        ),
    ] = None,
    solve: Annotated[
        bool, typer.Option("--solve", help="Move each point until it meets the budget.")
    ] = False,
    move: Annotated[
        str | None,
        typer.Option(
            help="What --solve moves: resolution, width or depth, or several, the next where the "
            "one before is too coarse. \\[default: resolution]"
        ),
    ] = None,
    max_candidates: Annotated[
        int | None, typer.Option(help="Race at most so many, spread over the grid.")
    ] = None,
    rivals: Annotated[
        bool,
        typer.Option(
            help="Race depth only, width only, resolution only, fast scaling (dWr) and the paper's "
            "coefficients too, at the same counted cost."
        ),
    ] = True,
    seeds: Annotated[int, typer.Option(help="Trainings of one candidate at most.")] = 3,
    trainings: Annotated[
        int | None,
        typer.Option(help="Trainings in all at most. \\[default: 40 % of all seeds of all]"),
    ] = None,
    race: Annotated[
        bool, typer.Option(help="Or train every candidate with every seed (--no-race).")
    ] = True,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show candidates, time and precision; train nothing.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the race on the surface of equal cost into this .svg, .html or .png file."
        ),
    ] = None,
    baseline: Baseline = None,
    model: Model = None,
    resolution: Resolution = None,
    rounding: Rounding = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Images for a base of your own (as search-baseline), or where the search's images "
            "lie now."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe, for a base of your own. \\[default: proxy]", rich_help_panel="Base"
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of each training, likewise.", rich_help_panel="Base"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Training images at most, likewise.", rich_help_panel="Base"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of splits and trainings, likewise. \\[default: 0]", rich_help_panel="Base"
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse unreadable images, likewise.", rich_help_panel="Base"
        ),
    ] = False,
    white_level: Annotated[
        int | None,
        typer.Option(
            help="White of pictures of 16 bits, likewise. \\[default: 65535]",
            rich_help_panel="Base",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or a CUDA device such as cuda:0.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of one training.")] = 1,
    workers: Workers = 1,
    trial_timeout: TrialTimeout = None,
    retries: Retries = 1,
    engine: Engine = "local",
    address: Address = None,
    cpus_per_trial: Cpus = 1.0,
    gpus_per_trial: Gpus = 0.0,
    as_json: Json = False,
) -> None:
    """Find how depth, width and resolution should grow, or shrink, together within a budget."""
    from autoscale.cli.terminal import working
    from autoscale.jobs.grid.candidates import GridSettings
    from autoscale.jobs.grid.job import grid_search
    from autoscale.jobs.grid.plan import Plan, plan_grid
    from autoscale.jobs.grid.scaling_base import ImageSettings, ScalingBase
    from autoscale.report.writing import draw_race

    measure, budget = _one_budget(
        macs=flops_budget,
        params=params_budget,
        activations=activations_budget,
        memory=memory_budget,
        latency=latency_budget,
    )
    if plot is not None and plan:
        raise InvalidSetting("a plan trains nothing that could be drawn; leave --plot out")
    if move is not None and not solve:
        raise InvalidSetting("--move says what --solve moves; give --solve with it")
    with working() as listener:
        settings = GridSettings(
            budget=budget,
            measure=measure,
            alpha=alpha,
            beta=beta,
            gamma=gamma,
            step=step,
            solve=(move or "resolution") if solve else "",
            tolerance=tolerance,
            max_candidates=max_candidates,
            rivals=rivals,
            seeds=seeds,
            trainings=trainings,
            race=race,
        )
        base = ScalingBase(baseline=baseline, model=model, resolution=resolution, rounding=rounding)
        images = ImageSettings(
            data=data,
            recipe=recipe,
            epochs=epochs,
            limit=limit,
            seed=seed,
            strict=strict,
            white_level=white_level,
        )
        staff = staff_of(
            workers=workers,
            retries=retries,
            trial_timeout=trial_timeout,
            engine=engine,
            address=address,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
        )
        work = plan_grid if plan else grid_search
        found = work(
            run,
            settings,
            base=base,
            images=images,
            device=device,
            threads=threads,
            staff=staff,
            listener=listener,
        )
    if isinstance(found, Plan):
        _show_plan(found, as_json)
        return
    if plot is not None:
        draw_race(found, plot)
    _show_grid(found, run, as_json)


def family_command(
    run: Run = DEFAULT_RUN,
    phi: Annotated[
        str | None, typer.Option(help="Sizes: 0..7, -2..3 or 0,0.5,1; 0 is the base.")
    ] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Most that each member may cost: 20M,40M or 0.5x,2x,4x.")
    ] = None,
    measure: Annotated[
        str, typer.Option(help="Of the budgets: macs, params, activations or memory (bytes).")
    ] = "macs",
    coefficients: Annotated[
        str | None,
        typer.Option(help="Alpha, beta, gamma to use instead of a grid's, such as 1.2,1.1,1.15."),
    ] = None,
    baseline: Baseline = None,
    model: Model = None,
    resolution: Resolution = None,
    rounding: Rounding = None,
    classes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Classes of that base. \\[default: its own]", rich_help_panel="Base"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the family: the base scaled to sizes or budgets, one YAML file a member."""
    from autoscale.cli.terminal import Live
    from autoscale.jobs.family import parse_coefficients, write_family
    from autoscale.jobs.grid.scaling_base import ScalingBase

    found = write_family(
        run,
        phi=phi,
        budgets=budgets,
        measure=measure,
        base=ScalingBase(baseline=baseline, model=model, resolution=resolution, rounding=rounding),
        coefficients=parse_coefficients(coefficients) if coefficients is not None else None,
        num_classes=classes,
        listener=Live(),
    )
    _show_family(found, run, as_json)


def _one_budget(**budgets: str | None) -> tuple[str, str]:
    """The measure and the text of the one budget that was given."""
    given = {measure: text for measure, text in budgets.items() if text is not None}
    if len(given) > 1:
        raise InvalidSetting(f"give one budget, not {len(given)} ({', '.join(given)})")
    return next(iter(given.items())) if given else ("macs", "2x")


_NETWORK = ("alpha", "beta", "gamma", "nominal", "measured", "distance", "depth", "width",
            "resolution", "blocks", "channels", "pixels", "macs", "params")  # fmt: skip
EFFECTIVE = "depth, width, resolution: what the multipliers became after rounding"


def _show_plan(planned: "Plan", as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table
    from autoscale.listener import duration

    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "trainings": planned.trainings,
                "all_trainings": planned.all_trainings,
                "seconds": planned.seconds,
                "memory": planned.memory,
                "candidates": records(planned.table),
                "precision": records(planned.precision),
                "rounding": records(planned.rounding) if planned.rounding is not None else None,
            }
        )
        return
    columns = (*_NETWORK, "points", "moved", "rules")
    show_table(
        planned.table,
        title="Candidates",
        columns=columns,
        spare=(
            "nominal",
            "depth",
            "width",
            "resolution",
            "points",
            "params",
            "moved",
            "distance",
            "macs",
        ),
    )
    if planned.rounding is not None:
        show_table(
            planned.rounding,
            title="The same grid under other roundings",
            columns=tuple(planned.rounding.columns),
            spare=("kept", "nominal", "median_growth"),
        )
    show_table(
        planned.precision,
        title="What more or fewer seeds would tell (in standard deviations of one training)",
        columns=tuple(planned.precision.columns),
    )
    time = f", about {duration(planned.seconds)}" if planned.seconds is not None else ""
    if planned.memory is not None:
        time += f"; the dearest needs about {planned.memory / 2**30:.2g} GiB"
    say(
        f"At most {planned.trainings} trainings of {planned.all_trainings}{time}; "
        "nothing was trained."
    )
    explain(CONVENTION)
    explain(EFFECTIVE)


def _show_grid(found: "GridResult", run: Path, as_json: bool) -> None:
    from autoscale.cli.terminal import (
        CONVENTION,
        explain,
        is_brief,
        records,
        say,
        show_json,
        show_table,
    )

    point = found.coefficients
    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "coefficients": {"alpha": point.alpha, "beta": point.beta, "gamma": point.gamma},
                "verdict": found.sentence,
                "seed_noise": found.seed_noise,
                "trainings": len(found.observations),
                "candidates": records(found.table),
                "rivals": records(found.rival_table),
            }
        )
        return
    columns = ("alpha", "beta", "gamma", "nominal", "measured", "distance", "depth", "width",
               "resolution", "pixels", "macs", "rules", "seeds", "accuracy", "estimate", "low",
               "high")  # fmt: skip
    shown = show_table(
        found.table,
        title="Candidates, best estimate first",
        columns=columns,
        spare=("nominal", "depth", "width", "resolution", "macs", "accuracy", "distance", "pixels"),
    )
    if len(found.rival_table) and not is_brief():
        show_table(
            found.rival_table,
            title="The pick's lead over simpler ways of growing, at equal cost",
            columns=("rule", "alpha", "beta", "gamma", "growth", "accuracy", "seeds", "lead",
                     "low", "high"),
            spare=("seeds", "growth"),
        )  # fmt: skip
    say(
        f"Picked alpha {point.alpha:g}, beta {point.beta:g}, gamma {point.gamma:.4g}: nominal "
        f"{point.nominal:.3f}x, measured {found.best.measured:.3f}x. {found.sentence} "
        f"-> {run}"
    )
    explain("estimate, low, high: what all trainings together suggest, its interval at 90 %")
    if "macs" in shown:
        explain(CONVENTION)
    if "depth" in shown:
        explain(EFFECTIVE)


def _show_family(found: "Family", run: Path, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table

    if as_json:
        show_json(
            {"convention": CONVENTION, "members": records(found.table), "stalls": found.stalls}
        )
        return
    columns = ("name", "phi", "depth", "width", "resolution", "blocks", "pixels", "macs", "growth",
               "params", "dropout", "drop_path")  # fmt: skip
    show_table(
        found.table,
        title="Family, smallest first",
        columns=columns,
        spare=("dropout", "drop_path", "resolution", "blocks", "phi"),
    )
    say(f"One YAML file a member -> {run / 'family'}")
    explain(CONVENTION)
