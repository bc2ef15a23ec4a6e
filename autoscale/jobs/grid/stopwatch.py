"""Networks timed on this device, each once, and remembered in the run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from autoscale.design.amounts import several
from autoscale.design.architecture import Architecture
from autoscale.design.measures.latency import LatencyLine
from autoscale.devices.board import Board
from autoscale.devices.timing.conditions import Conditions
from autoscale.devices.timing.latency import measure_latencies
from autoscale.errors import RunConflict
from autoscale.jobs.grid.scaling_base import describe
from autoscale.jobs.groups.runtime import RuntimeSettings
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.workers.realise import realise
from autoscale.listener import Listener
from autoscale.runs.records import network_digest
from autoscale.runs.store import Journal, StepFolder
from autoscale.scaling.scalable import Network, Scalable, cost_of
from autoscale.settings.command import settings_of

#: Folder of a run: latencies on this device.
TIMINGS = "latency"
#: Longest time that one network is timed.
SECONDS = 1.0
#: Networks that take turns.
TURNS = 8


class Timings(Protocol):
    """Where timings are kept."""

    def read(self) -> list[dict[str, Any]]:
        """What was kept so far."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one more."""


class NoTimings:
    """Timings that are not kept: a plan writes nothing."""

    def read(self) -> list[dict[str, Any]]:
        """Nothing."""
        return []

    def append(self, record: Mapping[str, Any]) -> None:
        """Forget it."""


class Stopwatch:
    """Latencies of networks on one device, each timed once and remembered.

    The base is timed in turns with the others, so that what is remembered does not depend on how
    busy the machine was. What a line is fitted to is what was asked for, in this order, so a broken
    grid that finds its timings again goes on as the unbroken one would have.

    Args:
        base: what the others are held against.
        timings: where they are kept.
        asked: what networks are timed under; by default in eager torch on one thread.
    """

    def __init__(
        self,
        base: Network,
        timings: Timings,
        listener: Listener,
        asked: Conditions | None = None,
    ) -> None:
        self._base = base
        self._timings = timings
        self._listener = listener
        self._asked_for = (asked or Conditions(clock="cpu")).but(seconds=SECONDS)
        self._asked: dict[Network, float] = {}
        self._kept: dict[str, float] = {}
        for record in timings.read():
            try:
                self._kept[str(record["network"])] = float(record["milliseconds"])
            except (KeyError, TypeError, ValueError) as problem:
                raise RunConflict(
                    f"a record of the run's timings is damaged ({problem!r}); choose another --run"
                ) from None

    @property
    def base_ms(self) -> float:
        """Milliseconds of the base."""
        return self._of([self._base])[0]

    def __call__(self, networks: Sequence[Network]) -> list[float]:
        """Milliseconds of each network, as if all had been timed when the base was."""
        return self._of([self._base, *networks])[1:]

    def _of(self, networks: Sequence[Network]) -> list[float]:
        new = [n for n in dict.fromkeys(networks) if network_digest(n) not in self._kept]
        for start in range(0, len(new), TURNS):
            self._time(new[start : start + TURNS])
        for network in networks:
            self._asked[network] = self._kept[network_digest(network)]
        return [self._asked[network] for network in networks]

    def _time(self, networks: Sequence[Network]) -> None:
        asked = self._asked_for
        self._listener.notice(
            f"timing {several(len(networks), 'network')} in {asked.runtime}, {asked.dtype}"
        )
        every = list(dict.fromkeys([self._base, *networks]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = [
                latency.steady_ms
                for latency in measure_latencies(
                    [n if isinstance(n, Architecture) else realise(n) for n in every],
                    settings=self._asked_for,
                    resolution=[network.resolution for network in every],
                )
            ]
        scale = self._kept.get(network_digest(self._base), found[0]) / found[0]
        for network, milliseconds in zip(every, found, strict=True):
            if network_digest(network) not in self._kept:
                self._kept[network_digest(network)] = milliseconds * scale
                self._timings.append(
                    {"network": network_digest(network), "milliseconds": milliseconds * scale}
                )

    def line(self) -> LatencyLine:
        """What the networks asked for so far tell of others."""
        return LatencyLine.fit(
            [cost_of(network) for network in self._asked], list(self._asked.values())
        )


def runtime_before(run: Path, board: Board | None) -> str | None:
    """The runtime that latencies are of unless one is asked for: that of a board which limits them,
    else the one that the run was timed in so far, else that of a board that is this machine."""
    own = None if board is None else board.timed_in
    if board is not None and board.milliseconds is not None:
        return own
    for step in (TIMINGS, SEARCH):
        if found := _notes(run, step).get("runtime"):
            return str(found)
    return own


def dtype_before(run: Path) -> str | None:
    """The numbers of a run's networks so far; None if nothing says."""
    return next((str(d) for s in (TIMINGS, SEARCH) if (d := _notes(run, s).get("dtype"))), None)


def _notes(run: Path, step: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (StepFolder(run, step).read() or {}).get("notes", {})
    return found


@contextmanager
def kept_timings(
    run: Path,
    base: Scalable,
    asked: Conditions,
    settings: RuntimeSettings,
    listener: Listener,
    *,
    beside: bool = False,
) -> Iterator[Stopwatch]:
    """The latencies of a run's networks, those of earlier calls among them.

    Args:
        base: what the networks are scaled from.
        asked: what they are timed under.
        settings: of the command, to say as they are typed which differ from those of earlier calls.
        beside: keep those that were taken otherwise than the grid's in a folder of their own.

    Raises:
        RunConflict: if the run's latencies were taken otherwise.
    """
    facts = {
        "base": describe(base),
        "batch": 1,
        "device": asked.device,
        "threads": asked.threads,
        **settings.timed_in,
        **({} if asked.dtype == "float32" else {"dtype": asked.dtype}),
    }
    folder = StepFolder(run, TIMINGS)
    if beside and (folder.read() or {}).get("settings") != json.loads(json.dumps(facts)):
        folder = StepFolder(run, f"{TIMINGS}-{asked.runtime}-{asked.dtype}")
    timings = Journal(folder.file("timings.jsonl"))
    root = base.at(1.0, 1.0, base.resolution)
    with folder.locked():
        yield folder.begin(
            facts,
            notes={"runtime": asked.runtime, "dtype": asked.dtype},
            journal=timings,
            known=settings_of(type(settings)),
            read=lambda timings: Stopwatch(root, timings, listener, asked),
        )
