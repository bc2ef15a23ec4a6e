"""The block of shallow ResNets (He et al. 2016)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings
from autoscale.design.blocks.layers import Conv, Layout, projected
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """Two full convolutions, the first with the stride."""
    act = block.activation
    return Layout(
        (Conv(width, block.kernel, stride, act=act), Conv(width, block.kernel)),
        projected(width_in, width, stride),
        act,
    )


BASIC = BlockKind(name="basic", fields=frozenset({"kernel", "activation"}), layout=_layout)
