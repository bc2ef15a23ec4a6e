"""The block of ConvNeXts (Liu et al. 2022)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Conv,
    Layer,
    LayerNorm,
    LayerScale,
    Layout,
    Shortcut,
)
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """Filter each channel, layer norm, expand, activate, project, scale each channel.

    Where size or width change, a layer norm and a convolution of patches, as large as the stride,
    come first. Source: facebookresearch/ConvNeXt, models/convnext.py; timm, models/convnext.py.
    """
    changed = (width_in != width) | (stride != 1)
    entry: tuple[Layer, ...] = ()
    if changed is not False:
        entry = (LayerNorm(), Conv(width, stride, stride, name="conv", norm=None))
    return Layout(
        (
            Conv(width, block.kernel, groups=DEPTHWISE, name="depthwise", norm="layer"),
            Conv(width * block.expand_ratio, act=block.activation, name="expand", norm=None),
            Conv(width, name="project", norm=None),
            LayerScale(1e-6),
        ),
        Shortcut(True),
        entry=entry,
        enters=changed,
    )


CONVNEXT = BlockKind(
    name="convnext",
    fields=frozenset({"kernel", "expand_ratio", "activation"}),
    layout=_layout,
)
