"""What Hugging Face transformers calls the parts of its EfficientNet.

Source: huggingface/transformers, src/transformers/models/efficientnet/modeling_efficientnet.py.
"""

from collections.abc import Iterable

from autoscale.design.style import STYLES
from autoscale.network.naming.layers import Layer, Names, Naming, renamed

#: Of a network with a classifier; without one it has no such prefix.
_PREFIX = "efficientnet."
_FIRST = "embeddings.convolution.weight"
_OUTSIDE = {
    "stem.0": "embeddings.convolution",
    "stem.1": "embeddings.batchnorm",
    "head.conv.0": "encoder.top_conv",
    "head.conv.1": "encoder.top_bn",
}
_LAYERS = {
    "expand.0": "expansion.expand_conv",
    "expand.1": "expansion.expand_bn",
    "depthwise.0": "depthwise_conv.depthwise_conv",
    "depthwise.1": "depthwise_conv.depthwise_norm",
    "excite.reduce": "squeeze_excite.reduce",
    "excite.expand": "squeeze_excite.expand",
    "project.0": "projection.project_conv",
    "project.1": "projection.project_bn",
}


def transformers_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What transformers' EfficientNet calls each of our names, from the names alone.

    Raises:
        InvalidSetting: if it has no such block or no such head.
    """
    prefix = "" if _FIRST in theirs else _PREFIX
    outside = {name: prefix + found for name, found in _OUTSIDE.items()}

    def place(at: Layer) -> str | None:
        inverted = {"depthwise", "project"} <= {*at.parts} and at.layer in _LAYERS
        return f"{prefix}encoder.blocks.{at.running}.{_LAYERS[at.layer]}" if inverted else None

    outside["head.classifier"] = "classifier"
    return renamed([*ours], "transformers' EfficientNet", outside, place)


NAMINGS = (
    Naming(
        owner="transformers'",
        network="transformers' EfficientNet",
        holds=lambda state: (
            _PREFIX + _FIRST in state or {_FIRST, "encoder.top_conv.weight"} <= state.keys()
        ),
        names=transformers_names,
        style=lambda _: STYLES["tf"],
    ),
)
