"""One full convolution."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings, excited
from autoscale.design.blocks.layers import Conv, Layout, returned
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """An activated convolution, re-weighted."""
    return Layout(
        (
            Conv(width, block.kernel, stride, act=block.activation, name="conv"),
            *excited(block, width_in),
        ),
        returned(block.skip, width_in, width, stride),
    )


CONV = BlockKind(
    name="conv",
    fields=frozenset({"kernel", "se_ratio", "skip", "activation"}),
    layout=_layout,
)
