"""Networks that others published, each exactly as its source defines it, one file per family."""

import difflib
from collections.abc import Mapping

from autoscale.design.architecture import Architecture
from autoscale.design.published.convnext import CONVNEXT
from autoscale.design.published.efficientnet import (
    EFFICIENTNET,
    EFFICIENTNET_B0,
    EFFICIENTNET_LITE,
    EFFICIENTNETS,
    Multipliers,
)
from autoscale.design.published.efficientnetv2 import EFFICIENTNETV2
from autoscale.design.published.mobilenet import MOBILENET
from autoscale.design.published.mobilenetv3 import MOBILENET_V3
from autoscale.design.published.mobilenetv4 import MOBILENET_V4
from autoscale.design.published.resnet import RESNET, RESNEXT
from autoscale.design.published.tinynet import TINYNET
from autoscale.errors import InvalidSetting

__all__ = ["EFFICIENTNETS", "EFFICIENTNET_B0", "FAMILIES", "NETWORKS", "Multipliers", "published"]

#: Each family's networks, from the smallest to the largest.
FAMILIES: Mapping[str, Mapping[str, Architecture]] = {
    "efficientnet": EFFICIENTNET,
    "efficientnet-lite": EFFICIENTNET_LITE,
    "efficientnetv2": EFFICIENTNETV2,
    **MOBILENET,
    "mobilenetv3": MOBILENET_V3,
    "mobilenetv4-conv": MOBILENET_V4,
    "resnet": RESNET,
    "resnext": RESNEXT,
    "tinynet": TINYNET,
    "convnext": CONVNEXT,
}

#: All of them by name.
NETWORKS: Mapping[str, Architecture] = {
    name: network for family in FAMILIES.values() for name, network in family.items()
}


def published(name: str) -> Architecture:
    """The published network of that name, for its own resolution and 1000 classes.

    Raises:
        InvalidSetting: if there is none; the message names the nearest, or lists them.
    """
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=3)
        known = (
            f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(NETWORKS)}"
        )
        raise InvalidSetting(f"no published network {name!r}; {known}")
    return NETWORKS[name]
