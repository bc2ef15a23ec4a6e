"""The commands on weights: `autoscale weights` lists them, `try-weights` says if they help."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.settings.command import Settings

if TYPE_CHECKING:
    from autoscale.inspection.weights import WeightsHere
    from autoscale.jobs.starts.result import WeightsTried

# Jobs are imported where they are used: `autoscale --help` must not wait for torch.


@dataclass(frozen=True, kw_only=True)
class WeightsCommand(Settings):
    """Nothing to choose."""

    command: ClassVar[str] = "weights"


def weights_command(settings: WeightsCommand, *, as_json: bool) -> None:
    """List published weights on this machine, as --weights takes them, and what could be had.

    Looked through are installed packages, the cache of the Hugging Face hub (HF_HUB_CACHE, HF_HOME)
    and that of torch.hub (TORCH_HOME). A network is told from names and shapes.
    """
    from autoscale.cli.terminal import show_json
    from autoscale.inspection.weights import weights_here

    found = weights_here()
    if as_json:
        show_json(
            {
                "weights": [one.to_dict() for one in found.held],
                "missing": [{"source": m.source, "command": m.command} for m in found.missing],
                "looked": [str(folder) for folder in found.looked],
            }
        )
        return
    _show_weights(found)


def _show_weights(found: WeightsHere) -> None:
    from autoscale.cli.terminal import say, show_table

    rows = [
        {
            "weights": one.source,
            "network": one.network or "not known",
            "names": one.names or "-",
            "MB": f"{one.bytes / 1e6:.1f}",
            "licence": one.licence or "not stated",
        }
        for one in found.held
    ]
    if rows:
        show_table(rows, title="Weights here", columns=tuple(rows[0]), spare=("names",))
    else:
        say("No published weights are here.")
    for one in found.held:
        if one.problem:
            say(f"{one.source}: {one.problem}")
        elif one.source != str(one.path):
            say(f"{one.source}: {one.path}")
    for missing in found.missing:
        if missing.command:
            say(f"Not here: {missing.source}; {missing.command}")
        else:
            say(f"Fetched when it is named, where there is a network: {missing.source}")
    if rows:
        source = shlex.quote(rows[0]["weights"])
        say(
            f"Do they help on your images? autoscale try-weights {source} --data photos "
            "--budgets 30M"
        )
    say(f"Looked through: installed packages, {', '.join(map(str, found.looked))}")


def try_weights_command(settings: TryWeightsSettings, *, run: Path, as_json: bool) -> None:
    """Do weights help on your images? Short trainings with them and without, side by side.

    Of each network a few pairs are trained for equal CPU-seconds. The advice says with a 95 %
    interval whether to use the weights, to begin from scratch, or that it makes no difference which
    so few trainings can show. The same command goes on where it was interrupted.
    """
    from autoscale.cli.terminal import working
    from autoscale.jobs.starts.job import try_weights

    with working() as listener:
        found = try_weights(run, settings, listener=listener)
    _show_tried(found, as_json)


def _show_tried(found: WeightsTried, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, say, show_json, show_table

    if as_json:
        show_json({"convention": CONVENTION, **found.to_dict()})
        return
    table = found.table
    columns = ("network", "pixels", "macs", "start", "epochs", "rate", "accuracy", "cpu_seconds")
    show_table(
        table,
        title=f"Networks with weights of {found.source} and without",
        columns=columns,
        spare=("rate", "pixels", "network"),
    )
    for sentence in found.sentences:
        say(f"{sentence[0].upper()}{sentence[1:]}.")
    explain(
        "accuracy: on validation images, mean over pairs; the interval covers other seeds and "
        "other images, not longer trainings"
    )
    explain(CONVENTION)
