"""The bottleneck of ResNeXts (Xie et al. 2017): its middle convolution keeps groups apart."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings
from autoscale.design.blocks.layers import Conv, Layout, projected
from autoscale.design.numbers import Number, larger


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """1x1 to half the width, a convolution in `groups` with the stride, 1x1 back.

    Half, rounded down to a multiple of the groups, is the paper's template 32x4d (Table 1).
    """
    act, groups = block.activation, block.groups
    hidden = larger(1, width // (2 * groups)) * groups
    return Layout(
        (
            Conv(hidden, act=act),
            Conv(hidden, block.kernel, stride, groups, act),
            Conv(width),
        ),
        projected(width_in, width, stride),
        act,
    )


RESNEXT = BlockKind(
    name="resnext",
    fields=frozenset({"kernel", "groups", "activation"}),
    layout=_layout,
)
