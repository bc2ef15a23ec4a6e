"""The members of a run's family that are trained together, and the rule that they lie on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.rounding import Coefficients
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.family.kept import designs_of
from autoscale.jobs.grid.scaling_base import describe, scalable_from
from autoscale.runs.store import StepFolder
from autoscale.scaling.family import Growths
from autoscale.scaling.nesting import NestedMember, between, outermost
from autoscale.scaling.scalable import Design


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedFamily:
    """Members of one family that all nest in the largest of them.

    Raises:
        RunConflict: if they do not; or for fewer than two.
    """

    members: tuple[NestedMember, ...]  # smallest first
    base: Design
    growths: Growths

    def __post_init__(self) -> None:
        outermost(self.members)

    @classmethod
    def of(cls, run: Path) -> NestedFamily:
        """The members that `autoscale family` has written into a run.

        Raises:
            InvalidSetting: if it holds none, or some are of a model of the user's own.
            RunConflict: if they do not nest, or a file is damaged.
        """
        found, settings = designs_of(run)
        members = [NestedMember(name=m.name, phi=m.phi, architecture=m.architecture) for m in found]
        return cls._on_rule(members, settings, StepFolder(run, FAMILY))

    @classmethod
    def from_record(cls, step: StepFolder) -> NestedFamily:
        """The members that a training of theirs recorded; see `record`.

        Raises:
            RunConflict: if the record is damaged.
        """
        settings = (step.read() or {}).get("settings", {})
        try:
            members = [
                NestedMember(
                    name=str(plain["name"]),
                    phi=float(plain["phi"]),
                    architecture=Architecture.from_dict(plain["architecture"]),
                )
                for plain in settings["members"]
            ]
        except (KeyError, TypeError, ValueError) as problem:
            raise _damaged(step, problem) from None
        return cls._on_rule(members, settings, step)

    @classmethod
    def _on_rule(
        cls, members: list[NestedMember], settings: Mapping[str, Any], step: StepFolder
    ) -> NestedFamily:
        try:
            base = scalable_from(settings["base"])
            up, down = settings["growing"], settings["shrinking"]
            growths = Growths(Coefficients(**up), Coefficients(**down) if down else None)
        except (KeyError, TypeError, ValueError) as problem:
            raise _damaged(step, problem) from None
        assert isinstance(base, Design), "a model of the user's has other members"
        members.sort(key=lambda member: (cost(member.architecture).macs, member.phi))
        return cls(members=tuple(members), base=base, growths=growths)

    @property
    def largest(self) -> NestedMember:
        """The one in which the others nest."""
        return outermost(self.members)

    @property
    def inside(self) -> tuple[Architecture, ...]:
        """The designs of the others, smallest first; equal ones once, and none like the largest."""
        designs = dict.fromkeys(member.architecture for member in self.members)
        return tuple(design for design in designs if design != self.largest.architecture)

    def record(self) -> dict[str, Any]:
        """As plain data, for a run's settings."""
        return {
            "members": [
                {
                    "name": member.name,
                    "phi": member.phi,
                    "architecture": member.architecture.to_dict(),
                }
                for member in self.members
            ],
            "base": describe(self.base),
            "growing": asdict(self.growths.up),
            "shrinking": asdict(self.growths.down) if self.growths.down else None,
        }

    def for_classes(self, count: int) -> NestedFamily:
        """The same for images of so many classes."""
        members = (
            replace(member, architecture=replace(member.architecture, num_classes=count))
            for member in self.members
        )
        return replace(self, members=tuple(members))

    def named(self, name: str) -> NestedMember:
        """The member of that name.

        Raises:
            InvalidSetting: if there is none; the message lists them.
        """
        found = next((member for member in self.members if member.name == name), None)
        if found is None:
            known = ", ".join(member.name for member in self.members)
            raise InvalidSetting(f"no member {name!r} was trained; choose from {known}")
        return found

    @property
    def on_the_rule(self) -> Iterator[NestedMember]:
        """Every design from the largest member to the smallest that nests in the largest."""
        return between(self.base, self.growths, self.members)


def _damaged(step: StepFolder, problem: Exception) -> RunConflict:
    return RunConflict(
        f"{step.file('settings.json')} is damaged ({problem!r}); restore it from a copy or choose "
        "another --run"
    )
