"""What fits into the time: which steps, and how much of each. Arithmetic only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from autoscale.errors import InvalidSetting
from autoscale.listener import duration

Step = Literal["compare", "search", "check", "grid", "rival", "teach", "train", "finish"]

#: Share of the time that is left over, since speeds vary.
RESERVE = 0.05
#: Seconds below which nothing is searched.
SHORT = 600.0
#: Pairs of short trainings by which weights are compared with random ones, and the trainings of a
#: search that take as long: one without weights is timed before its epochs are known.
PAIRS, COMPARED = 3, 7
#: Networks of the smallest search, of one that is checked, and of the largest.
LEAST, ENOUGH, MOST = 8, 30, 100
#: Trainings of a check: random networks, and new seeds of the baseline.
NETWORKS, SEEDS = 8, 3
CHECKED = NETWORKS + SEEDS
#: Trainings of a grid.
RACED = 16
#: Trainings of the published network beside the last of them, the one epoch that is timed included,
#: and how many times as long as a candidate's each may take.
RIVALS, DEAREST = SEEDS + 1, 3.0
#: Crops of each image that a teacher answers.
CROPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds that work takes, as measured with a network at the limits."""

    begin: float  # putting weights into the network that is trained
    epoch: float  # one of that network, evaluation included
    trial: float  # one training of a search, check or grid; of several at once, its share
    finish: float  # evaluating, exporting and writing the page
    teach: float | None = None  # answers of the weights' own network; None where it is no teacher
    rival: float | None = None  # one training of that network; None where it is no rival

    def to_dict(self) -> dict[str, float | None]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One step of a plan."""

    step: Step
    count: int  # trainings; epochs of the last training, or crops of each image
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

    def left_out_with(self, trained: int, epochs: int) -> tuple[str, ...]:
        """What does not fit, if the training came to other epochs than are planned.

        Args:
            trained: epochs of the training.
            epochs: of a whole training.
        """
        planned = _shortened(self.count("train"), epochs)
        others = (line for line in self.left_out if line != planned)
        return (*([_shortened(trained, epochs)] if trained < epochs else []), *others)

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
    check of what was found, then to a published network beside it, then to a grid, then to more
    networks. Before all of that a teacher answers, where that takes no longer than the whole
    training, and weights are compared with random ones, if that is asked for.

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
    answers = costs.teach or 0.0
    taught = costs.teach is not None and trained == epochs
    taught = taught and answers <= min(rest, trained * costs.epoch)
    rest -= answers if taught else 0.0
    compared = compare and seconds >= SHORT and trained == epochs
    compared = compared and rest >= COMPARED * costs.trial
    searched, left_out = _searched(rest - compared * COMPARED * costs.trial, costs)
    if trained < epochs:
        searched, left_out = {}, [_shortened(trained, epochs), *_NOTHING]
    elif seconds < SHORT:
        searched, left_out = {}, [*_NOTHING]
    if compare and not compared:
        left_out = [*left_out, _NOT_COMPARED]
    if costs.teach is not None and not taught:
        left_out = [*left_out, f"no teacher: its answers would take {duration(costs.teach)}"]
    first = Part(step="compare", count=2 * PAIRS, seconds=COMPARED * costs.trial)
    parts = [
        *([first] if compared else []),
        *(_part(step, n, costs) for step, n in searched.items()),
        *([Part(step="teach", count=CROPS, seconds=answers)] if taught else []),
        Part(step="train", count=trained, seconds=costs.begin + trained * costs.epoch),
        Part(step="finish", count=1, seconds=costs.finish),
    ]
    return Plan(parts=tuple(parts), left_out=tuple(left_out))


def _shortened(trained: int, epochs: int) -> str:
    """That the training has fewer epochs than its recipe."""
    return f"the training has {trained} of {epochs} epochs"


def _part(step: Step, count: int, costs: Costs) -> Part:
    each = costs.rival if step == "rival" and costs.rival is not None else costs.trial
    return Part(step=step, count=count, seconds=count * each)


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
    left_out, beside = list[str](), RIVALS * (costs.rival or 0.0)
    if costs.rival is not None and costs.rival > DEAREST * costs.trial:
        left_out.append(f"{_NO_RIVAL}: a training of it would take {duration(costs.rival)}")
    elif costs.rival is not None and (ENOUGH + CHECKED) * costs.trial + beside > seconds:
        return found, [_NO_GRID, _NO_RIVAL]
    elif costs.rival is not None:
        found["rival"] = RIVALS
        room = int((seconds - beside) / costs.trial)
    if room < ENOUGH + CHECKED + RACED:
        return found, [_NO_GRID, *left_out]
    found["search"] = min(MOST, room - CHECKED - RACED)
    found["grid"] = RACED
    if "rival" in found:  # it comes last
        found["rival"] = found.pop("rival")
    return found, left_out


_NO_RIVAL = "no published network beside it"
_NO_GRID = "no grid: the baseline is searched at the limits themselves"
