"""What all kinds of block have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autoscale.design.blocks.layers import Activation, Layout, Skip, SqueezeExcite
from autoscale.design.numbers import Number, floor, larger


class BlockSettings(Protocol):
    """What the blocks of a stage share; `Stage` says what each means."""

    @property
    def kernel(self) -> int: ...
    @property
    def start_kernel(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def expand_ratio(self) -> float: ...
    @property
    def se_ratio(self) -> float: ...
    @property
    def skip(self) -> Skip: ...
    @property
    def activation(self) -> Activation: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockKind:
    """A kind of block, as designs name it."""

    name: str
    fields: frozenset[str]  # the settings that it listens to
    #: From settings, input width, output width and stride to the layers.
    layout: Callable[[BlockSettings, Number, Number, int], Layout]
    least_width: int = 1  # output channels
    whole_ratio: bool = True  # whether expand_ratio is a whole number
    kernel_or_none: bool = False  # whether a kernel of 0 leaves its layer out
    deepens: bool = True  # whether a deeper stage is another network


def excited(settings: BlockSettings, width_in: Number) -> tuple[SqueezeExcite, ...]:
    """The re-weighting of a block with `width_in` input channels, if its settings want one."""
    squeeze = squeeze_width(width_in, settings.se_ratio)
    return (SqueezeExcite(squeeze, settings.activation),) if settings.se_ratio > 0 else ()


def squeeze_width(width_in: Number, se_ratio: float) -> Number:
    """Squeeze width of a block with `width_in` input channels; 0 is without.

    Source: the released EfficientNet code, `max(1, int(input width * ratio))`.
    """
    return larger(1, floor(width_in * se_ratio)) if se_ratio > 0 else 0


def expanded_width(width_in: Number, expand_ratio: float) -> Number:
    """Hidden channels for an `expand_ratio` that need not be whole: the nearest multiple of 8, or
    the next one where that would lose a tenth.

    Source: the released MobileNetV2 code, `make_divisible`.
    """
    return multiple_of_8(width_in * expand_ratio)


def multiple_of_8(value: Number) -> Number:
    """The multiple of 8 that the released MobileNet codes round a width to."""
    rounded = larger(8, floor(value + 4) // 8 * 8)
    return rounded + 8 * (rounded < 0.9 * value)
