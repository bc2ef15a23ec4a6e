"""What trackers are told: whose work it is, its points one after another, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: Plain numbers and texts by name.
Plain = Mapping[str, bool | int | float | str]
#: What the names of a trial's own values begin with; its choices go with these alone.
TRIAL = "trial/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The values at one step, by the names of their curves.

    Attributes:
        choices: what was chosen for the trial that this is one of; None where it is none.
    """

    step: int
    seconds: float  # of work until here
    values: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, object] | None = None

    @property
    def own(self) -> dict[str, float]:
        """Of the values those of the trial itself."""
        return {name: value for name, value in self.values.items() if name.startswith(TRIAL)}

    @property
    def chosen(self) -> dict[str, bool | int | float | str]:
        """The choices as numbers and texts."""
        return plainly(self.choices or {})

    @property
    def trial(self) -> str:
        """What the trial is called."""
        return f"trial {self.step:05}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data, which `Point(**plain)` reads back."""
        return {**asdict(self), "choices": None if self.choices is None else self.chosen}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose work is tracked: a step of a run directory."""

    run: str  # the run directory, absolute
    step: str  # its folder there
    command: str
    settings: Mapping[str, Any]  # of the command, as plain data

    @property
    def name(self) -> str:
        """Of the run directory, under which a tracker shows its steps together."""
        return Path(self.run).name

    @property
    def place(self) -> Path:
        """The step's folder."""
        return Path(self.run, self.step)

    @property
    def asked(self) -> dict[str, bool | int | float | str]:
        """The settings as numbers and texts."""
        return plainly(self.settings)


def plainly(values: Mapping[str, object]) -> dict[str, bool | int | float | str]:
    """Numbers as they are, anything else as a text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in values.items()
    }
