"""Apply base and coefficients to any size or budget."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.design.budget import MEASURES, parse_budget
from autoscale.design.rounding import PAPER, Coefficients
from autoscale.errors import BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.jobs.grid.job import load_grid
from autoscale.jobs.grid.scaling_base import ScalingBase, describe
from autoscale.listener import Listener, Silent
from autoscale.runs.store import Journal, StepFolder, read_text, write_text
from autoscale.scaling.family import (
    Growths,
    Member,
    UserMember,
    member,
    parse_phis,
    phi_for,
    read_member,
    stalls,
)
from autoscale.scaling.scalable import Scalable, cost_of

STEP = "family"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One base at several sizes, smallest first."""

    members: tuple[Member | UserMember, ...]
    base: Scalable
    growths: Growths

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
) -> Family:
    """The members of the given sizes, or the largest ones within the given budgets.

    Args:
        phis: sizes; 0 is the base itself, negative ones are smaller.
        budgets: what a member may cost at most, such as "40M" or "4x".
        measure: of the budgets: macs, params, activations or memory (bytes).

    Raises:
        InvalidSetting: for neither or both, or values that cannot be read.
        BudgetUnreachable: for a budget below the smallest size.
    """
    if bool(phis) == bool(budgets):
        raise InvalidSetting("give either sizes (--phi 0..3) or budgets (--budgets 20M,40M)")
    if measure not in MEASURES:
        raise InvalidSetting(f"no measure {measure!r}; choose from {', '.join(MEASURES)}")
    named = [(f"phi-{phi:g}", phi) for phi in phis]
    own = float(MEASURES[measure](cost_of(base.at(1.0, 1.0, base.resolution))))
    for text in budgets:
        budget = parse_budget(text, base=own, measure=measure)
        suffix = "" if measure == "macs" else f"-{measure}"
        named.append((f"{text.strip()}{suffix}", phi_for(base, growths, budget)))
    members = [member(base, growths, phi, name=name) for name, phi in dict(named).items()]
    members.sort(key=lambda m: m.counts.macs)
    return Family(members=tuple(members), base=base, growths=growths)


def write_family(
    run: str | Path,
    *,
    phi: str | None = None,
    budgets: str | None = None,
    measure: str = "macs",
    base: ScalingBase | None = None,
    coefficients: Coefficients | None = None,
    num_classes: int | None = None,
    listener: Listener | None = None,
) -> Family:
    """Scale a base by its coefficients and write one YAML file a member.

    Files go to the run's `family` folder, beside the members of earlier calls; `family.csv` lists
    all of them. Base and coefficients are those of the run's grids: of its grid below 1x for
    smaller members where there is one, else the others turned round. Where such a grid came later
    than the family, all members are written anew.

    Args:
        run: the run directory.
        phi: "0..7" or "0,0.5,1".
        budgets: "20M,40M,80M" or "2x,4x".
        measure: of the budgets: macs, params, activations or memory (bytes).
        base: another base than the run's grids have, `coefficients` with it; or, without them, the
            model of the user's that the grids scale: its code is imported only if it is named.
        coefficients: instead of the grids'.
        num_classes: of another base; its own if not given.
        listener: told of progress; by default nobody.

    Returns:
        The members of this call.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    run, listener = Path(run), listener or Silent()
    if num_classes is not None and (coefficients is None or base is None or not base.named):
        raise InvalidSetting(
            f"the run has decided the classes, asked for {num_classes}; leave --classes out, or "
            "name a base and --coefficients"
        )
    model = base.model if base is not None and coefficients is None else None
    if base is not None and base.named and model is None:
        if coefficients is None:
            raise InvalidSetting(
                "a base that no grid was made for needs coefficients; give --coefficients "
                f"{PAPER.alpha:g},{PAPER.beta:g},{PAPER.gamma:g} (the paper's), or make a grid"
            )
        scalable = base.scalable(run, num_classes=num_classes)
        growths = Growths(coefficients)
    elif coefficients is not None:
        scalable = (base or ScalingBase()).scalable(run, num_classes=None)
        growths = Growths(coefficients)
    else:
        scalable, growths = load_grid(run, model=model)
        for option in ("resolution", "rounding"):
            if getattr(base, option, None) is not None:
                raise InvalidSetting(
                    f"the grid in {run} has decided --{option}; leave it out, or give "
                    "--coefficients"
                )
    if growths.up is growths.down:
        listener.notice(
            "warning: there is no grid above 1x; larger members grow by the coefficients found "
            "for shrinking"
        )
    elif growths.down is None and ((phi or "").startswith("-") or ",-" in (phi or "")):
        listener.notice(
            "smaller members turn the coefficients for growing round; the best way to shrink may "
            f"be another one: autoscale grid --run {run} --flops-budget 0.5x finds it"
        )
    family = scale_family(
        scalable,
        growths,
        phis=parse_phis(phi) if phi is not None else (),
        budgets=budgets.split(",") if budgets is not None else (),
        measure=measure,
    )
    for line in family.stalls:
        listener.notice(f"warning: {line}")
    step = StepFolder(run, STEP)
    members = Journal(step.file("members.jsonl"))
    settings = {
        "base": describe(scalable),
        "growing": asdict(growths.up),
        "shrinking": asdict(growths.down) if growths.down else None,
    }
    with step.locked():
        earlier = (step.read() or {}).get("settings", {})
        gained = coefficients is None and _gained(earlier, settings)
        if gained:
            for entry in _again(names_of(members), family, listener):
                write_text(step.file(f"{entry.name}.yaml"), entry.to_yaml())
        known = step.begin(
            settings,
            notes={},
            journal=members,
            instead_of=earlier if gained else None,
            read=names_of,
        )
        for entry in family.members:
            write_text(step.file(f"{entry.name}.yaml"), entry.to_yaml())
            if entry.name not in known:
                members.append({"name": entry.name})
        files = [step.file(f"{name}.yaml") for name in names_of(members)]
        everything = [load_member(path) for path in files if path.exists()]
        everything.sort(key=lambda m: m.counts.macs)
        whole = replace(family, members=tuple(everything))
        write_text(step.file("family.csv"), whole.table.to_csv(index=False))
    return family


def _gained(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a run that had a grid on one side of 1x has one on the other side, too."""
    if not earlier or earlier == now or earlier["base"] != now["base"]:
        return False
    grown = earlier["shrinking"] is None and earlier["growing"] == now["growing"]
    shrunk = earlier["growing"] == earlier["shrinking"] == now["shrinking"]
    return bool(grown or shrunk)


def _again(names: Sequence[str], family: Family, listener: Listener) -> list[Member | UserMember]:
    """The members of these names by the coefficients of `family`; which and which not is told."""
    found: list[Member | UserMember] = []
    for name in names:
        if name.startswith("phi-"):
            asked: dict[str, Any] = {"phis": [float(name.removeprefix("phi-"))]}
        else:
            text, _, measure = name.partition("-")
            asked = {"budgets": [text], "measure": measure or "macs"}
        try:
            found += scale_family(family.base, family.growths, **asked).members
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
    """Every member written so far, each once.

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
        names[name] = None
    return list(names)


def parse_coefficients(text: str) -> Coefficients:
    """Read `1.2,1.1,1.15` as alpha, beta, gamma.

    Raises:
        InvalidSetting: for anything else, or a value that is not above 0.
    """
    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidSetting(
            f"not coefficients: {text!r}; write alpha,beta,gamma as 1.2,1.1,1.15"
        ) from None
    return Coefficients(alpha=alpha, beta=beta, gamma=gamma)
