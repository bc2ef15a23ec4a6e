"""The commands that search and judge a baseline, or learn from a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.settings.command import Settings
from autoscale.settings.option import again

if TYPE_CHECKING:
    from autoscale.jobs.check import Check
    from autoscale.jobs.reference.result import Reference
    from autoscale.jobs.search.result import Baseline

# Jobs are imported where they are used: `autoscale --help` must not wait for torch.


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


def search_command(settings: SearchSettings, *, run: Path, as_json: bool) -> None:
    """Search a small baseline network on your images.

    The same command continues an interrupted search; a larger --trials prolongs a finished one.
    """
    from autoscale.cli.terminal import working
    from autoscale.jobs.search import job

    with working() as listener:
        found = job.search_baseline(run, settings, listener=listener)
    _show_search(found, settings, run, as_json)


def check_command(settings: CheckSettings, *, run: Path, as_json: bool) -> None:
    """Is the baseline better than random networks of its cost, on held-out images?"""
    from autoscale.cli.terminal import working
    from autoscale.jobs import check

    with working() as listener:
        found = check.check_baseline(run, settings, listener=listener)
    _show_check(found, as_json)


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


def _show_search(found: Baseline, settings: SearchSettings, run: Path, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table
    from autoscale.design.amounts import several

    table = found.table
    score = found.trial.score
    assert score is not None, "a baseline is a finished trial"
    accuracy = sum(found.accuracies) / len(found.accuracies)
    judged, quality = sum(found.judged) / len(found.judged), found.objective.quality
    floats = found.accuracies_float
    as_trained = sum(floats) / len(floats) if floats else None
    file = run / "search" / "baseline.yaml"
    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "baseline": {
                    "trial": found.trial.number,
                    **({quality.column: judged} if found.qualities else {}),
                    "accuracy": accuracy,
                    **({} if as_trained is None else {"accuracy_float": as_trained}),
                    "seeds": len(found.accuracies),
                    "macs": score.macs,
                    "params": score.params,
                },
                "target": found.objective.target,
                "weights": settings.weights,
                "teacher": settings.teacher,
                **({} if (shared := found.shared) is None else {"shared_weights": asdict(shared)}),
                "file": str(file),
                "trials": records(table),
            }
        )
        return
    column = found.objective.measure.column
    front = table[table.on_front].sort_values(column)
    wanted = ("trial", quality.column, "accuracy", "accuracy_float", "macs", "params", column,
              "inherited", "seconds")  # fmt: skip
    columns = tuple(name for name in dict.fromkeys(wanted) if name in table)
    show_table(
        front,
        title=f"Front: no other trial is as {_good(found.qualities)} and cheaper",
        columns=columns,
    )
    failed = int((table.status == "failed").sum())
    say(
        several(len(table), "network")
        + (f" trained, {failed} failed. " if failed else " trained. ")
        + f"Baseline: trial {found.trial.number}, {quality.label} {judged:.4f} "
        + ("" if as_trained is None else f"in int8 ({as_trained:.4f} in float) ")
        + "on validation images"
        + (f" (mean of {len(found.accuracies)} seeds)" if len(found.accuracies) > 1 else "")
        + f", {score.macs:,} multiply-adds, {score.params:,} parameters -> {file}"
    )
    if settings.weights is not None and "inherited" in table:
        begun = int((table["inherited"] > 0).sum())
        say(
            f"{begun} of {several(len(table), 'network')} began with weights of "
            f"{settings.weights}; check-baseline and grid go on with them, and family and train "
            "take them with --weights."
            if begun
            else f"No network could begin with weights of {settings.weights}: none has blocks that "
            "can take them over; autoscale spaces says which spaces inherit."
        )
    if settings.teacher is not None:
        say(f"Networks learned from {settings.teacher}; check-baseline and grid go on with it.")
    if found.shared is not None:
        say(f"Shared weights agree with trainings: {found.shared.told}.")
    explain(CONVENTION)


def _good(qualities: Sequence[float]) -> str:
    return "good" if qualities else "accurate"


def _show_check(found: Check, as_json: bool) -> None:
    from autoscale.cli.terminal import say, show_json
    from autoscale.metrics.names import ACCURACY

    if as_json:
        show_json(found.to_dict())
        return
    mean = sum(found.baseline) / len(found.baseline)
    if floats := found.baseline_float:
        others = sum(found.random_float) / len(found.random_float)
        say(
            f"In float the baseline has {sum(floats) / len(floats):.4f}, random networks "
            f"{others:.4f}; what follows is in int8."
        )
    by = "" if found.quality == ACCURACY else f" by {found.quality.label}"
    say(
        f"On {found.split} images{by}: baseline {mean:.4f} at {found.baseline_macs:,} "
        f"multiply-adds, random networks {mean - found.margin:.4f} at {found.random_macs:,} on "
        f"average. Margin {found.margin:+.4f} +- {found.margin_error:.4f} (standard error); seed "
        f"noise {found.seed_noise:.4f}. Verdict: {found.verdict}."
    )
    show_references(found.references)


def show_references(references: Sequence[Reference]) -> None:
    """A table of published networks and a verdict of each; nothing where there are none."""
    from autoscale.cli.terminal import say, show_table
    from autoscale.jobs.reference.result import reference_table

    if not references:
        return
    table = reference_table(references)
    show_table(
        table,
        title=f"Published networks, and the lead of {references[0].own.name}",
        columns=tuple(table.columns),
        spare=("params", "pixels", "seeds", "macs_ratio", "epochs"),
    )
    for reference in references:
        verdict = reference.verdict
        say(f"{verdict[0].upper()}{verdict[1:]}.")


def _named(choice: Any) -> str:
    return f"trial {choice.trial} (w {choice.w:.3f}): accuracy {choice.accuracy:.4f}, {choice.cost}"
