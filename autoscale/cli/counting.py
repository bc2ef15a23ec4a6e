"""The commands that count: `autoscale count` and `autoscale compare`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscale.cli.completion import networks, networks_and_families

if TYPE_CHECKING:
    from autoscale.models.count import Count

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Convention = Annotated[
    str,
    typer.Option(
        help="What flops means. paper: multiply-adds of convolutions and linear layers. biases: "
        "and added biases. fvcore: what fvcore reports by default, which counts norms and global "
        "pooling too and leaves out what it does not know; --op-cost does not change it. "
        "two-flops: two for each multiply-add."
    ),
]

MEMORY = "memory: bytes of the most activations alive at once, float32; weights not counted"
_COLUMNS = ("flops", "params", "activations", "memory")


def count_command(
    network: Annotated[
        str,
        typer.Argument(
            help="A published network (efficientnet-b4), a design's YAML file, or "
            "package.module:name of an nn.Module or of a function that makes one.",
            autocompletion=networks,
        ),
    ],
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels per side. \\[default: the design's own; 224 for a module]"
        ),
    ] = None,
    convention: Convention = "paper",
    per_stage: Annotated[bool, typer.Option("--per-stage", help="One row for each part.")] = False,
    op_cost: Annotated[
        list[str] | None,
        typer.Option(
            help="Multiply-adds of an operation that a traced module runs and autoscale does not "
            "know: aten::cumsum=0, or aten::cumsum=package.module:function of the shapes of its "
            "inputs and outputs. May be given several times."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Count with fvcore too and say, kind by kind, why the two differ; exit 1 if a "
            "difference has no known reason.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Count what one image costs in a network, exactly."""
    from autoscale.cli.terminal import records, say, show_json, show_table
    from autoscale.models.count import count, parse_handles

    found = count(network, resolution=resolution, handles=parse_handles(op_cost or []))
    table = found.table(convention)
    if as_json:
        answer: dict[str, Any] = {
            **found.row(convention),
            "convention": convention,
            "resolution": found.resolution,
            "traced": found.traced,
        }
        if convention == "fvcore" and found.fvcore:
            answer["left_out"] = dict(found.fvcore.left_out)
        if per_stage:
            answer["parts"] = records(table[:-1])
        if check:
            answer["check"] = [asdict(line) for line in found.check]
        show_json(answer)
        _exit_unless_explained(found, check)
        return
    show_table(
        table if per_stage else table[-1:],
        title=f"{network}, one image of {found.resolution} pixels per side",
        columns=("part", *_COLUMNS),
    )
    total = found.row(convention)
    say(
        f"{total['flops']:,} flops ({convention}), {total['macs']:,} multiply-adds, "
        f"{total['params']:,} parameters" + (", traced." if found.traced else ", closed form.")
    )
    if convention == "fvcore" and found.fvcore and found.fvcore.left_out:
        calls = [f"{name} ({n} calls)" for name, n in found.fvcore.left_out.most_common()]
        say(f"fvcore leaves out of its flops: {', '.join(calls)}.")
    say(MEMORY)
    if check:
        beside = found.check_table()
        show_table(beside, title="fvcore's count beside ours", columns=tuple(beside.columns))
        for line in found.check:
            if not line.explained:
                say(f"{line.what}: not explained: {line.reason}.")
            elif any(number != line.fvcore for number in line.ours.values()) and line.reason:
                say(f"{line.what}: {line.reason}.")
        _exit_unless_explained(found, check)


def _exit_unless_explained(found: "Count", check: bool) -> None:
    if check and not all(line.explained for line in found.check):
        raise typer.Exit(1)


def compare_command(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Families (efficientnet, mobilenet-v2, ...), networks or files.",
            autocompletion=networks_and_families,
        ),
    ],
    convention: Convention = "paper",
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw model size against accuracy into this .svg, .html or .png file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put designs and families side by side, with published accuracies."""
    from autoscale.cli.terminal import records, say, show_json, show_table
    from autoscale.models.compare import compare
    from autoscale.report.writing import draw_sizes

    table = compare(names, convention=convention)
    if plot is not None:
        draw_sizes(table, plot)
    if as_json:
        show_json({"convention": convention, "networks": records(table)})
        return
    columns = ("network", "resolution", *_COLUMNS, "top1", "source")
    show_table(
        table,
        title="Side by side",
        columns=columns,
        spare=("source", "activations", "memory", "resolution"),
    )
    say(f"flops: counted as {convention}.")
    say(MEMORY)
    say("top1: percent on ImageNet as the source prints it; not measured here.")
    if plot is not None:
        say(f"Picture -> {plot}")
