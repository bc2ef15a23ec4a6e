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
class RuntimeSettings(Settings):
    """What networks will run in, and in which numbers; of latency, wherever that is a cost."""

    # What is timed in it binds a resumed run; without any timing neither says anything.
    runtime: str = option(
        "eager",
        "What latency is measured in. {choices}. All but torch run on the CPU of this machine, "
        "wherever --device trains.",
        choices=runtimes_told,
        binds="timed_in",
        panel=_RUNTIME,
    )
    dtype: str = option(
        "float32",
        "What networks run in there: {choices}.",
        choices=lambda: DTYPES,
        binds="timed_in",
        panel=_RUNTIME,
    )

    @property
    def timed_in(self) -> dict[str, Any]:
        """As a fact on record; empty for what runs of older versions were timed in."""
        found = {"runtime": self.runtime, "dtype": self.dtype}
        return {} if found == {"runtime": "eager", "dtype": "float32"} else {"timed_in": found}

    def require_runtime(self, *, timed: bool) -> None:
        """Refuse at once what could not be timed, or a runtime that nothing is timed in.

        Args:
            timed: whether a cost, a budget or a limit is latency.

        Raises:
            InvalidSetting: naming the setting.
        """
        if timed:
            self.timing("cpu")  # refuses what a runtime cannot do
            RUNTIMES[self.runtime].require()
        elif self.timed_in:
            flag = "--runtime" if self.runtime != "eager" else "--dtype"
            value = self.runtime if self.runtime != "eager" else self.dtype
            raise InvalidSetting(
                f"{flag} {value} says what latency is measured in, and neither cost, budget nor "
                f"limit is latency; add --limit latency=12ms, or leave {flag} out"
            )

    def timing(self, device: str, threads: int = 1, **rest: Any) -> Conditions:
        """What one image is timed under: the processor time of one thread where that is all.

        Args:
            device: where networks train, which runtimes that know GPUs are timed on too.
            rest: further fields of `Conditions`.

        Raises:
            InvalidSetting: for what the runtime cannot do.
        """
        place = device if RUNTIMES[self.runtime].gpu else "cpu"
        clock = "cpu" if place == "cpu" and threads == 1 else "wall"
        return Conditions(
            runtime=self.runtime,
            dtype=self.dtype,  # type: ignore[arg-type]
            device=place,
            threads=threads,
            clock=clock,  # type: ignore[arg-type]
            **rest,
        )
