"""The bottleneck of deep ResNets (He et al. 2016)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings
from autoscale.design.blocks.layers import Conv, Layout, projected
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """1x1 to a quarter of the width, a full convolution with the stride ("v1.5"), 1x1 back."""
    act, hidden = block.activation, width // 4
    return Layout(
        (Conv(hidden, act=act), Conv(hidden, block.kernel, stride, act=act), Conv(width)),
        projected(width_in, width, stride),
        act,
    )


BOTTLENECK = BlockKind(
    name="bottleneck",
    fields=frozenset({"kernel", "activation"}),
    layout=_layout,
    least_width=4,
)
