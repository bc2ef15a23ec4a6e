"""Apply base and coefficients to any size or budget."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.design.measures.limits import Limit
from autoscale.design.measures.macs import MACS
from autoscale.design.rounding import PAPER
from autoscale.devices.boards import load_board
from autoscale.errors import BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.jobs.costs import board_of, cost_from, limits_from
from autoscale.jobs.family_weights import MemberWeights
from autoscale.jobs.grid.job import load_grid
from autoscale.jobs.grid.scaling_base import describe, scalable_of
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.groups.networks import ScalingBaseSettings
from autoscale.jobs.record import Record
from autoscale.listener import Listener, Silent
from autoscale.runs.store import Journal, StepFolder, read_text, write_text
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.family import (
    Growths,
    Member,
    UserMember,
    member,
    network_at,
    parse_phis,
    phi_for,
    read_member,
    stalls,
)
from autoscale.scaling.limited import Limited
from autoscale.scaling.scalable import Scalable, cost_of, price
from autoscale.settings.function import takes_settings

STEP = "family"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One base at several sizes, smallest first."""

    members: tuple[Member | UserMember, ...]
    base: Scalable
    growths: Growths
    #: Members that break a limit, and a line about each.
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each member.

        Columns: name, phi; multipliers of depth, width, resolution; blocks (missing for a user's
        model), pixels; macs, params, activations (one image); growth (multiply-adds / the base's);
        dropout, drop_path.
        """
        base = self.base.at(1.0, 1.0, self.base.resolution)
        macs = cost_of(base).macs
        rows = []
        for m in self.members:
            design = m.architecture if isinstance(m, Member) else None
            pixels = design.resolution if design else int(m.resolution)
            rows.append(
                {
                    "name": m.name,
                    "phi": m.phi,
                    "depth": round(m.depth, 4),
                    "width": round(m.width, 4),
                    "resolution": round(self.growths.at(m.phi).resolution, 4),
                    "blocks": design.depth if design else None,
                    "pixels": pixels,
                    **asdict(m.counts),
                    "growth": round(m.counts.macs / macs, 4),
                    "dropout": m.dropout,
                    "drop_path": m.drop_path,
                }
            )
        return pd.DataFrame(rows)

    @property
    def stalls(self) -> list[str]:
        """Where rounding breaks the order of sizes, one line each."""
        return stalls(self.members)


def scale_family(
    base: Scalable,
    growths: Growths,
    *,
    phis: Sequence[float] = (),
    budgets: Sequence[str] = (),
    measure: str = "macs",
    max_cost: Sequence[str] = (),
    board: str | None = None,
) -> Family:
    """The members of the given sizes, or the largest ones within the given budgets.

    Args:
        phis: sizes; 0 is the base itself, negative ones are smaller.
        budgets: what a member may cost at most, such as "40M" or "4x".
        measure: of the budgets: macs, params, activations or memory (bytes).
        max_cost: limits such as "params=5M"; members that break one are left out.
        board: a board that members must fit, by its name or a YAML file.

    Raises:
        InvalidSetting: for neither or both, or values that cannot be read.
        BudgetUnreachable: for a budget below the smallest size, or if no member keeps the limits.
    """
    if bool(phis) == bool(budgets):
        raise InvalidSetting("give either sizes (--phi 0..3) or budgets (--budgets 20M,40M)")
    named = [(f"phi-{phi:g}", phi) for phi in phis]
    counted = cost_from(measure)
    own = float(counted.count(cost_of(base.at(1.0, 1.0, base.resolution))))
    for text in budgets:
        budget = parse_budget(text, base=own, measure=counted)
        suffix = "" if counted == MACS else f"-{counted.name}"
        named.append((f"{text.strip()}{suffix}", phi_for(base, growths, budget)))
    members = [member(base, growths, phi, name=name) for name, phi in dict(named).items()]
    members.sort(key=lambda m: m.counts.macs)
    kept, left_out = _within(
        members,
        base,
        growths,
        limits_from(max_cost, board=None if board is None else load_board(board)),
    )
    return Family(members=tuple(kept), base=base, growths=growths, left_out=left_out)


def _within(
    members: Sequence[Member | UserMember],
    base: Scalable,
    growths: Growths,
    limits: Sequence[Limit],
) -> tuple[list[Member | UserMember], dict[str, str]]:
    """The members that keep all limits, and what is to say of each other by its name.

    Raises:
        BudgetUnreachable: if none keeps them.
        InvalidSetting: for a limit on what is measured on a device.
    """
    limited, kept, left_out = Limited(limits), [], {}
    for entry in members:
        network = network_at(base, growths, entry.phi)
        if limited([network])[0]:
            kept.append(entry)
        else:
            over = limited.broken(network)
            assert over is not None
            cost = over.measure.exactly(price(over.measure, network))
            left_out[entry.name] = f"{entry.name} is left out: it costs {cost}, over {over.exactly}"
    if not kept:
        raise BudgetUnreachable(
            f"no member keeps the limits; the nearest costs {limited.nearest}; raise a limit or "
            "ask for smaller members"
        )
    return kept, left_out


@takes_settings(FamilySettings, gone={"base": ScalingBaseSettings})
def write_family(
    run: str | Path, settings: FamilySettings, *, listener: Listener | None = None
) -> Family:
    """Scale a base by its coefficients and write one YAML file a member.

    Files go to the run's `family` folder, beside the members of earlier calls; `family.csv` lists
    all of them. One of these that this call asks for too, and leaves out since it breaks a limit,
    belongs to the family no more: its file is removed, and this is told. Base and coefficients are
    those of the run's grids: of its grid below 1x for smaller members where there is one, else the
    others turned round. Where such a grid came later than the family, all members are written anew.

    With `weights`, a file beside each member of this call holds what it begins with when it is
    trained: the weights as far as they fit, fitted by training images.

    Args:
        run: the run directory.
        listener: told of progress; by default nobody.

    Returns:
        The members of this call.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    run, listener = Path(run), listener or Silent()
    base, growths = _base_and_growths(run, settings)
    board_of(settings, listener)
    if growths.up is growths.down:
        listener.notice(
            "warning: there is no grid above 1x; larger members grow by the coefficients found "
            "for shrinking"
        )
    elif growths.down is None and _asks_for_smaller(settings.phi or ""):
        listener.notice(
            "smaller members turn the coefficients for growing round; the best way to shrink may "
            f"be another one: autoscale grid --run {run} --flops-budget 0.5x finds it"
        )
    family = scale_family(
        base,
        growths,
        phis=parse_phis(settings.phi) if settings.phi is not None else (),
        budgets=settings.budgets.split(",") if settings.budgets is not None else (),
        measure=settings.measure,
        max_cost=settings.max_cost,
        board=settings.board,
    )
    for line in (*family.left_out.values(), *family.stalls):
        listener.notice(f"warning: {line}")
    weights = MemberWeights.of(run, settings, base, listener)
    folder = StepFolder(run, STEP)
    with folder.locked():
        _keep(family, settings, folder, listener)
        if weights is not None:
            weights.write(family.members, folder, listener)
    return family


def _base_and_growths(run: Path, settings: FamilySettings) -> tuple[Scalable, Growths]:
    """What is scaled and how it grows: the run's grids say it, or the settings do.

    Raises:
        InvalidSetting: if both do, or neither.
    """
    point, classes = settings.coefficients, settings.num_classes
    if classes is not None and (point is None or not settings.named):
        raise InvalidSetting(
            f"the run has decided the classes, asked for {classes}; leave --classes out, or "
            "name a base and --coefficients"
        )
    if point is not None:
        return scalable_of(settings, run, num_classes=classes), Growths(point)
    if settings.baseline is not None:
        raise InvalidSetting(
            "a base that no grid was made for needs coefficients; give --coefficients "
            f"{PAPER.alpha:g},{PAPER.beta:g},{PAPER.gamma:g} (the paper's), or make a grid"
        )
    base, growths = load_grid(run, model=settings.model)
    for name in ("resolution", "rounding"):
        if getattr(settings, name) is not None:
            raise InvalidSetting(
                f"the grid in {run} has decided --{name}; leave it out, or give --coefficients"
            )
    return base, growths


def _asks_for_smaller(phi: str) -> bool:
    return phi.startswith("-") or ",-" in phi


def _keep(family: Family, settings: FamilySettings, folder: StepFolder, listener: Listener) -> None:
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
        for entry in _again(names_of(members), family, settings, listener):
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
    names: Sequence[str], family: Family, settings: FamilySettings, listener: Listener
) -> list[Member | UserMember]:
    """The members of these names by the coefficients of `family`; which and which not is told."""
    found: list[Member | UserMember] = []
    for name in names:
        if name.startswith("phi-"):
            asked: dict[str, Any] = {"phis": [float(name.removeprefix("phi-"))]}
        else:
            text, _, measure = name.partition("-")
            asked = {"budgets": [text], "measure": measure or "macs"}
        try:
            again = scale_family(
                family.base,
                family.growths,
                max_cost=settings.max_cost,
                board=settings.board,
                **asked,
            )
            found += again.members
        except (BudgetUnreachable, InvalidSetting) as problem:
            listener.notice(f"warning: {name} stays as it was: {problem}")
    listener.notice(
        "the run has another grid since the family was begun: written anew "
        + ", ".join(entry.name for entry in found)
    )
    return found


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
