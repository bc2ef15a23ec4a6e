"""The command that says whether weights help: `autoscale try-weights`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoscale.jobs.starts.settings import TryWeightsSettings

if TYPE_CHECKING:
    from autoscale.jobs.starts.result import WeightsTried

# Jobs are imported where they are used: `autoscale --help` must not wait for torch.


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
    _show(found, as_json)


def _show(found: WeightsTried, as_json: bool) -> None:
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
