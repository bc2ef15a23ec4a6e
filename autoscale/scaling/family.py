"""A family: one baseline at many sizes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from autoscale.design.amounts import format_count
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.document import NO_UNKNOWN_KEYS, dump, kind_of, parse
from autoscale.design.rounding import Coefficients
from autoscale.errors import BudgetUnreachable, InvalidArchitecture, InvalidSetting
from autoscale.scaling.budget import Budget
from autoscale.scaling.scalable import Growth, Network, Scalable, cost_of

#: Sizes that are tried for a budget.
LEAST_PHI, MOST_PHI = -8.0, 12.0

#: Larger networks than this, of the base's multiply-adds, are never tried.
MOST_GROWTH = 2.0**25

_HEADING = (
    "# counts.macs: multiply-adds of convolutions and linear layers for one image, the\n"
    "# papers' FLOPs; counts.activations: outputs of convolutions and of the classifier.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A member's cost as written beside it; FLOPs in the papers' sense are `macs`."""

    macs: int  # multiply-adds of convolutions and linear layers, one image
    params: int
    activations: int

    __pydantic_config__ = NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One network of a family, with what is needed to build and train it.

    Raises:
        InvalidArchitecture: if the counts are not those of the architecture.
    """

    name: str
    phi: float
    depth: float  # multiplier of the baseline's depth, alpha ** phi
    width: float  # beta ** phi
    resolution: float  # gamma ** phi
    dropout: float  # share of features dropped before the classifier while training
    drop_path: float  # probability of dropping the last residual branch while training
    counts: Counts
    architecture: Architecture

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        if self.counts != counts(self.architecture):
            raise InvalidArchitecture(
                f"the counts of {self.name} are not those of its architecture, "
                f"{asdict(counts(self.architecture))}; correct them"
            )

    def to_yaml(self) -> str:
        """The member as YAML text; `from_yaml` gives an equal one."""
        data: dict[str, Any] = asdict(self) | {"architecture": self.architecture.to_dict()}
        return _HEADING + dump({"kind": "member", **data})

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "member") -> "Member":
        """Read what `to_yaml` wrote.

        Raises:
            InvalidArchitecture: naming the line and the key at fault.
        """
        return parse(text, cls, source=source, error=InvalidArchitecture, kind="member")


def counts(architecture: Architecture) -> Counts:
    """The counts that a member states."""
    found = cost(architecture)
    return Counts(macs=found.macs, params=found.params, activations=found.activations)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMember:
    """One size of a user's model: what its function must be asked for."""

    name: str
    phi: float
    model: str  # package.module:build
    depth: float  # multiplier that the function is given
    width: float
    resolution: int  # pixels per side
    num_classes: int
    dropout: float
    drop_path: float
    counts: Counts

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def to_yaml(self) -> str:
        """The member as YAML text; `from_yaml` gives an equal one."""
        return _HEADING + dump({"kind": "user-model-member", **asdict(self)})

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "member") -> "UserMember":
        """Read what `to_yaml` wrote.

        Raises:
            InvalidArchitecture: naming the line and the key at fault.
        """
        return parse(text, cls, source=source, error=InvalidArchitecture, kind="user-model-member")


def read_member(text: str, *, source: str) -> Member | UserMember:
    """The member in a YAML text, of whichever kind it is.

    Raises:
        InvalidArchitecture: if it is none; the message names line and key.
    """
    if kind_of(text) == "user-model-member":
        return UserMember.from_yaml(text, source=source)
    return Member.from_yaml(text, source=source)


@dataclass(frozen=True, slots=True)
class Growths:
    """Coefficients of a family, for members above and below its base."""

    up: Coefficients
    down: Coefficients | None = None  # as for growing: a member of phi = -1 is divided by them

    def at(self, phi: float) -> Growth:
        """The multipliers of size `phi`."""
        own = self.down if phi < 0 and self.down is not None else self.up
        return Growth(own.alpha**phi, own.beta**phi, own.gamma**phi)


def network_at(base: Scalable, growths: Growths, phi: float) -> Network:
    """The network of size `phi`; 0 is the base."""
    growth = growths.at(phi)
    return base.at(growth.depth, growth.width, int(base.pixels(growth.resolution)))


def member(base: Scalable, growths: Growths, phi: float, *, name: str) -> Member | UserMember:
    """The member of size `phi`; 0 is the base, negative sizes are smaller.

    Dropout grows with phi as from B0 (0.2) to B7 (0.5); drop-path stays at B0's 0.2. Both as in the
    released EfficientNets (Tan & Le 2019, section 5.2); smaller members get less.
    """
    growth, network = growths.at(phi), network_at(base, growths, phi)
    found = cost_of(network)
    common: dict[str, Any] = {
        "name": name,
        "phi": phi,
        "depth": growth.depth,
        "width": growth.width,
        "dropout": round(min(0.5, max(0.0, 0.2 + 0.3 * phi / 7)), 4),
        "drop_path": round(min(0.2, max(0.0, 0.2 + 0.2 * phi / 7)), 4),
        "counts": Counts(
            macs=int(found.macs), params=int(found.params), activations=int(found.activations)
        ),
    }
    if isinstance(network, Architecture):
        return Member(**common, resolution=growth.resolution, architecture=network)
    return UserMember(
        **common,
        resolution=network.resolution,
        model=network.model,
        num_classes=network.num_classes,
    )


def phi_for(base: Scalable, growths: Growths, budget: Budget) -> float:
    """The largest phi, to a hundredth, whose network keeps the budget.

    Cost is a staircase in phi that is taken never to fall, so the network may cost noticeably less.

    Raises:
        BudgetUnreachable: if even the smallest size costs more.
        InvalidSetting: if the budget's measure does not grow with phi.
    """
    phis = _sizes(growths)

    def spent(place: int) -> float:
        # By the formulas: the largest sizes are beyond what a design may be.
        depth, width, resolution = growths.at(phis[place])
        factors = np.array([depth]), np.array([width]), np.array([int(base.pixels(resolution))])
        return float(budget.measure.count(base.costs(*factors)).item())

    base_place = phis.index(0.0)
    grows = spent(base_place) <= budget.limit
    low, high = (base_place, len(phis) - 1) if grows else (0, base_place)
    least = spent(low)
    if least >= spent(high):
        raise InvalidSetting(
            f"the {budget.measure.unit} of this family do not grow with phi; give another "
            "measure, or sizes with --phi"
        )
    if least > budget.limit:
        raise BudgetUnreachable(
            f"no size of this family costs at most {budget.text}; the smallest, phi {phis[0]:g}, "
            f"costs {format_count(least)}"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if spent(middle) <= budget.limit else (low, middle - 1)
    return phis[low]


def _sizes(growths: Growths) -> list[float]:
    """Every phi to a hundredth whose counts still fit 64 bits."""
    phis = [step / 100 for step in range(round(LEAST_PHI * 100), round(MOST_PHI * 100) + 1)]
    return [phi for phi in phis if growths.at(phi).nominal < MOST_GROWTH]


def stalls(members: Sequence[Member | UserMember]) -> list[str]:
    """Where rounding breaks the order of sizes: a larger phi that does not cost more."""
    lines = []
    ordered = sorted(members, key=lambda m: m.phi)
    for smaller, larger in pairwise(ordered):
        if smaller.phi == larger.phi or larger.counts.macs > smaller.counts.macs:
            continue
        if larger.counts == smaller.counts:
            lines.append(f"{larger.name} is the same network as {smaller.name} after rounding")
        else:
            lines.append(
                f"{larger.name} costs {format_count(larger.counts.macs)} multiply-adds, no more "
                f"than the smaller {smaller.name} ({format_count(smaller.counts.macs)})"
            )
    return lines


def parse_phis(text: str) -> tuple[float, ...]:
    """Read `0..7` as 0, 1, ... 7 and `0,0.5,1` as these.

    Raises:
        InvalidSetting: for anything else, or a size outside -8..12.
    """
    is_range = ".." in text
    try:
        values = [int(v) if is_range else float(v) for v in text.split(".." if is_range else ",")]
    except ValueError:
        raise InvalidSetting(f"not sizes: {text!r}; write 0..7 or 0,0.5,1") from None
    if not all(LEAST_PHI <= value <= MOST_PHI for value in values):
        raise InvalidSetting(f"phi must lie in {LEAST_PHI:g}..{MOST_PHI:g}, got {text!r}")
    if not is_range:
        return tuple(float(value) for value in values)
    if len(values) != 2 or values[1] < values[0]:
        raise InvalidSetting(f"not a range of sizes: {text!r}; write the smaller first, as 0..7")
    return tuple(float(value) for value in range(int(values[0]), int(values[1]) + 1))
