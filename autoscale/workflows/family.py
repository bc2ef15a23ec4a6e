"""Apply baseline and coefficients to any size or budget."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from autoscale.design.architecture import Architecture
from autoscale.design.budget import parse_budget
from autoscale.design.cost import cost
from autoscale.design.family import Member, member, parse_phis, phi_for
from autoscale.design.scaling import Coefficients, rounding_policy
from autoscale.errors import InvalidSetting
from autoscale.runs.store import Journal, Step, read_text, write_text
from autoscale.workflows.baseline import load_baseline
from autoscale.workflows.grid import load_coefficients

STEP = "family"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One baseline at several sizes, smallest first."""

    members: tuple[Member, ...]
    base: Architecture
    coefficients: Coefficients

    @property
    def table(self) -> pd.DataFrame:
        """One row for each member.

        Columns: name, phi; multipliers of depth, width, resolution; blocks, pixels; macs,
        params, activations (one image); growth (multiply-adds / the base's); dropout, drop_path.
        """
        base_macs = cost(self.base).macs
        return pd.DataFrame(
            [
                {
                    "name": m.name,
                    "phi": m.phi,
                    "depth": round(m.depth, 4),
                    "width": round(m.width, 4),
                    "resolution": round(m.resolution, 4),
                    "blocks": m.architecture.depth,
                    "pixels": m.architecture.resolution,
                    **asdict(m.counts),
                    "growth": round(m.counts.macs / base_macs, 4),
                    "dropout": m.dropout,
                    "drop_path": m.drop_path,
                }
                for m in self.members
            ]
        )


def scale_family(
    base: Architecture,
    coefficients: Coefficients,
    *,
    phis: Sequence[float] = (),
    budgets: Sequence[str] = (),
    rounding: str = "tf",
) -> Family:
    """The members of the given sizes, or the largest ones within the given budgets.

    Args:
        phis: sizes; 0 is the base itself, negative ones are smaller.
        budgets: multiply-adds that a member may cost at most, such as "40M" or "4x".

    Raises:
        InvalidSetting: for neither or both, or values that cannot be read.
        BudgetUnreachable: for a budget below the smallest size.
    """
    if bool(phis) == bool(budgets):
        raise InvalidSetting("give either sizes (--phi 0..3) or budgets (--budgets 20M,40M)")
    policy = rounding_policy(rounding)
    named = [(f"phi-{phi:g}", phi) for phi in phis]
    for text in budgets:
        budget = parse_budget(text, base_macs=cost(base).macs)
        named.append((text.strip(), phi_for(base, coefficients, budget.macs, rounding=policy)))
    members = [
        member(base, coefficients, phi, rounding=policy, name=name)
        for name, phi in dict(named).items()
    ]
    members.sort(key=lambda m: m.counts.macs)
    return Family(members=tuple(members), base=base, coefficients=coefficients)


def write_family(run: str | Path, *, phi: str | None = None, budgets: str | None = None) -> Family:
    """Scale the run's baseline by its grid's coefficients and write one YAML file a member.

    Files go to the run's `family` folder, beside the members of earlier calls; `family.csv` lists
    all of them.

    Args:
        phi: "0..7" or "0,0.5,1".
        budgets: "20M,40M,80M".

    Returns:
        The members of this call.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    base = load_baseline(run).trial.architecture
    coefficients, rounding = load_coefficients(run, base)
    family = scale_family(
        base,
        coefficients,
        phis=parse_phis(phi) if phi is not None else (),
        budgets=budgets.split(",") if budgets is not None else (),
        rounding=rounding,
    )
    step = Step(Path(run), STEP)
    members = Journal(step.file("members.jsonl"))
    with step.locked():
        step.begin(
            {
                "baseline": base.to_dict(),
                "coefficients": asdict(coefficients),
                "rounding": rounding,
            },
            notes={},
            journal=members,
        )
        for entry in family.members:
            write_text(step.file(f"{entry.name}.yaml"), entry.to_yaml())
            members.append({"name": entry.name})
        names = dict.fromkeys(record["name"] for record in members.read())
        files = [step.file(f"{name}.yaml") for name in names]
        everything = [load_member(path) for path in files if path.exists()]
        everything.sort(key=lambda m: m.counts.macs)
        whole = replace(family, members=tuple(everything))
        write_text(step.file("family.csv"), whole.table.to_csv(index=False))
    return family


def load_member(path: str | Path) -> Member:
    """A family member from its YAML file.

    Raises:
        InvalidArchitecture: if the file is no member; the message names line and key.
        StorageProblem: if it cannot be read.
    """
    return Member.from_yaml(read_text(Path(path)), source=str(path))
