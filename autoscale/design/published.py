"""Networks and coefficients that others published."""

from collections.abc import Mapping
from typing import NamedTuple

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.scaling import ROUNDINGS, scale
from autoscale.errors import InvalidSetting


def _mbconv(depth: int, kernel: int, stride: int, expand_ratio: int, width: int) -> Stage:
    return Stage(
        width=width, depth=depth, kernel=kernel, stride=stride, expand_ratio=expand_ratio,
        se_ratio=0.25,
    )  # fmt: skip


#: EfficientNet-B0. Source: Tan & Le 2019, Table 1; strides from the released code.
EFFICIENTNET_B0 = Architecture(
    resolution=224,
    stem=Stem(width=32),
    stages=(
        _mbconv(1, 3, 1, 1, 16),
        _mbconv(2, 3, 2, 6, 24),
        _mbconv(2, 5, 2, 6, 40),
        _mbconv(3, 3, 2, 6, 80),
        _mbconv(3, 5, 1, 6, 112),
        _mbconv(4, 5, 2, 6, 192),
        _mbconv(1, 3, 1, 6, 320),
    ),
    head=Head(width=1280),
    num_classes=1000,
)


class Multipliers(NamedTuple):
    """How a published network follows from its family's smallest."""

    width: float
    depth: float
    resolution: int  # pixels
    dropout: float  # before the classifier


#: Source: the released code's table of coefficients. B1 to B7 lie near powers of the paper's
#: (1.2, 1.1, 1.15), but not on them, so these are the definition.
EFFICIENTNETS: Mapping[str, Multipliers] = {
    "efficientnet-b0": Multipliers(1.0, 1.0, 224, 0.2),
    "efficientnet-b1": Multipliers(1.0, 1.1, 240, 0.2),
    "efficientnet-b2": Multipliers(1.1, 1.2, 260, 0.3),
    "efficientnet-b3": Multipliers(1.2, 1.4, 300, 0.3),
    "efficientnet-b4": Multipliers(1.4, 1.8, 380, 0.4),
    "efficientnet-b5": Multipliers(1.6, 2.2, 456, 0.4),
    "efficientnet-b6": Multipliers(1.8, 2.6, 528, 0.5),
    "efficientnet-b7": Multipliers(2.0, 3.1, 600, 0.5),
    "efficientnet-b8": Multipliers(2.2, 3.6, 672, 0.5),
    "efficientnet-l2": Multipliers(4.3, 5.3, 800, 0.5),
}


def published(name: str) -> Architecture:
    """The published network of that name, for its own resolution and 1000 classes.

    Raises:
        InvalidSetting: if there is none; the message lists them.
    """
    if name not in EFFICIENTNETS:
        raise InvalidSetting(
            f"no published network {name!r}; choose from {', '.join(EFFICIENTNETS)}"
        )
    found = EFFICIENTNETS[name]
    return scale(
        EFFICIENTNET_B0,
        depth=found.depth,
        width=found.width,
        resolution=found.resolution,
        rounding=ROUNDINGS["tf"],
    )
