"""A family: one baseline at many sizes."""

from dataclasses import asdict, dataclass
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.document import NO_UNKNOWN_KEYS, dump, parse
from autoscale.design.scaling import Coefficients, Rounding, compound
from autoscale.errors import BudgetUnreachable, InvalidArchitecture, InvalidSetting

#: Sizes that are tried for a budget.
LEAST_PHI, MOST_PHI = -8.0, 12.0


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
        return (
            "# counts.macs: multiply-adds of convolutions and linear layers for one image, the\n"
            "# papers' FLOPs; counts.activations: outputs of convolutions and of the classifier.\n"
        ) + dump(data)

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "member") -> "Member":
        """Read what `to_yaml` wrote.

        Raises:
            InvalidArchitecture: naming the line and the key at fault.
        """
        return parse(text, cls, source=source, error=InvalidArchitecture)


def counts(architecture: Architecture) -> Counts:
    """The counts that a member states."""
    found = cost(architecture)
    return Counts(macs=found.macs, params=found.params, activations=found.activations)


def member(
    base: Architecture, coefficients: Coefficients, phi: float, *, rounding: Rounding, name: str
) -> Member:
    """The member of size `phi`; 0 is the baseline, negative sizes are smaller.

    Dropout grows with phi as from B0 (0.2) to B7 (0.5); drop-path stays at B0's 0.2. Both as in the
    released EfficientNets (Tan & Le 2019, section 5.2); smaller members get less.
    """
    architecture = compound(base, coefficients, phi, rounding=rounding)
    return Member(
        name=name,
        phi=phi,
        depth=coefficients.alpha**phi,
        width=coefficients.beta**phi,
        resolution=coefficients.gamma**phi,
        dropout=round(min(0.5, max(0.0, 0.2 + 0.3 * phi / 7)), 4),
        drop_path=round(min(0.2, max(0.0, 0.2 + 0.2 * phi / 7)), 4),
        counts=counts(architecture),
        architecture=architecture,
    )


def phi_for(
    base: Architecture, coefficients: Coefficients, macs: int, *, rounding: Rounding
) -> float:
    """The largest phi, to a hundredth, whose network costs at most `macs` multiply-adds.

    Cost is a staircase in phi that never falls where no coefficient is below 1, so the network may
    cost noticeably less.

    Raises:
        BudgetUnreachable: if even the smallest size costs more.
        InvalidSetting: if a coefficient is below 1, or none is above.
    """
    if min(coefficients.alpha, coefficients.beta, coefficients.gamma) < 1 or (
        coefficients.nominal <= 1
    ):
        raise InvalidSetting(
            f"alpha {coefficients.alpha:g}, beta {coefficients.beta:g}, gamma "
            f"{coefficients.gamma:g} do not grow; none may be below 1 and one must be above"
        )

    def fits(step: int) -> bool:
        return cost(compound(base, coefficients, step / 100, rounding=rounding)).macs <= macs

    low, high = round(LEAST_PHI * 100), round(MOST_PHI * 100)
    if not fits(low):
        least = cost(compound(base, coefficients, LEAST_PHI, rounding=rounding)).macs
        raise BudgetUnreachable(
            f"no size of this family costs at most {macs:,} multiply-adds; the smallest, phi "
            f"{LEAST_PHI:g}, costs {least:,}"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low / 100


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
