"""The universal inverted bottleneck of MobileNetV4 (Qin et al. 2024)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings, expanded_width
from autoscale.design.blocks.layers import DEPTHWISE, Conv, Layout, returned
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """Filter each channel by `start_kernel`, expand, filter by `kernel`, project linearly; a kernel
    of 0 leaves its filter out.

    The stride sits on the second filter, without one on the first, without both on the expansion.
    The expanded width is a multiple of 8. Source: timm, models/_efficientnet_blocks.py.
    """
    act, hidden = block.activation, expanded_width(width_in, block.expand_ratio)
    start, middle = block.start_kernel, block.kernel
    branch: list[Conv] = []
    if start:
        branch.append(Conv(width_in, start, 1 if middle else stride, DEPTHWISE, name="start"))
    branch.append(Conv(hidden, 1, 1 if start or middle else stride, act=act, name="expand"))
    if middle:
        branch.append(Conv(hidden, middle, stride, DEPTHWISE, act, "depthwise"))
    branch.append(Conv(width, name="project"))
    return Layout(tuple(branch), returned(block.skip, width_in, width, stride))


UNIVERSAL = BlockKind(
    name="universal",
    fields=frozenset({"kernel", "start_kernel", "expand_ratio", "skip", "activation"}),
    layout=_layout,
    whole_ratio=False,
    kernel_or_none=True,
)
