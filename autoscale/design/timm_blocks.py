"""A design in the notation of timm's EfficientNets: one string for each stage.

`ir_r2_k3_s2_e6_c24_se0.25` are two inverted residuals with a 3x3 kernel, the first with stride 2,
expanded sixfold, to 24 channels, squeezed to a quarter of the input width.

Source: rwightman/pytorch-image-models, timm/models/_efficientnet_builder.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autoscale.design.architecture import Activation, Architecture, Stage
from autoscale.design.blocks.layers import SqueezeExcite
from autoscale.design.walk import BlockPlace, places_of, walk_stage
from autoscale.errors import InvalidArchitecture

_ACTIVATIONS: Mapping[Activation, str] = {
    "relu": "nre", "relu6": "nr6", "hswish": "nhs", "silu": "nsw",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmDefinition:
    """Arguments of timm's `EfficientNet`."""

    blocks: tuple[str, ...]  # one string for each stage
    stem_size: int  # channels
    num_features: int  # channels of the head
    num_classes: int
    in_chans: int  # channels of the image
    output_stride: int  # beyond this, timm would dilate instead of stride
    activation: Activation  # of the stem, the head, and blocks that name none


def timm_definition(architecture: Architecture) -> TimmDefinition:
    """The design as timm would write it.

    Raises:
        InvalidArchitecture: if timm's EfficientNet cannot be this network; the message says why.
    """
    stem, head = architecture.stem, architecture.head
    if (stem.kernel, stem.stride, stem.pool) != (3, 2, False):
        raise _impossible("its stem is one 3x3 convolution with stride 2, without pooling")
    if head.width == 0:
        raise _impossible("it has a head convolution")
    if stem.norm != "batch" or head.norm != "none" or head.hidden:
        raise _impossible("its only norms are batch norms, and its classifier follows the pooling")
    if head.activation != stem.activation:
        raise _impossible("stem and head share one activation")
    blocks = [
        _string(place.part, list(walk_stage(place)), stem.activation)
        for place in places_of(architecture)
        if isinstance(place.part, Stage)
    ]
    return TimmDefinition(
        blocks=tuple(blocks),
        stem_size=stem.width,
        num_features=head.width,
        num_classes=architecture.num_classes,
        in_chans=architecture.channels,
        output_stride=max(32, architecture.reduction),
        activation=stem.activation,
    )


#: What timm calls a block, by the names of its layers.
_KINDS: Mapping[tuple[str, ...], str] = {
    ("expand", "depthwise", "project"): "ir",
    ("depthwise", "project"): "ds",
    ("expand", "project"): "er",
    ("expand",): "cn",
    ("conv",): "cn",
    ("depthwise", "pointwise"): "dsa",
}


def _string(stage: Stage, blocks: list[BlockPlace], activation: Activation) -> str:
    kind = _kind(stage, blocks[0])
    if stage.skip == "pool":
        raise _impossible("no block pools its shortcut")
    parts = [kind, f"r{stage.depth}", f"k{stage.kernel}", f"s{stage.stride}"]
    if kind in ("ir", "ds", "er"):
        parts.append(f"e{stage.expand_ratio}")
    parts.append(f"c{stage.width}")
    if stage.se_ratio > 0:
        parts.append(f"se{stage.se_ratio:g}")
    if stage.activation != activation:
        if stage.activation not in _ACTIVATIONS:
            raise _impossible(f"no block names {stage.activation}; stem and head may")
        parts.append(_ACTIVATIONS[stage.activation])
    if kind == "cn":
        parts += ["skip"] if stage.skip == "identity" else []
    elif stage.skip == "none" and kind != "dsa":
        parts.append("noskip")
    for block in blocks[:2]:  # the others are like the second
        _require_timms_rounding(stage, block)
    return "_".join(parts)


def _kind(stage: Stage, block: BlockPlace) -> str:
    names = tuple(layer.name for layer in block.layout.branch if layer.name != "excite")
    kind = _KINDS.get(names)
    if kind is None:
        raise _impossible(f"it has no {stage.block} blocks")
    if kind == "cn" and stage.se_ratio > 0:
        raise _impossible("plain convolutions have no squeeze-and-excitation")
    if kind == "dsa" and stage.skip != "none":
        raise _impossible("separable blocks with an activated end have no shortcut")
    return kind


def _require_timms_rounding(stage: Stage, block: BlockPlace) -> None:
    """timm rounds hidden widths to multiples of 8, and squeezed ones to the nearest number."""
    hidden = block.width_in * stage.expand_ratio
    if stage.expand_ratio > 1 and hidden % 8:
        raise _impossible(f"expanded widths are multiples of 8, and {hidden} is none")
    for layer in block.layout.branch:
        if isinstance(layer, SqueezeExcite):
            theirs = round(hidden * (stage.se_ratio / stage.expand_ratio))
            if theirs != layer.squeeze:
                raise _impossible(
                    f"it squeezes {block.width_in} input channels to {theirs}, this design to "
                    f"{layer.squeeze}"
                )


def _impossible(fact: str) -> InvalidArchitecture:
    return InvalidArchitecture(f"timm's EfficientNet cannot be this network: {fact}")
