"""The commands that list: `autoscale spaces` what ships, `weights` what is on this machine."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from autoscale.settings.command import Settings

if TYPE_CHECKING:
    from autoscale.inspection.weights import WeightsHere

# They are quick, so that nothing of a search or a training is imported here.


@dataclass(frozen=True, kw_only=True)
class SpacesCommand(Settings):
    """Nothing to choose."""

    command: ClassVar[str] = "spaces"


def spaces_command(settings: SpacesCommand, *, as_json: bool) -> None:
    """List the search spaces that ship with autoscale."""
    from autoscale.cli.terminal import CONVENTION, explain, show_json, show_table
    from autoscale.jobs.search.spaces import space_rows

    rows = space_rows()
    if as_json:
        show_json({"convention": CONVENTION, "spaces": rows})
        return
    show_table(
        rows,
        title="Search spaces",
        columns=tuple(rows[0]),
        spare=("resolution", "macs_least", "macs_most"),
    )
    explain(CONVENTION)


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
