"""What timm calls the parts of its EfficientNets, MobileNetV3s and V4s, and ConvNeXts.

Source: timm (huggingface/pytorch-image-models, timm/models/efficientnet.py, mobilenetv3.py,
_efficientnet_blocks.py and convnext.py).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from autoscale.design.style import STYLES
from autoscale.errors import InvalidSetting
from autoscale.network.naming.layers import (
    DOWNSAMPLE,
    Layer,
    Names,
    Naming,
    blocks_of,
    layers_of,
    renamed,
)

_OUTSIDE = {"stem.0": "conv_stem", "stem.1": "bn1", "head.classifier": "classifier"}
_HEAD = {"head.conv.0": "conv_head", "head.conv.1": "bn2"}
#: Where pooling comes before the last convolution (MobileNetV3, MobileNetV4).
_EFFICIENT_HEAD = {
    "head.hidden.conv": "conv_head",
    "head.hidden.0": "conv_head",
    "head.hidden.1": "norm_head",
}
#: For each kind of block, told by its parts: the convolution and the norm that timm calls so.
_BLOCKS: Mapping[frozenset[str], Mapping[str, tuple[str, str]]] = {
    frozenset(parts): parts
    for parts in (
        # InvertedResidual
        {
            "expand": ("conv_pw", "bn1"),
            "depthwise": ("conv_dw", "bn2"),
            "project": ("conv_pwl", "bn3"),
        },
        # DepthwiseSeparableConv, timm's form of an MBConv without expansion
        {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")},
        {"depthwise": ("conv_dw", "bn1"), "pointwise": ("conv_pw", "bn2")},
        # EdgeResidual
        {"expand": ("conv_exp", "bn1"), "project": ("conv_pwl", "bn2")},
        # ConvBnAct
        {"expand": ("conv", "bn1")},
        {"conv": ("conv", "bn1")},
    )
}
#: UniversalInvertedResidual, whose parts may be those of other blocks too.
_UNIVERSAL = {"start": "dw_start", "expand": "pw_exp", "depthwise": "dw_mid", "project": "pw_proj"}
_EXCITE = {"excite.reduce": "se.conv_reduce", "excite.expand": "se.conv_expand"}
_THEIR_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(\w+)\..+")


def has_timm_names(state: Mapping[str, Any]) -> bool:
    """Whether a state dict uses the names of timm's EfficientNets rather than ours."""
    return "conv_stem.weight" in state


def timm_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What timm's EfficientNets call each of our names, from the names alone.

    Args:
        ours: all names of a network's state dict.
        theirs: those of the state dict that is read, if one is. MobileNetV3 and V4 need them, for
            what is a stage here is part of one there.

    Raises:
        InvalidSetting: if timm's EfficientNet has no such block or no such head.
    """
    ours, parts = list(ours), _parts_of(theirs)
    layers = layers_of(ours)
    known = {name.rpartition(".")[0] for name in ours}
    efficient = bool(known & _EFFICIENT_HEAD.keys()) and bool(parts)
    if "head.conv.0" not in known or "stem.0" not in known:
        raise InvalidSetting(
            "timm's EfficientNets have a stem and a head convolution; this network has other parts"
        )
    places = blocks_of(layers.values())
    if len(parts) == len(places) + efficient:
        places = sorted(parts)
    outside = {**_OUTSIDE, **_HEAD}
    if efficient:
        last = max(parts)[0]
        convolution = {f"head.conv.{n}": f"blocks.{last}.0.{name}" for n, name in _CONV}
        outside = {**_OUTSIDE, **convolution, **_EFFICIENT_HEAD}

    def place(at: Layer) -> str | None:
        here = places[at.running]
        return _inside(at, parts.get(here, set()), "blocks.{}.{}".format(*here))

    return renamed(ours, "timm's EfficientNet", outside, place)


_CONV = ((0, "conv"), (1, "bn1"))


def _parts_of(theirs: Iterable[str]) -> dict[tuple[int, int], set[str]]:
    """Of each block, by stage and number."""
    found: dict[tuple[int, int], set[str]] = {}
    for name in theirs:
        if at := _THEIR_BLOCK.fullmatch(name):
            found.setdefault((int(at[1]), int(at[2])), set()).add(at[3])
    return found


def _inside(at: Layer, theirs: set[str], here: str) -> str | None:
    if "pw_exp" in theirs:
        universal = _UNIVERSAL.get(at.part)
        leaves = {"0": "conv", "1": "bn"}
        return f"{here}.{universal}.{leaves[at.position]}" if universal else None
    naming = _BLOCKS.get(frozenset(at.parts) - {"excite"})
    if naming is None:
        return None
    if at.layer in _EXCITE and "conv" not in at.parts:
        return f"{here}.{_EXCITE[at.layer]}"
    if at.part in naming and at.position in ("0", "1"):
        return f"{here}.{naming[at.part][int(at.position)]}"
    return None


_CONVNEXT_OUTSIDE = {
    "stem.conv": "stem.0",
    "stem.norm": "stem.1",
    "head.norm": "head.norm",
    "head.classifier": "head.fc",
}
_CONVNEXT_LAYERS = {
    "depthwise.conv": "conv_dw",
    "depthwise.norm": "norm",
    "expand.conv": "mlp.fc1",
    "project": "mlp.fc2",
    "scale": "gamma",
}


def convnext_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What timm's ConvNeXts call each of our names, from the names alone.

    Raises:
        InvalidSetting: if timm's ConvNeXt has no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        if at.part == "downsample":
            return f"stages.{at.stage}.downsample.{DOWNSAMPLE[at.position]}"
        found = _CONVNEXT_LAYERS.get(at.layer)
        return f"stages.{at.stage}.blocks.{at.block}.{found}" if found else None

    return renamed([*ours], "timm's ConvNeXt", _CONVNEXT_OUTSIDE, place)


NAMINGS = (
    Naming(
        owner="timm's",
        network="timm's EfficientNet",
        holds=has_timm_names,
        names=timm_names,
        style=lambda _: None,
    ),
    Naming(
        owner="timm's",
        network="timm's ConvNeXt",
        holds=lambda state: "stages.0.blocks.0.conv_dw.weight" in state,
        names=convnext_names,
        style=lambda _: STYLES["timm"],  # which it has no layer for
        classifier="head.fc",
    ),
)
