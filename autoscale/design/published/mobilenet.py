"""MobileNetV1 (Howard et al. 2017), MobileNetV2 (Sandler et al. 2018), MnasNet (Tan et al. 2019).

Their width multipliers are part of the name: ``mobilenet-v1-0.5``; none is 1.0.
"""

from collections.abc import Mapping

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.published.efficientnet import Multipliers, members


def _separable(depth: int, stride: int, width: int) -> Stage:
    return Stage(
        block="separable", width=width, depth=depth, stride=stride, skip="none", activation="relu6"
    )


#: Source: Howard et al. 2017, Table 1. The released code uses ReLU6.
MOBILENET_V1 = Architecture(
    resolution=224,
    stem=Stem(width=32, activation="relu6"),
    stages=(
        _separable(1, 1, 64),
        _separable(2, 2, 128),
        _separable(2, 2, 256),
        _separable(6, 2, 512),
        _separable(2, 2, 1024),
    ),
    num_classes=1000,
)


def _inverted(depth: int, stride: int, expand_ratio: int, width: int) -> Stage:
    return Stage(
        width=width, depth=depth, stride=stride, expand_ratio=expand_ratio, activation="relu6"
    )


#: Source: Sandler et al. 2018, Table 2.
MOBILENET_V2 = Architecture(
    resolution=224,
    stem=Stem(width=32, activation="relu6"),
    stages=(
        _inverted(1, 1, 1, 16),
        _inverted(2, 2, 6, 24),
        _inverted(3, 2, 6, 32),
        _inverted(4, 2, 6, 64),
        _inverted(3, 1, 6, 96),
        _inverted(3, 2, 6, 160),
        _inverted(1, 1, 6, 320),
    ),
    head=Head(width=1280, activation="relu6"),
    num_classes=1000,
)


def _searched(
    depth: int, kernel: int, stride: int, expand_ratio: int, width: int, se_ratio: float = 0.0
) -> Stage:
    return Stage(
        width=width, depth=depth, kernel=kernel, stride=stride, expand_ratio=expand_ratio,
        se_ratio=se_ratio, activation="relu",
    )  # fmt: skip


#: Source: Tan et al. 2019, Figure 7; tensorflow/tpu, models/official/mnasnet. Its first block, a
#: depthwise separable convolution with a linear output, is an MBConv that does not expand.
MNASNET_A1 = Architecture(
    resolution=224,
    stem=Stem(width=32, activation="relu"),
    stages=(
        _searched(1, 3, 1, 1, 16),
        _searched(2, 3, 2, 6, 24),
        _searched(3, 5, 2, 3, 40, 0.25),
        _searched(4, 3, 2, 6, 80),
        _searched(2, 3, 1, 6, 112, 0.25),
        _searched(3, 5, 2, 6, 160, 0.25),
        _searched(1, 3, 1, 6, 320),
    ),
    head=Head(width=1280, activation="relu"),
    num_classes=1000,
)


def _widths(family: str, *widths: float) -> Mapping[str, Multipliers]:
    names = {width: family if width == 1 else f"{family}-{width:g}" for width in widths}
    return {name: Multipliers(width, 1.0, 224, 0.0) for width, name in names.items()}


MOBILENET = {
    "mobilenet-v1": members(MOBILENET_V1, _widths("mobilenet-v1", 0.25, 0.5, 0.75, 1.0), "int"),
    "mobilenet-v2": members(
        MOBILENET_V2, _widths("mobilenet-v2", 0.35, 0.5, 0.75, 1.0, 1.4), "mobilenet-v2"
    ),
    "mnasnet": {"mnasnet-a1": MNASNET_A1},
}
