"""The depthwise separable convolution (Howard et al. 2017)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings, excited
from autoscale.design.blocks.layers import DEPTHWISE, Conv, Layout, returned
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """Filter each channel, re-weight, mix channels; both convolutions are activated."""
    act = block.activation
    return Layout(
        (
            Conv(width_in, block.kernel, stride, DEPTHWISE, act, "depthwise"),
            *excited(block, width_in),
            Conv(width, act=act, name="pointwise"),
        ),
        returned(block.skip, width_in, width, stride),
    )


SEPARABLE = BlockKind(
    name="separable",
    fields=frozenset({"kernel", "se_ratio", "skip", "activation"}),
    layout=_layout,
)
