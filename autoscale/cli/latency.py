"""The command that measures: `autoscale latency`."""

from typing import Annotated

import typer

from autoscale.cli.completion import networks as networks_begun

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def latency_command(
    networks: Annotated[
        list[str],
        typer.Argument(
            help="Published networks (efficientnet-b0), designs' YAML files, or "
            "package.module:name of an nn.Module or of a function that makes one.",
            autocompletion=networks_begun,
        ),
    ],
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels per side. \\[default: the design's own; 224 for a module]"
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Images of one pass.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    runtime: Annotated[
        str,
        typer.Option(
            help="eager: torch without a compiler. compiled: torch.compile, which takes minutes "
            "and needs a C++ compiler. onnxruntime: exported first (extra export)."
        ),
    ] = "eager",
    memory_format: Annotated[
        str | None,
        typer.Option(
            help="How maps lie in memory: channels-last, or channels-first as torch has them by "
            "default. EfficientNet-B0 on a CPU takes channels-last 0.7 to 0.9 of the time that it "
            "takes channels-first. \\[default: channels-last; "
            "channels-first with onnxruntime]"
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, or a CUDA device such as cuda:0.")] = "cpu",
    clock: Annotated[
        str,
        typer.Option(
            help="wall: what a user waits. cpu: processor time of one thread, which does not count "
            "waiting for a core that others hold."
        ),
    ] = "wall",
    fold: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Batch norms into convolutions before.")
    ] = True,
    repeats: Annotated[
        int | None,
        typer.Option(help="Timed passes of each. \\[default: until precise enough or out of time]"),
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Standard error / median at which it is precise enough.")
    ] = 0.01,
    seconds: Annotated[float, typer.Option(help="Most time for each network, warm-up apart.")] = 10,
    as_json: Json = False,
) -> None:
    """Measure how long networks take on this device; several take turns."""
    from autoscale.cli.terminal import records, say, show_json, show_table
    from autoscale.design.budget import several
    from autoscale.models.latency import time_networks

    found = time_networks(
        networks,
        resolution=resolution,
        batch=batch,
        threads=threads,
        runtime=runtime,
        memory_format=memory_format,
        dtype=dtype,
        device=device,
        clock=clock,
        fold=fold,
        repeats=repeats,
        precision=precision,
        seconds=seconds,
    )
    table = found.table
    if as_json:
        show_json({"networks": records(table)})
        return
    columns = ("network", "resolution", "median_ms", "low_ms", "high_ms", "standard_error_ms",
               "repeats", "images_per_second", "steady_ms", "ratio")  # fmt: skip
    show_table(table, title=f"Milliseconds for a batch of {batch}", columns=columns)
    one = next(iter(found.latencies.values()))
    norms = "batch norms folded" if one.folded else "batch norms as they are"
    threads_used = several(one.threads, "thread")
    say(
        f"{one.runtime}, {one.dtype}, {threads_used}, {norms}, {one.clock} clock, on "
        f"{one.device}: {one.hardware}. In memory maps lie {one.memory_format}."
    )
    say(
        "low_ms, high_ms: 10th and 90th percentile of the timed passes. steady_ms: with the "
        "machine's changes of pace taken out. ratio: of steady_ms to the first."
    )
    unsettled = [name for name, latency in found.latencies.items() if not latency.settled]
    if unsettled:
        say(
            f"The median is not known to {precision:.2g} of itself for {', '.join(unsettled)}: the "
            "machine is busy or the time was short; try --clock cpu or more --seconds."
        )
