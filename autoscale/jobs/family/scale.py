"""A base scaled to sizes or budgets, and the members that keep every limit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import pandas as pd

from autoscale.design.measures.macs import MACS
from autoscale.devices.boards import load_board
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.jobs.costs import cost_from, limits_from
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.family import (
    Growths,
    Member,
    UserMember,
    member,
    network_at,
    phi_for,
    stalls,
)
from autoscale.scaling.limited import Limited, Timer
from autoscale.scaling.scalable import Scalable, cost_of


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
    timer: Timer | None = None,
) -> Family:
    """The members of the given sizes, or the largest ones within the given budgets.

    Args:
        phis: sizes; 0 is the base itself, negative ones are smaller.
        budgets: what a member may cost at most, such as "40M" or "4x".
        measure: of the budgets: macs, params, activations or memory (bytes).
        max_cost: limits such as "params=5M"; members that break one are left out.
        board: a board that members must fit, by its name or a YAML file.
        timer: milliseconds of networks, for limits on latency.

    Raises:
        InvalidSetting: for neither or both, values that cannot be read, or a limit on latency
            without a timer.
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
    limits = limits_from(max_cost, board=None if board is None else load_board(board))
    kept, left_out = _within(members, base, growths, Limited(limits, timer))
    return Family(members=tuple(kept), base=base, growths=growths, left_out=left_out)


def _within(
    members: Sequence[Member | UserMember],
    base: Scalable,
    growths: Growths,
    limited: Limited,
) -> tuple[list[Member | UserMember], dict[str, str]]:
    """The members that keep all limits, and what is to say of each other by its name.

    Raises:
        BudgetUnreachable: if none keeps them.
        InvalidSetting: for a limit on what is measured on a device.
    """
    networks = [network_at(base, growths, entry.phi) for entry in members]
    kept, left_out = [], {}
    for entry, network, keeps in zip(members, networks, limited(networks), strict=True):
        if keeps:
            kept.append(entry)
        else:
            left_out[entry.name] = f"{entry.name} is left out: it costs {limited.excess(network)}"
    if not kept:
        raise BudgetUnreachable(
            f"no member keeps the limits; the nearest costs {limited.nearest}; raise a limit or "
            "ask for smaller members"
        )
    return kept, left_out
