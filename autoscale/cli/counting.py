"""The commands that count: `autoscale count` and `autoscale compare`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import typer

from autoscale.aspect import SQUARE, Aspect, ImageSize, written
from autoscale.design.amounts import several
from autoscale.jobs.groups.networks import BoardSettings
from autoscale.models.settings import (
    ConventionSettings,
    LatencySettings,
    published_names,
    published_names_and_families,
)
from autoscale.settings.option import again, begun, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale.devices.board import Board, Fit
    from autoscale.models.count import Count

MEMORY = "memory: bytes of the most activations alive at once, float32; weights not counted"
_COLUMNS = ("flops", "params", "activations", "memory")


@dataclass(frozen=True, kw_only=True)
class CountCommand(ConventionSettings):
    """Which network, and how."""

    command: ClassVar[str] = "count"

    network: str = option(
        help="A published network (efficientnet-b4), a design's YAML file, or "
        "package.module:name of an nn.Module or of a function that makes one.",
        argument=True,
        complete=begun(published_names),
        place=True,
    )
    resolution: int | None = again(LatencySettings, "resolution")
    aspect: Aspect | None = again(LatencySettings, "aspect")
    per_stage: bool = option(False, "One row for each part.")
    op_cost: tuple[str, ...] = option(
        (),
        "Multiply-adds of an operation that a traced module runs and autoscale does not "
        "know: aten::cumsum=0, or aten::cumsum=package.module:function of the shapes of its "
        "inputs and outputs. May be given several times.",
    )
    board: str | None = again(
        BoardSettings,
        "board",
        help="Say whether a design fits this board: a shipped one (autoscale boards) or a YAML "
        "file; exit 1 if it does not.",
    )
    check: bool = option(
        False,
        "Count with fvcore too and say, kind by kind, why the two differ; exit 1 if a "
        "difference has no known reason.",
    )


@dataclass(frozen=True, kw_only=True)
class CompareCommand(ConventionSettings):
    """Which networks, and how."""

    command: ClassVar[str] = "compare"

    names: tuple[str, ...] = option(
        help="Families (efficientnet, mobilenet-v2, ...), networks or files.",
        argument=True,
        complete=begun(published_names_and_families),
        place=True,
    )
    plot: Path | None = option(
        None,
        "Draw model size against accuracy into this .svg, .html or .png file.",
        place=True,
    )


def _pixels(size: ImageSize) -> str:
    if size.height == size.width:
        return f"{several(size.height, 'pixel')} per side"
    return f"{size} pixels, height first"


def count_command(settings: CountCommand, *, as_json: bool) -> None:
    """Count what one image costs in a network, exactly."""
    from autoscale.cli.terminal import show_json
    from autoscale.models import count
    from autoscale.models.op_costs import parse_handles

    found = count.count(
        settings.network,
        resolution=settings.resolution,
        aspect=settings.aspect,
        handles=parse_handles(settings.op_cost),
    )
    board = _board(settings)
    fits = () if board is None else found.fit(board)
    if as_json:
        show_json(_answer(settings, found, fits))
    else:
        _show_count(settings, found)
        if settings.check:
            _show_check(found)
        if board is not None:
            _show_board(settings, board, fits)
    explained = not settings.check or all(line.explained for line in found.check)
    if not (explained and all(fit.fits for fit in fits)):
        raise typer.Exit(1)


def _board(settings: CountCommand) -> Board | None:
    if settings.board is None:
        return None
    from autoscale.devices.boards import load_board

    return load_board(settings.board)


def _answer(settings: CountCommand, found: Count, fits: Sequence[Fit]) -> dict[str, Any]:
    """What machines are told."""
    convention = settings.convention
    answer: dict[str, Any] = {
        **found.row(convention),
        "convention": convention,
        "resolution": found.resolution,
        **({} if found.aspect == SQUARE else {"aspect": written(found.aspect)}),
        "traced": found.traced,
    }
    if convention == "fvcore" and found.fvcore:
        answer["left_out"] = dict(found.fvcore.left_out)
    if settings.per_stage:
        answer["parts"] = found.rows(convention)[:-1]
    if settings.check:
        answer["check"] = [asdict(line) for line in found.check]
    if settings.board is not None:
        answer["board"] = [
            {
                "cost": fit.limit.measure.name,
                "needs": fit.cost,
                "leaves": fit.limit.most,
                "fits": fit.fits,
            }
            for fit in fits
        ]
    return answer


def _show_count(settings: CountCommand, found: Count) -> None:
    from autoscale.cli.terminal import say, show_table

    convention = settings.convention
    rows = found.rows(convention)
    show_table(
        rows if settings.per_stage else rows[-1:],
        title=f"{settings.network}, one image of {_pixels(found.image_size)}",
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


def _show_check(found: Count) -> None:
    from autoscale.cli.terminal import say, show_table

    beside = found.check_table()
    show_table(beside, title="fvcore's count beside ours", columns=tuple(beside.columns))
    for line in found.check:
        if not line.explained:
            say(f"{line.what}: not explained: {line.reason}.")
        elif any(number != line.fvcore for number in line.ours.values()) and line.reason:
            say(f"{line.what}: {line.reason}.")


def _show_board(settings: CountCommand, board: Board, fits: Sequence[Fit]) -> None:
    from autoscale.cli.terminal import say

    for fit in fits:
        times = fit.cost / fit.limit.most
        over = f"{times:,.0f}" if times >= 100 else f"{times:.3g}"
        spare = "fits" if fit.fits else f"does not fit, {over} times that"
        say(
            f"{settings.board}: needs {fit.limit.measure.exactly(fit.cost)} of "
            f"{fit.limit.exactly.partition(' ')[0]}: {spare}."
        )
    if board.milliseconds is not None:
        timed = f"autoscale latency {settings.network} --runtime {board.runtime}"
        say(
            f"{settings.board}: its {board.milliseconds:g} ms are not checked, for nothing is "
            f"timed here; {timed} --dtype {board.dtype} times it."
        )


def compare_command(settings: CompareCommand, *, as_json: bool) -> None:
    """Put designs and families side by side, with published accuracies."""
    from autoscale.cli.terminal import records, say, show_json, show_table
    from autoscale.models import compare
    from autoscale.report.writing import draw_sizes

    convention, plot = settings.convention, settings.plot
    table = compare.compare(settings.names, convention=convention)
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
