"""What a block is made of: layers as values, in the order in which a map passes them.

A layer says what it makes; what it is given follows from the layers before it (`flow`). Costs,
latency features, modules and exported source are all worked out from these values, so none of them
knows any block by name. Widths and sizes may be numpy arrays, which stand for many designs at once.
The size of a map is one number where it is square, for most are, and a search counts thousands of
networks a second; where it is not, height and width.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from autoscale.aspect import SQUARE, Aspect, ImageSize, image_size
from autoscale.design.numbers import Number

Activation = Literal["relu", "relu6", "silu", "hswish", "gelu"]
Skip = Literal["identity", "pool", "none"]
NormKind = Literal["batch", "layer"]
Gate = Literal["sigmoid", "hsigmoid"]
MapSize = Any  # pixels per side of a square, or an `ImageSize`

#: `Conv.groups` of a convolution that filters every channel by itself.
DEPTHWISE = 0


class Conv(NamedTuple):
    """A convolution, its norm, and the activation if one is named.

    Batch norm is without a bias, anything else with one. A side of n pixels becomes
    ceil(n / stride). Where a kernel above 1 is as large as the stride, it sees patches: each pixel
    once, and zeros below and right of a map that they do not fill.
    """

    width: Number  # output channels
    kernel: int = 1  # pixels
    stride: int = 1
    groups: int = 1  # of channels that do not see each other, or DEPTHWISE
    act: Activation | None = None
    name: str = ""  # in its branch; "" is its number
    norm: NormKind | None = "batch"

    @property
    def patches(self) -> bool:
        """Whether it sees each pixel once."""
        return self.kernel == self.stride > 1


class SqueezeExcite(NamedTuple):
    """Channels re-weighted by what the whole map shows. Source: Hu et al. 2018."""

    squeeze: Number  # channels within
    act: Activation
    name: str = "excite"
    gate: Gate = "sigmoid"


class LayerNorm(NamedTuple):
    """Each pixel's channels brought to mean 0 and variance 1, then scaled and shifted."""

    name: str = "norm"


class LayerScale(NamedTuple):
    """A factor for each channel, `initial` at first. Source: Touvron et al. 2021."""

    initial: float
    name: str = "scale"


class Pool(NamedTuple):
    """The mean or the largest of each window; padding is never counted."""

    kind: Literal["average", "max"]
    kernel: int
    stride: int
    name: str = "pool"


class GlobalPool(NamedTuple):
    """The mean of each channel."""

    name: str = "pool"


class Linear(NamedTuple):
    """A matrix and a bias for the numbers that global pooling left: the classifier."""

    width: Number  # outputs
    name: str = "classifier"


Layer = Conv | SqueezeExcite | LayerNorm | LayerScale | Pool | GlobalPool | Linear


class Shortcut(NamedTuple):
    """The way of a block's input past its branch."""

    added: Number  # truth: whether there is one
    layer: Conv | Pool | None = None  # what it leads through
    passes: Number = True  # truth: whether it does lead through `layer`


class Layout(NamedTuple):
    """A block: the sum of a branch and a shortcut. Without a branch it is the shortcut alone.

    `entry` are layers before both, where a block needs its input in its own size and width.
    """

    branch: tuple[Layer, ...]
    shortcut: Shortcut = Shortcut(False)
    act: Activation | None = None  # of the sum
    entry: tuple[Layer, ...] = ()
    enters: Number = True  # truth: whether `entry` is there


class Step(NamedTuple):
    """A layer with the map that it is given, and the map that it makes."""

    layer: Layer
    width: Number
    size: MapSize
    width_out: Number
    size_out: MapSize


def flow(layers: Iterable[Layer], width: Number, size: MapSize) -> Iterator[Step]:
    """Each of `layers` where it stands.

    Args:
        width: channels of the map that the first layer is given.
        size: of that map.
    """
    for layer in layers:
        width_out, size_out = width, size
        if isinstance(layer, Conv | Linear):
            width_out = layer.width
        if isinstance(layer, GlobalPool):
            size_out = 1
        elif isinstance(layer, Conv | Pool):
            size_out = output_size(size, layer.stride)
        yield Step(layer, width, size, width_out, size_out)
        width, size = width_out, size_out


# The size of a map.


def map_size(resolution: Number, aspect: Aspect) -> MapSize:
    """The size of images of that resolution."""
    if aspect is SQUARE or aspect == SQUARE:
        return resolution
    return image_size(resolution, aspect)


def sides(size: MapSize) -> ImageSize:
    """Height and width."""
    return size if type(size) is ImageSize else ImageSize(size, size)


def area(size: MapSize) -> Number:
    """Pixels of a map."""
    if type(size) is ImageSize:
        return size.height * size.width
    return size * size


def output_size(size: MapSize, stride: Number) -> MapSize:
    """A map after a layer of `stride`: each side divided by it, rounded up."""
    if type(size) is ImageSize:
        return ImageSize(-(-size.height // stride), -(-size.width // stride))
    return -(-size // stride)


# Shortcuts. A condition on whole numbers is settled at once, so that equal blocks are equal values.


def returned(skip: Skip, width_in: Number, width: Number, stride: int) -> Shortcut:
    """A block's input where it fits; averaged over 3x3 pixels with the block's stride for "pool".

    "identity" needs equal size and width, "pool" equal width, "none" never returns.
    """
    fits = (width_in == width) & ((stride == 1) | (skip == "pool"))
    if fits is False or skip == "none":
        return Shortcut(False)
    return Shortcut(fits, Pool("average", 3, stride) if skip == "pool" else None)


def projected(width_in: Number, width: Number, stride: int) -> Shortcut:
    """A block's input, by a 1x1 convolution where size or width change (He et al. 2016, B)."""
    changed = (width_in != width) | (stride != 1)
    if changed is False:
        return Shortcut(True)
    return Shortcut(True, Conv(width, stride=stride), changed)


def is_inverted(layout: Layout) -> bool:
    """Whether a branch perhaps expands, filters each channel, perhaps re-weights by a sigmoid, and
    ends with a 1x1 convolution, all with batch norm: what `network.kernels` computes as one layer.
    """
    convs = [layer for layer in layout.branch if isinstance(layer, Conv) and layer.norm == "batch"]
    gates = [layer.gate for layer in layout.branch if isinstance(layer, SqueezeExcite)]
    if len(convs) not in (2, 3) or gates not in ([], ["sigmoid"]):
        return False
    if len(convs) + len(gates) < len(layout.branch):
        return False
    *expand, filtered, last = [(conv.kernel, conv.groups) for conv in convs]
    return filtered[1] == DEPTHWISE and last == (1, 1) and expand in ([], [(1, 1)])
