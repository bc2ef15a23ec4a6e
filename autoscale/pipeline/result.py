"""What a run from images to a network plans, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoscale.design.amounts import several
from autoscale.listener import duration
from autoscale.pipeline.plan import Plan, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would be done, and what would be left out."""

    plan: Plan
    network: str  # whose design is scaled to the limits
    costs: Mapping[str, str]  # of that at the limits, by measure, with their units
    source: str | None  # of the weights; None for random ones
    seconds: float  # that are left for it

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "network": self.network,
            "costs": dict(self.costs),
            "source": self.source,
            "seconds": self.seconds,
            "planned_seconds": self.plan.seconds,
            **self.plan.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeInt8:
    """The same network in int8, for the board."""

    file: Path  # LiteRT
    bytes: int  # of the file
    accuracy: float  # on the images that the float network was evaluated on
    agreement: float  # share of them to which both answer the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One trained network within the limits."""

    network: str  # what it is
    source: str | None  # of the weights that it began with; None for random ones
    costs: Mapping[str, str]  # by measure, with their units
    limits: tuple[str, ...]  # that it keeps
    split: str  # of the images that it was evaluated on, once
    images: int  # of those
    accuracy: float  # on those
    low: float  # of its interval at 95 %
    high: float
    always: float  # accuracy of always answering the most frequent class of those
    compared: str | None  # advice on the weights that were found, if they were compared
    check: str | None  # verdict of the check of the baseline, if there was one
    grid: str | None  # verdict of the grid
    rival: (
        str | None
    )  # verdict on what was found beside the weights' own network, if it was trained
    teacher: str | None  # source of the network that taught it, if one did
    int8: MadeInt8 | None  # where the board runs int8 and LiteRT is installed
    weights: Path
    export: Path  # folder
    report: Path | None  # None where the training was cut
    took: Mapping[str, float]  # seconds of each step, over all calls
    seconds: float  # of all calls
    left_out: tuple[str, ...]  # what did not fit into the time, in sentences

    @property
    def verdict(self) -> str:
        """What the figures allow to say."""
        always = f"always answering the most frequent class ({self.always:.3f})"
        if self.low > self.always:
            return f"better than {always}"
        return (
            f"{several(self.images, 'image')} cannot tell it from {always}; give it more --hours, "
            "or look at the images"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return _plain(asdict(self) | {"verdict": self.verdict})


def _plain(value: Any) -> Any:
    """With paths as texts."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return str(value) if isinstance(value, Path) else value


_WORDS: Mapping[Step, tuple[str, str]] = {
    "compare": ("short trainings with these weights and with random ones", "training"),
    "search": ("search around it", "network"),
    "check": ("check of the baseline against random networks", "training"),
    "grid": ("grid: how the baseline grows to the limits", "training"),
    "rival": ("the published network, fine-tuned beside it", "training"),
    "teach": ("the published network teaches: its answers to every image", "crop"),
    "train": ("training of the network that is kept", "epoch"),
    "finish": ("evaluation, export and page", ""),
}


def plan_lines(planned: Planned) -> list[str]:
    """A plan in sentences."""
    began = "random weights" if planned.source is None else f"weights of {planned.source}"
    found = planned.plan
    lines = [
        f"{planned.network} scaled to the limits: {' and '.join(planned.costs.values())}; {began}",
        f"plan: about {duration(found.seconds)} of {duration(planned.seconds)}",
    ]
    for part in found.parts:
        title, unit = _WORDS[part.step]
        count = f", {several(part.count, unit)}" if unit else ""
        lines.append(f"  {title}{count}: about {duration(part.seconds)}")
    return [*lines, *(f"left out: {line}" for line in found.left_out)]
