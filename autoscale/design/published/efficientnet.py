"""EfficientNet (Tan & Le 2019) and EfficientNet-Lite."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.rounding import ROUNDINGS, scale


class Multipliers(NamedTuple):
    """How a published network follows from its family's smallest."""

    width: float
    depth: float
    resolution: int  # pixels
    dropout: float  # before the classifier


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

#: Source: the released code's table of coefficients (tensorflow/tpu, efficientnet_builder.py).
#: B1 to B7 lie near powers of the paper's (1.2, 1.1, 1.15), but not on them, so these are the
#: definition.
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

#: B0 for integer hardware: no squeeze-and-excitation, ReLU6.
#: Source: tensorflow/tpu, models/official/efficientnet/lite.
EFFICIENTNET_LITE0 = replace(
    EFFICIENTNET_B0,
    stem=replace(EFFICIENTNET_B0.stem, activation="relu6"),
    stages=tuple(
        replace(stage, se_ratio=0.0, activation="relu6") for stage in EFFICIENTNET_B0.stages
    ),
    head=replace(EFFICIENTNET_B0.head, activation="relu6"),
)

#: Source: as EFFICIENTNET_LITE0.
EFFICIENTNET_LITES: Mapping[str, Multipliers] = {
    "efficientnet-lite0": Multipliers(1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": Multipliers(1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": Multipliers(1.1, 1.2, 260, 0.3),
    "efficientnet-lite3": Multipliers(1.2, 1.4, 280, 0.3),
    "efficientnet-lite4": Multipliers(1.4, 1.8, 300, 0.3),
}


def members(
    base: Architecture, table: Mapping[str, Multipliers], rounding: str
) -> dict[str, Architecture]:
    """The networks that `table` makes of `base` with the rounding policy of that name."""
    return {
        name: scale(
            base,
            depth=found.depth,
            width=found.width,
            resolution=found.resolution,
            rounding=ROUNDINGS[rounding],
        )
        for name, found in table.items()
    }


EFFICIENTNET = members(EFFICIENTNET_B0, EFFICIENTNETS, "tf")
# L2 was trained at 475 pixels and published for both sizes (Xie et al. 2020).
_L2 = EFFICIENTNET.pop("efficientnet-l2")
EFFICIENTNET["efficientnet-l2-475"] = replace(_L2, resolution=475)
EFFICIENTNET["efficientnet-l2"] = _L2
EFFICIENTNET_LITE = members(EFFICIENTNET_LITE0, EFFICIENTNET_LITES, "lite")
