"""How depth, width and resolution grow: multipliers to a new design.

Compound scaling (Tan & Le 2019, section 3.3) multiplies depth by alpha**phi, width by beta**phi and
resolution by gamma**phi. Networks come in whole blocks, channels and pixels; a `Rounding` says
how the multipliers become whole numbers, and decides much of the real cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """Growth of depth, width and resolution for one step of phi."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not value > 0:
                raise InvalidSetting(f"{name} must be above 0, got {value}")

    @property
    def nominal(self) -> float:
        """Growth of the multiply-adds if nothing were rounded: alpha * beta**2 * gamma**2."""
        return self.alpha * self.beta**2 * self.gamma**2


#: The paper's grid search around B0 (section 4, step 1).
PAPER = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """A policy that turns multipliers into whole blocks, channels and pixels."""

    name: str
    repeats: Literal["ceil", "nearest"]
    divisor: int = 8  # channels are multiples of it
    keep_nine_tenths: bool = False  # never round a width below 90 % of what was asked
    resolution_step: int = 1  # pixels
    scale_stem: bool = True
    scale_head: bool = True
    deepen_ends: bool = True  # whether the first and the last stage get more blocks

    def width(self, width: int, factor: float) -> int:
        """Channels of a layer of `width` channels that should become `factor` times wider."""
        if factor == 1:
            return width
        scaled = width * factor
        if self.keep_nine_tenths:
            # The released code: halves go up, and rounding up where over 10 % would be lost.
            rounded = max(
                self.divisor, int(scaled + self.divisor / 2) // self.divisor * self.divisor
            )
            return rounded + self.divisor if rounded < 0.9 * scaled else rounded
        return max(self.divisor, round(scaled / self.divisor) * self.divisor)

    def depth(self, depth: int, factor: float) -> int:
        """Blocks of a stage of `depth` blocks that should become `factor` times deeper."""
        return ceil(depth * factor) if self.repeats == "ceil" else max(1, round(depth * factor))

    def resolution(self, resolution: int, factor: float) -> int:
        """Pixels per side of an input that should become `factor` times larger."""
        step = self.resolution_step
        return max(step, round(resolution * factor / step) * step)


#: `tf`: the released EfficientNet code. `nearest`: pycls' rule (Dollar et al. 2021), unbiased.
#: `lite`: EfficientNet-Lite, as `tf` with stem, head and the ends' depth left alone.
ROUNDINGS: Mapping[str, Rounding] = {
    rounding.name: rounding
    for rounding in (
        Rounding(name="tf", repeats="ceil", keep_nine_tenths=True),
        Rounding(name="nearest", repeats="nearest", resolution_step=4),
        Rounding(
            name="lite", repeats="ceil", keep_nine_tenths=True,
            scale_stem=False, scale_head=False, deepen_ends=False,
        ),
    )
}  # fmt: skip


def rounding_policy(name: str) -> Rounding:
    """The rounding policy of that name.

    Raises:
        InvalidSetting: if there is none; the message lists them.
    """
    if name not in ROUNDINGS:
        raise InvalidSetting(f"no rounding policy {name!r}; choose from {', '.join(ROUNDINGS)}")
    return ROUNDINGS[name]


def scale(
    base: Architecture,
    *,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: int | None = None,
    rounding: Rounding = ROUNDINGS["tf"],
) -> Architecture:
    """Multiply depth and width and set the resolution; `base` is unchanged.

    Args:
        resolution: pixels per side, already whole; the base's own if not given.

    Raises:
        InvalidSetting: if a multiplier is not above 0.
    """
    if not depth > 0 or not width > 0:
        raise InvalidSetting(f"multipliers must be above 0, got depth {depth} and width {width}")
    last = len(base.stages) - 1
    stages = tuple(
        replace(
            stage,
            width=rounding.width(stage.width, width),
            depth=stage.depth
            if stage.block == "identity" or (number in (0, last) and not rounding.deepen_ends)
            else rounding.depth(stage.depth, depth),
        )
        for number, stage in enumerate(base.stages)
    )
    stem, head = base.stem, base.head
    if rounding.scale_stem:
        stem = replace(stem, width=rounding.width(stem.width, width))
    if rounding.scale_head and head.width:
        head = replace(head, width=rounding.width(head.width, width))
    return replace(
        base,
        resolution=base.resolution if resolution is None else resolution,
        stem=stem,
        stages=stages,
        head=head,
    )


def compound(
    base: Architecture,
    coefficients: Coefficients,
    phi: float = 1.0,
    *,
    rounding: Rounding = ROUNDINGS["tf"],
) -> Architecture:
    """Scale all three dimensions together by `coefficients` to the power of `phi`.

    A negative `phi` shrinks. Source: Tan & Le 2019, equation 3.
    """
    return scale(
        base,
        depth=coefficients.alpha**phi,
        width=coefficients.beta**phi,
        resolution=rounding.resolution(base.resolution, coefficients.gamma**phi),
        rounding=rounding,
    )


def fit_strides(architecture: Architecture, *, smallest_map: int = 4) -> Architecture:
    """Take downsampling away until the last map has at least `smallest_map` pixels per side.

    The stem loses its pooling and stride first, then the stages from the first on, so that small
    images keep the detail that early layers see. A design that fits is returned unchanged.

    Raises:
        InvalidSetting: if the resolution itself is below `smallest_map`.
    """
    if architecture.resolution < smallest_map:
        raise InvalidSetting(
            f"resolution must be at least {smallest_map} pixels, got {architecture.resolution}"
        )
    while last_map(architecture) < smallest_map:
        stem = architecture.stem
        if stem.pool:
            architecture = replace(architecture, stem=replace(stem, pool=False))
        elif stem.stride > 1:
            architecture = replace(architecture, stem=replace(stem, stride=1))
        else:
            stages = list(architecture.stages)
            first = next(i for i, stage in enumerate(stages) if stage.stride > 1)
            stages[first] = replace(stages[first], stride=1)
            architecture = replace(architecture, stages=tuple(stages))
    return architecture


def last_map(architecture: Architecture) -> int:
    """Pixels per side of the map that global pooling reads."""
    return ceil(architecture.resolution / architecture.reduction)
