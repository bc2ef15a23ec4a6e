"""The inverted bottleneck of MobileNetV3 (Howard et al. 2019)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings, expanded_width, multiple_of_8
from autoscale.design.blocks.layers import DEPTHWISE, Conv, Layout, SqueezeExcite, returned
from autoscale.design.numbers import Number, floor


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """Expand (not for ratio 1) by a ratio that need not be whole, filter each channel, re-weight by
    a ReLU and a hard sigmoid, project linearly.

    Widths within are multiples of 8, and the squeezed one is a share of the *expanded* width.
    Source: torchvision, models/mobilenetv3.py.
    """
    act, hidden = block.activation, width_in
    branch: list[Conv | SqueezeExcite] = []
    if block.expand_ratio > 1:
        hidden = expanded_width(width_in, block.expand_ratio)
        branch.append(Conv(hidden, act=act, name="expand"))
    branch.append(Conv(hidden, block.kernel, stride, DEPTHWISE, act, "depthwise"))
    if block.se_ratio > 0:
        squeeze = multiple_of_8(floor(hidden * block.se_ratio))
        branch.append(SqueezeExcite(squeeze, "relu", gate="hsigmoid"))
    branch.append(Conv(width, name="project"))
    return Layout(tuple(branch), returned(block.skip, width_in, width, stride))


MOBILENET_V3 = BlockKind(
    name="mobilenet-v3",
    fields=frozenset({"kernel", "expand_ratio", "se_ratio", "skip", "activation"}),
    layout=_layout,
    whole_ratio=False,
)
