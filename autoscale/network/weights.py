"""Weights between our networks and the names of timm's EfficientNets.

timm's checkpoints come in two styles with the same names and shapes: networks trained in PyTorch
(`efficientnet_b0`: symmetric padding, batch-norm epsilon 1e-5) and networks converted from
TensorFlow (`tf_efficientnet_b0`: "same" padding, epsilon 1e-3). Weights cannot tell which.

Source of the names: rwightman/pytorch-image-models, timm/models/efficientnet.py and
_efficientnet_blocks.py.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autoscale.design.style import STYLES as STYLES  # for who loads weights
from autoscale.design.style import Style as Style
from autoscale.errors import InvalidSetting

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
_OUTSIDE = {
    "stem.0": "conv_stem",
    "stem.1": "bn1",
    "head.conv.0": "conv_head",
    "head.conv.1": "bn2",
    "head.classifier": "classifier",
}
_EXCITE = {"excite.reduce": "se.conv_reduce", "excite.expand": "se.conv_expand"}
_IN_A_BLOCK = re.compile(r"stages\.(\d+)\.(\d+)\.(?:branch\.)?(.+)\.(\w+)")
#: A counter of training steps, which old checkpoints lack and evaluation does not read.
_COUNTER = "num_batches_tracked"


def timm_names(names: Iterable[str]) -> dict[str, str]:
    """What timm calls each of our names, from the names alone.

    Args:
        names: all names of a network's state dict.

    Raises:
        InvalidSetting: if timm's EfficientNet has no such block or no such head.
    """
    ours = list(names)
    parts: dict[tuple[str, str], set[str]] = {}
    for name in ours:
        if found := _IN_A_BLOCK.fullmatch(name):
            part = found[3].split(".")[0]
            parts.setdefault((found[1], found[2]), set()).update({part} - {"excite"})
    known = [name.rpartition(".")[0] for name in ours]
    if "head.conv.0" not in known or "stem.0" not in known:
        raise InvalidSetting(
            "timm's EfficientNets have a stem and a head convolution; this network has other parts"
        )
    return {name: _timm_name(name, parts) for name in ours}


def _timm_name(name: str, parts: Mapping[tuple[str, str], set[str]]) -> str:
    place, _, leaf = name.rpartition(".")
    if place in _OUTSIDE:
        return f"{_OUTSIDE[place]}.{leaf}"
    if found := _IN_A_BLOCK.fullmatch(name):
        stage, block, layer, _ = found.groups()
        naming = _BLOCKS.get(frozenset(parts[stage, block]))
        if naming is not None:
            if layer in _EXCITE and not {"conv"} & set(parts[stage, block]):
                return f"blocks.{stage}.{block}.{_EXCITE[layer]}.{leaf}"
            part, _, position = layer.partition(".")
            if part in naming and position in ("0", "1"):
                return f"blocks.{stage}.{block}.{naming[part][int(position)]}.{leaf}"
    raise InvalidSetting(f"timm's EfficientNet has nothing like {name}; use autoscale's own names")


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under timm's names, in our order.

    Raises:
        InvalidSetting: if timm's EfficientNet has no such block or no such head.
    """
    names = timm_names(state)
    return {names[name]: value for name, value in state.items()}


def has_timm_names(state: Mapping[str, Any]) -> bool:
    """Whether a state dict uses timm's names rather than ours."""
    return "conv_stem.weight" in state


def load_weights(network: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Put `state` into `network`, under our names or timm's.

    A classifier for another number of classes stays the network's own, freshly made one.

    Returns:
        What a person should know, in sentences; empty if everything was taken as it is.

    Raises:
        InvalidSetting: naming what is missing, left over or of another shape; then the network is
            unchanged.
    """
    own = network.state_dict()
    theirs = dict(state)
    if has_timm_names(theirs):
        names = {timm: name for name, timm in timm_names(own).items()}
        theirs = {names.get(name, name): value for name, value in theirs.items()}
    missing = [n for n in own if n not in theirs and not n.endswith(_COUNTER)]
    left = [n for n in theirs if n not in own]
    if missing or left:
        raise InvalidSetting(
            f"the weights are another network's: missing {_some(missing)}; left over {_some(left)}"
        )
    notes = []
    differing = [n for n in own if n in theirs and theirs[n].shape != own[n].shape]
    classifier = _classifier(own)
    if differing and set(differing) <= set(classifier) and _same_features(own, theirs, classifier):
        rows = theirs[differing[0]].shape[0], own[differing[0]].shape[0]
        notes.append(
            f"the weights know {rows[0]:,} classes and the network {rows[1]:,}; its classifier is "
            "new and must be trained"
        )
        for name in classifier:
            theirs[name] = own[name]
    elif differing:
        name = differing[0]
        raise InvalidSetting(
            f"the weights are another network's: {name} is {tuple(theirs[name].shape)} there and "
            f"{tuple(own[name].shape)} here (and {len(differing) - 1} more differ)"
        )
    with torch.no_grad():
        for name, value in own.items():
            if name in theirs:
                value.copy_(theirs[name])
    return notes


def _classifier(own: Mapping[str, Tensor]) -> list[str]:
    return [n for n in own if re.fullmatch(r"(?:head\.)?classifier\.(?:weight|bias)", n)]


def _same_features(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], classifier: list[str]
) -> bool:
    return all(theirs[name].shape[1:] == own[name].shape[1:] for name in classifier)


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
