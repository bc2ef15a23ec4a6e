"""The command that measures: `autoscale latency`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from autoscale.models.settings import LatencySettings, published_names
from autoscale.settings.option import begun, option


@dataclass(frozen=True, kw_only=True)
class LatencyCommand(LatencySettings):
    """Which networks, and how."""

    command: ClassVar[str] = "latency"

    networks: tuple[str, ...] = option(
        help="Published networks (efficientnet-b0), designs' YAML files, or "
        "package.module:name of an nn.Module or of a function that makes one.",
        argument=True,
        complete=begun(published_names),
        place=True,
    )


def latency_command(settings: LatencyCommand, *, as_json: bool) -> None:
    """Measure how long networks take on this device; several take turns."""
    from autoscale.cli.terminal import records, say, show_json, show_table
    from autoscale.design.amounts import several
    from autoscale.models.latency import time_networks

    found = time_networks(settings.networks, settings)
    table = found.table
    if as_json:
        show_json({"networks": records(table)})
        return
    columns = ("network", "resolution", "median_ms", "low_ms", "high_ms", "standard_error_ms",
               "repeats", "images_per_second", "steady_ms", "ratio")  # fmt: skip
    show_table(table, title=f"Milliseconds for a batch of {settings.batch}", columns=columns)
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
            f"The median is not known to {settings.precision:.2g} of itself for "
            f"{', '.join(unsettled)}: the machine is busy or the time was short; try --clock cpu "
            "or more --seconds."
        )
