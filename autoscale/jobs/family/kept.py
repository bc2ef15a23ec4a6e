"""The members of a run's family, in files: those of every call so far."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from autoscale.errors import BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.jobs.family.scale import Family
from autoscale.jobs.grid.scaling_base import describe
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.record import Record
from autoscale.listener import Listener
from autoscale.runs.store import Journal, StepFolder, read_text, write_text
from autoscale.scaling.family import Member, UserMember, read_member

STEP = "family"


def keep(
    family: Family,
    scaled: Callable[..., Family],
    settings: FamilySettings,
    folder: StepFolder,
    listener: Listener,
) -> None:
    """Write the members beside those of earlier calls."""
    members = Journal(folder.file("members.jsonl"))
    growths = family.growths
    facts = {
        "base": describe(family.base),
        "growing": asdict(growths.up),
        "shrinking": asdict(growths.down) if growths.down else None,
    }
    earlier = (folder.read() or {}).get("settings", {})
    gained = settings.coefficients is None and _gained(earlier, facts)
    if gained:
        for entry in _again(names_of(members), scaled, listener):
            write_text(folder.file(f"{entry.name}.yaml"), entry.to_yaml())
            if (old := folder.file(f"{entry.name}.safetensors")).exists():
                listener.notice(f"warning: {old} is of {entry.name} before; repeat it too")
    known = Record(settings=settings, facts=facts, several=True).begin(
        folder, members, listener, instead_of=earlier if gained else None, read=names_of
    )
    for entry in family.members:
        write_text(folder.file(f"{entry.name}.yaml"), entry.to_yaml())
        if entry.name not in known:
            members.append({"name": entry.name})
    _drop([name for name in family.left_out if name in known], members, folder, listener)
    files = [folder.file(f"{name}.yaml") for name in names_of(members)]
    everything = [load_member(path) for path in files if path.exists()]
    everything.sort(key=lambda m: m.counts.macs)
    whole = replace(family, members=tuple(everything))
    write_text(folder.file("family.csv"), whole.table.to_csv(index=False))


def _drop(names: Sequence[str], members: Journal, folder: StepFolder, listener: Listener) -> None:
    """Take members out of the family that earlier calls wrote; networks trained of them stay."""
    for name in names:
        members.append({"name": name, "left_out": True})
        file = folder.file(f"{name}.yaml")
        folder.forget(file.name)
        listener.notice(f"{file} of an earlier call is removed, since {name} breaks a limit now")


def _gained(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a run that had a grid on one side of 1x has one on the other side, too."""
    if not earlier or earlier == now or earlier["base"] != now["base"]:
        return False
    grown = earlier["shrinking"] is None and earlier["growing"] == now["growing"]
    shrunk = earlier["growing"] == earlier["shrinking"] == now["shrinking"]
    return bool(grown or shrunk)


def _again(
    names: Sequence[str], scaled: Callable[..., Family], listener: Listener
) -> list[Member | UserMember]:
    """The members of these names, scaled again; which and which not is told."""
    found: list[Member | UserMember] = []
    for name in names:
        if name.startswith("phi-"):
            asked: dict[str, Any] = {"phis": [float(name.removeprefix("phi-"))]}
        else:
            text, _, measure = name.partition("-")
            asked = {"budgets": [text], "measure": measure or "macs"}
        try:
            found += scaled(**asked).members
        except (BudgetUnreachable, InvalidSetting) as problem:
            listener.notice(f"warning: {name} stays as it was: {problem}")
    listener.notice(
        "the run has another grid since the family was begun: written anew "
        + ", ".join(entry.name for entry in found)
    )
    return found


def designs_of(run: Path) -> tuple[list[Member], Mapping[str, Any]]:
    """The members that `autoscale family` has written into a run, and the settings on record.

    Raises:
        InvalidSetting: if it holds none, or some are of a model of the user's own.
        RunConflict: if a file is damaged.
    """
    folder = StepFolder(run, STEP)
    record = folder.read()
    names = names_of(Journal(folder.file("members.jsonl")))
    if record is None or not names:
        raise InvalidSetting(
            f"{run} holds no family; write one with: autoscale family --run {run} --phi 0..3"
        )
    members = []
    for name in names:
        found = load_member(folder.file(f"{name}.yaml"))
        if not isinstance(found, Member):
            raise InvalidSetting(
                f"{name} is a member of a model of your own, whose weights others cannot share; "
                "train its members yourself"
            )
        members.append(replace(found, name=name))
    return members, record["settings"]


def load_member(path: str | Path) -> Member | UserMember:
    """A family member from its YAML file.

    Raises:
        InvalidArchitecture: if the file is no member; the message names line and key.
        StorageProblem: if it cannot be read.
    """
    return read_member(read_text(Path(path)), source=str(path))


def names_of(members: Journal) -> list[str]:
    """Every member written so far and not left out since, each once.

    Raises:
        RunConflict: naming the line that names none.
    """
    names: dict[str, None] = {}
    for line, record in enumerate(members.read(), start=1):
        name = record.get("name")
        if not isinstance(name, str) or Path(name).name != name:
            raise RunConflict(
                f"{members.path}:{line}: not the name of a member; restore the file from a copy or "
                "choose another --run"
            )
        if record.get("left_out"):
            names.pop(name, None)
        else:
            names[name] = None
    return list(names)
