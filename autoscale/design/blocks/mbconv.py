"""The inverted bottleneck (Sandler et al. 2018; Tan et al. 2019 for the re-weighting)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings, excited
from autoscale.design.blocks.layers import DEPTHWISE, Conv, Layout, returned
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """Expand (not for ratio 1), filter each channel, re-weight, project linearly."""
    act, hidden = block.activation, width_in * block.expand_ratio
    expand = (Conv(hidden, act=act, name="expand"),) if block.expand_ratio > 1 else ()
    return Layout(
        (
            *expand,
            Conv(hidden, block.kernel, stride, DEPTHWISE, act, "depthwise"),
            *excited(block, width_in),
            Conv(width, name="project"),
        ),
        returned(block.skip, width_in, width, stride),
    )


MBCONV = BlockKind(
    name="mbconv",
    fields=frozenset({"kernel", "expand_ratio", "se_ratio", "skip", "activation"}),
    layout=_layout,
)
