"""Pixels around a map before a window passes over it."""

from autoscale.design.blocks.layers import Conv, output_size
from autoscale.design.style import Padding

Pads = tuple[int, int]  # pixels before (above, left) and after (below, right)


def pads_of(layer: Conv, size: int, padding: Padding) -> Pads:
    """Of a convolution for a map of `size` pixels per side."""
    if layer.patches:
        return 0, -size % layer.kernel
    if layer.stride > 1 and padding == "same":
        return same_pads(size, layer.kernel, layer.stride)
    return symmetric_pads(size, layer.kernel, layer.stride)


def same_pads(size: int, kernel: int, stride: int) -> Pads:
    """TensorFlow's padding "same" of a side of `size` pixels."""
    total = max((output_size(size, stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def symmetric_pads(size: int, kernel: int, stride: int) -> Pads:
    """Half a kernel before, and after it as much as the last window reaches."""
    before = kernel // 2
    return before, max((output_size(size, stride) - 1) * stride + kernel - size - before, 0)


def need_operation(pads: Pads, size: int, kernel: int, stride: int) -> bool:
    """Whether a TensorFlow Lite file pads a map by an operation of its own: windows of its
    operations reach beyond a map not at all, or as "same" says."""
    return any(pads) and pads != same_pads(size, kernel, stride)
