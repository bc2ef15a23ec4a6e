"""What fits into the time: which steps, and how much of each. Arithmetic only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from autoscale.errors import InvalidSetting
from autoscale.listener import duration

Step = Literal["compare", "search", "check", "grid", "train", "finish"]

#: Share of the time that is left over, since speeds vary.
RESERVE = 0.05
#: Seconds below which nothing is searched.
SHORT = 600.0
#: Pairs of short trainings by which weights are compared with random ones, and the trainings of a
#: search that take as long: random ones get more epochs, and the first weights given take longest.
PAIRS, COMPARED = 3, 7
#: Networks of the smallest search, of one that is checked, and of the largest.
LEAST, ENOUGH, MOST = 8, 30, 100
#: Trainings of a check: random networks, and new seeds of the baseline.
NETWORKS, SEEDS = 8, 3
CHECKED = NETWORKS + SEEDS
#: Trainings of a grid.
RACED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds that work takes, as measured with a network at the limits."""

    begin: float  # putting weights into the network that is trained
    epoch: float  # one of that network, evaluation included
    trial: float  # one training of a search, check or grid; of several at once, its share
    finish: float  # evaluating, exporting and writing the page

    def to_dict(self) -> dict[str, float]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One step of a plan."""

    step: Step
    count: int  # trainings; epochs of the last training
    seconds: float  # as estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in their order; the last but one trains the network that is kept."""

    parts: tuple[Part, ...]
    left_out: tuple[str, ...]  # what does not fit, in sentences

    @property
    def seconds(self) -> float:
        """Of all steps together, as estimated."""
        return sum(part.seconds for part in self.parts)

    def count(self, step: Step) -> int:
        """Trainings or epochs of a step; 0 if it is left out."""
        return next((part.count for part in self.parts if part.step == step), 0)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"parts": [asdict(part) for part in self.parts], "left_out": [*self.left_out]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        return cls(
            parts=tuple(Part(**part) for part in data["parts"]),
            left_out=tuple(data["left_out"]),
        )


def plan(seconds: float, costs: Costs, *, epochs: int, compare: bool = False) -> Plan:
    """The most that fits into the time, the training of the network that is kept first.

    With more time no step gets less. Below `SHORT`, or where a whole training and `LEAST` networks
    of a search do not fit together, nothing is searched. After `ENOUGH` networks time goes to a
    check of what was found, then to a grid, then to more networks. Before all of that weights are
    compared with random ones, if that is asked for.

    Args:
        epochs: of a whole training; it gets fewer where they do not fit.
        compare: whether there are weights that chance found, not the user.

    Raises:
        InvalidSetting: if not even one epoch fits; the message says what would.
    """
    usable = (1 - RESERVE) * seconds - costs.finish - costs.begin
    trained = min(epochs, int(usable / costs.epoch)) if usable > 0 else 0
    if trained < 1:
        least = (costs.finish + costs.begin + costs.epoch) / (1 - RESERVE)
        raise InvalidSetting(
            f"{duration(seconds)} are not enough for one epoch of a network at the limits; give "
            f"--hours {least / 3600 + 0.005:.2f} or more, or lower a limit"
        )
    rest = usable - trained * costs.epoch
    compared = compare and seconds >= SHORT and trained == epochs
    compared = compared and rest >= COMPARED * costs.trial
    searched, left_out = _searched(rest - compared * COMPARED * costs.trial, costs)
    if trained < epochs:
        searched, left_out = {}, [f"the training has {trained} of {epochs} epochs", *_NOTHING]
    elif seconds < SHORT:
        searched, left_out = {}, [*_NOTHING]
    if compare and not compared:
        left_out = [*left_out, _NOT_COMPARED]
    first = Part(step="compare", count=2 * PAIRS, seconds=COMPARED * costs.trial)
    parts = [
        *([first] if compared else []),
        *(Part(step=step, count=n, seconds=n * costs.trial) for step, n in searched.items()),
        Part(step="train", count=trained, seconds=costs.begin + trained * costs.epoch),
        Part(step="finish", count=1, seconds=costs.finish),
    ]
    return Plan(parts=tuple(parts), left_out=tuple(left_out))


_NOT_COMPARED = "no comparison of the weights with random ones: autoscale try-weights makes it"
_NOTHING = ("no search: a published design is scaled to the limits instead",)


def _searched(seconds: float, costs: Costs) -> tuple[dict[Step, int], list[str]]:
    """Trainings of a search and of what follows it, and what does not fit."""
    room = int(seconds / costs.trial)
    if room < LEAST:
        return {}, [*_NOTHING]
    found: dict[Step, int] = {"search": min(ENOUGH, room)}
    if room < ENOUGH + CHECKED:
        return found, ["no check of the baseline against random networks", _NO_GRID]
    found["check"] = CHECKED
    if room < ENOUGH + CHECKED + RACED:
        return found, [_NO_GRID]
    found["search"] = min(MOST, room - CHECKED - RACED)
    found["grid"] = RACED
    return found, []


_NO_GRID = "no grid: the baseline is searched at the limits themselves"
