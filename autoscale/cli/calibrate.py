"""The command that learns from a search: `autoscale calibrate-w`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def calibrate_command(
    run: Annotated[Path, typer.Option(help="Run directory of a search, finished or not.")] = Path(
        "runs/default"
    ),
    min_flops: Annotated[
        str | None, typer.Option(help="Look only at networks that cost at least so much, as 5M.")
    ] = None,
    max_flops: Annotated[
        str | None, typer.Option(help="Look only at networks that cost at most so much.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """What does a doubling of FLOPs buy on your images? The exponent w that follows.

    The papers' -0.07 says 5 % of accuracy, seen on ImageNet. Use the answer with search-baseline
    --objective soft --w.
    """
    from autoscale.cli.terminal import CONVENTION, explain, say, show_json
    from autoscale.design.budget import parse_count
    from autoscale.jobs.search.calibrate import calibrate_w

    found = calibrate_w(
        run,
        min_macs=parse_count(min_flops) if min_flops is not None else None,
        max_macs=parse_count(max_flops) if max_flops is not None else None,
    )
    if as_json:
        show_json({"convention": CONVENTION, **found.to_dict()})
        return
    fitted = found.tradeoff
    say(
        f"A doubling of multiply-adds buys {fitted.gain:+.1%} of accuracy among the good ones of "
        f"{fitted.networks} networks: w = {fitted.w:.3f}, {fitted.confidence:.0%} interval "
        f"{fitted.low:.3f} to {fitted.high:.3f}."
    )
    if fitted.cheap is not None and fitted.expensive is not None:
        say(
            f"Cheaper half {fitted.cheap:.3f}, more expensive half {fitted.expensive:.3f}: one "
            "exponent describes the data only as far as these agree."
        )
    say(f"{found.verdict}.")
    say(f"The papers' w would choose {_named(found.papers)}.")
    say(f"The fitted w would choose {_named(found.fitted)}.")
    if found.low.trial != found.high.trial:
        say(f"Within the interval: {_named(found.low)} to {_named(found.high)}.")
    explain(CONVENTION)


def _named(choice: Any) -> str:
    return (
        f"trial {choice.trial} (w {choice.w:.3f}): accuracy {choice.accuracy:.4f}, "
        f"{choice.macs:,} multiply-adds"
    )
