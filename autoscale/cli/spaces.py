"""The command that lists: `autoscale spaces`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from autoscale.settings import Settings


@dataclass(frozen=True, kw_only=True)
class SpacesCommand(Settings):
    """Nothing to choose."""

    command: ClassVar[str] = "spaces"


def spaces_command(settings: SpacesCommand, *, as_json: bool) -> None:
    """List the search spaces that ship with autoscale."""
    from autoscale.cli.terminal import CONVENTION, explain, records, show_json, show_table
    from autoscale.jobs.search.spaces import space_table

    table = space_table()
    if as_json:
        show_json({"convention": CONVENTION, "spaces": records(table)})
        return
    show_table(
        table,
        title="Search spaces",
        columns=tuple(table.columns),
        spare=("resolution", "macs_least", "macs_most"),
    )
    explain(CONVENTION)
