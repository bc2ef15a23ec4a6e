"""How depth, width and resolution grow: multipliers to a new design.

Compound scaling (Tan & Le 2019, section 3.3) multiplies depth by alpha**phi, width by beta**phi and
resolution by gamma**phi. Networks come in whole blocks, channels and pixels; a `Rounding` says
how the multipliers become whole numbers, and decides much of the real cost.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from math import ceil, inf
from typing import Literal

from autoscale.aspect import SQUARE, Aspect, image_size, written
from autoscale.design.architecture import Architecture, Sizes
from autoscale.design.numbers import Number, ceiling, choose, floor, larger, nearest
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
            if not 0 < value < inf:
                raise InvalidSetting(f"{name} must be a number above 0, got {value}")

    @property
    def nominal(self) -> float:
        """Growth of the multiply-adds if nothing were rounded: alpha * beta**2 * gamma**2."""
        return self.alpha * self.beta**2 * self.gamma**2


#: The paper's grid search around B0 (section 4, step 1).
PAPER = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """A policy that turns multipliers into whole blocks, channels and pixels.

    Its methods take numbers, or numpy arrays of them.
    """

    name: str
    repeats: Literal["ceil", "nearest"]
    divisor: int = 8  # channels are multiples of it
    # Between two multiples: the nearest, with halves to the even or to the upper one; or the lower.
    widths: Literal["half-even", "half-up", "down"] = "half-even"
    keep_nine_tenths: bool = False  # never round a width below 90 % of what was asked
    resolution_step: int = 1  # pixels
    scale_stem: bool = True
    scale_head: bool = True
    shrink_head: bool = True  # whether a factor below 1 reaches the head
    deepen_ends: bool = True  # whether the first and the last stage get more blocks

    def width(self, width: Number, factor: Number) -> Number:
        """Channels of a layer of `width` channels that should become `factor` times wider."""
        scaled = width * factor
        if self.widths == "half-even":
            multiples = nearest(scaled / self.divisor)
        else:
            half = self.divisor / 2 if self.widths == "half-up" else 0
            multiples = floor(scaled + half) // self.divisor
        rounded = larger(self.divisor, multiples * self.divisor)
        if self.keep_nine_tenths:
            rounded = rounded + self.divisor * (rounded < 0.9 * scaled)
        return choose(factor == 1, width, rounded)

    def depth(self, depth: int, factor: Number) -> Number:
        """Blocks of a stage of `depth` blocks that should become `factor` times deeper."""
        return larger(1, (ceiling if self.repeats == "ceil" else nearest)(depth * factor))

    def resolution(self, resolution: int, factor: Number) -> Number:
        """Pixels per side of an input that should become `factor` times larger."""
        step = self.resolution_step
        rounded = larger(step, nearest(resolution * factor / step) * step)
        return choose(factor == 1, resolution, rounded)

    def sizes(
        self, base: Architecture, *, depth: Number, width: Number, resolution: Number
    ) -> Sizes:
        """The sizes of `base` times `depth` and `width`, at `resolution` pixels per side."""
        last = len(base.stages) - 1
        stem, head = base.stem.width, base.head.width
        growth = width if self.shrink_head else larger(1.0, width)
        return Sizes(
            resolution,
            self.width(stem, width) if self.scale_stem else stem,
            tuple(self.width(stage.width, width) for stage in base.stages),
            tuple(
                stage.depth
                if not stage.kind.deepens or (number in (0, last) and not self.deepen_ends)
                else self.depth(stage.depth, depth)
                for number, stage in enumerate(base.stages)
            ),
            self.width(head, growth) if self.scale_head and head else head,
        )


ROUNDINGS: Mapping[str, Rounding] = {
    rounding.name: rounding
    for rounding in (
        # The released EfficientNet code.
        Rounding(name="tf", repeats="ceil", widths="half-up", keep_nine_tenths=True),
        # pycls' rule (Dollar et al. 2021), unbiased.
        Rounding(name="nearest", repeats="nearest", resolution_step=4),
        # EfficientNet-Lite: as `tf` with stem, head and the ends' depth left alone.
        Rounding(
            name="lite", repeats="ceil", widths="half-up", keep_nine_tenths=True,
            scale_stem=False, scale_head=False, deepen_ends=False,
        ),
        # EfficientNetV2: as `tf`, but a width may lose more than a tenth.
        Rounding(name="v2", repeats="ceil", widths="half-up"),
        # MobileNetV2: as `tf`, and the head never shrinks.
        Rounding(
            name="mobilenet-v2", repeats="ceil", widths="half-up", keep_nine_tenths=True,
            shrink_head=False,
        ),
        # TinyNet: as `tf` with the nearest depth, stem and head left alone.
        Rounding(
            name="tinynet", repeats="nearest", widths="half-up", keep_nine_tenths=True,
            scale_stem=False, scale_head=False,
        ),
        # Networks whose widths are no multiples of anything (MobileNetV1, ResNet): cut off.
        Rounding(name="int", repeats="ceil", divisor=1, widths="down"),
    )
}  # fmt: skip


#: Changes that may follow a policy's name.
MODIFIERS = "fixed-ends, divisor=N"


def rounding_policy(text: str) -> Rounding:
    """The rounding policy of that name, perhaps changed: `tf`, `nearest,divisor=4,fixed-ends`.

    `divisor=N` rounds channels to multiples of N; `fixed-ends` leaves the width of stem and head
    alone. The policy's name is the text, so that reading it again gives an equal policy.

    Raises:
        InvalidSetting: if there is none; the message lists them.
    """
    name, *changes = [part.strip() for part in text.split(",")]
    if name not in ROUNDINGS:
        raise InvalidSetting(f"no rounding policy {name!r}; choose from {', '.join(ROUNDINGS)}")
    policy = ROUNDINGS[name]
    for change in changes:
        if change == "fixed-ends":
            policy = replace(policy, scale_stem=False, scale_head=False)
        elif (found := re.fullmatch(r"divisor=(\d{1,4})", change)) and int(found.group(1)) > 0:
            policy = replace(policy, divisor=int(found.group(1)))
        else:
            raise InvalidSetting(
                f"no change {change!r} of a rounding policy; known are {MODIFIERS} (N above 0)"
            )
    return replace(policy, name=",".join([name, *changes]))


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
    if not 0 < depth < inf or not 0 < width < inf:
        raise InvalidSetting(
            f"multipliers must be numbers above 0, got depth {depth} and width {width}"
        )
    return base.resized(
        rounding.sizes(
            base,
            depth=depth,
            width=width,
            resolution=base.resolution if resolution is None else resolution,
        )
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


#: Pixels that both sides of the last map have at least, if strides can be taken away.
SMALLEST_MAP = 4


def fit_strides(architecture: Architecture, *, smallest_map: int = SMALLEST_MAP) -> Architecture:
    """Take downsampling away until both sides of the last map have `smallest_map` pixels or more.

    The stem loses its pooling and stride first (patches of 4 pixels become patches of 2, and these
    a 3x3 convolution), then the stages from the first on, so that small images keep the detail that
    early layers see. A design that fits is returned unchanged.

    Raises:
        InvalidSetting: if a side of the images itself is below `smallest_map`.
    """
    if min(architecture.image_size) < smallest_map:
        aspect = architecture.aspect
        enough = (n for n in count(smallest_map) if image_size(n, aspect).width >= smallest_map)
        wide = "" if aspect == SQUARE else f" at aspect {written(aspect)}"
        raise InvalidSetting(
            f"resolution must be at least {next(enough)} pixels{wide}, got "
            f"{architecture.resolution}"
        )
    while last_map(architecture) < smallest_map:
        stem = architecture.stem
        if stem.pool:
            stem = stem.with_stride(stem.stride, pool=False)
            architecture = replace(architecture, stem=stem)
        elif stem.stride > 1:
            stem = stem.with_stride(stem.stride // 2, pool=False)
            architecture = replace(architecture, stem=stem)
        else:
            stages = list(architecture.stages)
            first = next(i for i, stage in enumerate(stages) if stage.stride > 1)
            stages[first] = replace(stages[first], stride=1)
            architecture = replace(architecture, stages=tuple(stages))
    return architecture


#: Where a side has fewer pixels, a network made for larger images is taken with fewer strides.
SMALL = 128


def at_resolution(
    design: Architecture, resolution: int, aspect: Aspect | None = None
) -> Architecture:
    """A finished design for images of another size; with fewer strides where these are small.

    Args:
        aspect: the design's own if not given.

    Raises:
        InvalidSetting: as `fit_strides`.
    """
    aspect = design.aspect if aspect is None else aspect
    asked = replace(design, resolution=resolution, aspect=aspect)
    if asked.image_size == design.image_size or min(asked.image_size) >= SMALL:
        return asked
    return fit_strides(asked)


def last_map(architecture: Architecture) -> int:
    """Pixels of the shorter side of the map that global pooling reads."""
    return ceil(min(architecture.image_size) / architecture.reduction)
