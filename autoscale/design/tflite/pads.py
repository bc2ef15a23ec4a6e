"""Pixels around a map before a window passes over it."""

from collections.abc import Callable
from typing import NamedTuple

from autoscale.aspect import ImageSize
from autoscale.design.blocks.layers import Conv, MapSize, output_size
from autoscale.design.style import Padding


class Around(NamedTuple):
    """Pixels at the two ends of a side."""

    before: int  # above, or left
    after: int  # below, or right


class Pads(NamedTuple):
    """Pixels around a map."""

    height: Around
    width: Around


#: Of a window that stays within its map.
NO_PADS = Pads(Around(0, 0), Around(0, 0))


def pads_of(layer: Conv, size: MapSize, padding: Padding) -> Pads:
    """Of a convolution for a map of `size`."""
    kernel, stride = layer.kernel, layer.stride
    if layer.patches:
        return _of_sides(lambda side: Around(0, -side % kernel), size)
    if stride > 1 and padding == "same":
        return same_pads(size, kernel, stride)
    return symmetric_pads(size, kernel, stride)


def same_pads(size: MapSize, kernel: int, stride: int) -> Pads:
    """TensorFlow's padding "same" of a map of `size`."""

    def around(side: int) -> Around:
        total = max((output_size(side, stride) - 1) * stride + kernel - side, 0)
        return Around(total // 2, total - total // 2)

    return _of_sides(around, size)


def symmetric_pads(size: MapSize, kernel: int, stride: int) -> Pads:
    """Half a kernel before, and after it as much as the last window reaches."""
    before = kernel // 2

    def around(side: int) -> Around:
        last = (output_size(side, stride) - 1) * stride + kernel
        return Around(before, max(last - side - before, 0))

    return _of_sides(around, size)


def padded_size(size: MapSize, pads: Pads) -> MapSize:
    """The size of a map with its pads."""
    if isinstance(size, ImageSize):
        return ImageSize(size.height + sum(pads.height), size.width + sum(pads.width))
    return size + sum(pads.height)


def need_operation(pads: Pads, size: MapSize, kernel: int, stride: int) -> bool:
    """Whether a TensorFlow Lite file pads a map by an operation of its own: windows of its
    operations reach beyond a map not at all, or as "same" says."""
    return pads != NO_PADS and pads != same_pads(size, kernel, stride)


def _of_sides(around: Callable[[int], Around], size: MapSize) -> Pads:
    if isinstance(size, ImageSize):
        return Pads(around(size.height), around(size.width))
    both = around(size)
    return Pads(both, both)
