"""The command that learns from a search: `autoscale calibrate-w`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from autoscale.jobs.search.settings import SearchSettings
from autoscale.settings import Settings, again


@dataclass(frozen=True, kw_only=True)
class CalibrateCommand(Settings):
    """Which networks of a search are looked at."""

    command: ClassVar[str] = "calibrate-w"

    min_macs: int | None = again(
        SearchSettings,
        "max_macs",
        flag="--min-flops",
        help="Look only at networks that cost at least so much, as 5M.",
    )
    max_macs: int | None = again(
        SearchSettings, "max_macs", help="Look only at networks that cost at most so much."
    )


def calibrate_command(settings: CalibrateCommand, *, run: Path, as_json: bool) -> None:
    """What does a doubling of cost buy on your images? The exponent w that follows.

    The cost is what the search counts: FLOPs, unless it was told another with --cost.

    The papers' -0.07 says 5 % of accuracy, seen on ImageNet. Use the answer with search-baseline
    --objective soft --w.
    """
    from autoscale.cli.terminal import CONVENTION, explain, say, show_json
    from autoscale.jobs.search import calibrate

    found = calibrate.calibrate_w(run, min_macs=settings.min_macs, max_macs=settings.max_macs)
    if as_json:
        show_json({"convention": CONVENTION, **found.to_dict()})
        return
    fitted = found.tradeoff
    say(
        f"A doubling of {found.noun} buys {fitted.gain:+.1%} of accuracy among the good ones of "
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
    return f"trial {choice.trial} (w {choice.w:.3f}): accuracy {choice.accuracy:.4f}, {choice.cost}"
