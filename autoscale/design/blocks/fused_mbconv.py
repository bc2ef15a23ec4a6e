"""The fused inverted bottleneck (Tan & Le 2021)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings, excited
from autoscale.design.blocks.layers import Conv, Layout, returned
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """A full convolution to the expanded width, re-weight, project linearly; with ratio 1 a single
    activated convolution."""
    expanded = block.expand_ratio > 1
    hidden = width_in * block.expand_ratio if expanded else width
    return Layout(
        (
            Conv(hidden, block.kernel, stride, act=block.activation, name="expand"),
            *excited(block, width_in),
            *((Conv(width, name="project"),) if expanded else ()),
        ),
        returned(block.skip, width_in, width, stride),
    )


FUSED_MBCONV = BlockKind(
    name="fused-mbconv",
    fields=frozenset({"kernel", "expand_ratio", "se_ratio", "skip", "activation"}),
    layout=_layout,
)
