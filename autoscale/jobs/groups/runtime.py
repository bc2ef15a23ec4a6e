"""Settings of the runtime that networks are meant for: what latencies are measured in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from autoscale.devices.runtimes.registry import RUNTIMES, runtimes_told
from autoscale.devices.timing.conditions import Conditions
from autoscale.errors import InvalidSetting
from autoscale.models.settings import DTYPES
from autoscale.settings.command import Settings
from autoscale.settings.option import option

_RUNTIME = "Runtime"
#: What is timed in where nothing says otherwise.
_USUAL = "eager"


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
    runtime: str | None = option(
        None,
        "What latency is measured in. {choices}. All but torch run on the CPU of this machine, "
        "wherever --device trains. \\[default: that of a --board that limits milliseconds, else "
        "what the run was timed in before, else that of a --board that is this machine, else "
        f"{_USUAL}]",
        choices=runtimes_told,
        binds="timed_in",
        panel=_RUNTIME,
    )

    @property
    def timed_in(self) -> dict[str, Any]:
        """As a fact on record; empty for what runs of older versions were timed in."""
        return {} if self._named == _USUAL else {"timed_in": {"runtime": self._named}}

    @property
    def _named(self) -> str:
        return self.runtime or _USUAL

    def timed_in_runtime(self, usual: str | None, dtype: str, *, timed: bool) -> Self:
        """The same with a runtime named, if latency counts. What could not be timed is refused, and
        a runtime that nothing is timed in.

        Args:
            usual: the runtime if none was asked for; None for eager torch.
            dtype: of the networks.
            timed: whether a cost, a budget or a limit is latency.

        Raises:
            InvalidSetting: naming the setting.
        """
        if not timed:
            if self.timed_in:
                raise InvalidSetting(
                    f"--runtime {self.runtime} says what latency is measured in, and neither cost, "
                    "budget nor limit is latency; add --limit latency=12ms, or leave --runtime out"
                )
            return self
        found = replace(self, runtime=self.runtime or usual or _USUAL)
        found.timing(dtype, "cpu")  # refuses what a runtime cannot do
        RUNTIMES[found._named].require()
        return found

    def timing(self, dtype: str, device: str, threads: int = 1) -> Conditions:
        """What one image is timed under: the processor time of one thread where that is all.

        Args:
            dtype: of the networks.
            device: where networks train, which runtimes that know GPUs are timed on too.

        Raises:
            InvalidSetting: for what the runtime cannot do.
        """
        place = device if RUNTIMES[self._named].gpu else "cpu"
        clock = "cpu" if place == "cpu" and threads == 1 else "wall"
        return Conditions(
            runtime=self._named,
            dtype=dtype,  # type: ignore[arg-type]
            device=place,
            threads=threads,
            clock=clock,  # type: ignore[arg-type]
        )
