"""Settings of the runtime that networks are meant for: what latencies are measured in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoscale.devices.runtimes.registry import RUNTIMES, runtimes_told
from autoscale.devices.timing.conditions import Conditions
from autoscale.errors import InvalidSetting
from autoscale.models.settings import DTYPES
from autoscale.settings.command import Settings
from autoscale.settings.option import option

_RUNTIME = "Runtime"


@dataclass(frozen=True, kw_only=True)
class DtypeSettings(Settings):
    """In which numbers networks run once they are trained."""

    dtype: str = option(
        "float32",
        "Of the networks that are compared: {choices}. int8: trained in float32, each becomes one "
        "of 8-bit integers as quantize makes it, whose accuracy on the validation images decides; "
        "latency is that of int8 too. The later steps keep to it.",
        choices=lambda: DTYPES,
        binds="dtype",
        panel=_RUNTIME,
    )


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings(Settings):
    """What networks will run in; of latency, wherever that is a cost."""

    # What is timed in it binds a resumed run; without any timing it says nothing.
    runtime: str = option(
        "eager",
        "What latency is measured in. {choices}. All but torch run on the CPU of this machine, "
        "wherever --device trains.",
        choices=runtimes_told,
        binds="timed_in",
        panel=_RUNTIME,
    )

    @property
    def timed_in(self) -> dict[str, Any]:
        """As a fact on record; empty for what runs of older versions were timed in."""
        return {} if self.runtime == "eager" else {"timed_in": {"runtime": self.runtime}}

    def require_runtime(self, dtype: str, *, timed: bool) -> None:
        """Refuse at once what could not be timed, or a runtime that nothing is timed in.

        Args:
            dtype: of the networks.
            timed: whether a cost, a budget or a limit is latency.

        Raises:
            InvalidSetting: naming the setting.
        """
        if timed:
            self.timing(dtype, "cpu")  # refuses what a runtime cannot do
            RUNTIMES[self.runtime].require()
        elif self.timed_in:
            raise InvalidSetting(
                f"--runtime {self.runtime} says what latency is measured in, and neither cost, "
                "budget nor limit is latency; add --limit latency=12ms, or leave --runtime out"
            )

    def timing(self, dtype: str, device: str, threads: int = 1) -> Conditions:
        """What one image is timed under: the processor time of one thread where that is all.

        Args:
            dtype: of the networks.
            device: where networks train, which runtimes that know GPUs are timed on too.

        Raises:
            InvalidSetting: for what the runtime cannot do.
        """
        place = device if RUNTIMES[self.runtime].gpu else "cpu"
        clock = "cpu" if place == "cpu" and threads == 1 else "wall"
        return Conditions(
            runtime=self.runtime,
            dtype=dtype,  # type: ignore[arg-type]
            device=place,
            threads=threads,
            clock=clock,  # type: ignore[arg-type]
        )
