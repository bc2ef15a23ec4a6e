"""EfficientNetV2 (Tan & Le 2021): Fused-MBConv in the early stages.

Source: google/automl, efficientnetv2/effnetv2_configs.py. Resolutions are those of evaluation;
training used smaller ones.
"""

from collections.abc import Mapping

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.published.efficientnet import Multipliers, members


def _fused(depth: int, stride: int, expand_ratio: int, width: int) -> Stage:
    return Stage(
        block="fused-mbconv", width=width, depth=depth, stride=stride, expand_ratio=expand_ratio
    )


def _mbconv(depth: int, stride: int, expand_ratio: int, width: int) -> Stage:
    return Stage(width=width, depth=depth, stride=stride, expand_ratio=expand_ratio, se_ratio=0.25)


def _network(resolution: int, *stages: Stage, stem: int) -> Architecture:
    return Architecture(
        resolution=resolution,
        stem=Stem(width=stem),
        stages=stages,
        head=Head(width=1280),
        num_classes=1000,
    )


EFFICIENTNETV2_B0 = _network(
    224,
    _fused(1, 1, 1, 16),
    _fused(2, 2, 4, 32),
    _fused(2, 2, 4, 48),
    _mbconv(3, 2, 4, 96),
    _mbconv(5, 1, 6, 112),
    _mbconv(8, 2, 6, 192),
    stem=32,
)

#: B1 to B3 grow as their namesakes of the first version do.
EFFICIENTNETV2_BASES: Mapping[str, Multipliers] = {
    "efficientnetv2-b0": Multipliers(1.0, 1.0, 224, 0.2),
    "efficientnetv2-b1": Multipliers(1.0, 1.1, 240, 0.2),
    "efficientnetv2-b2": Multipliers(1.1, 1.2, 260, 0.3),
    "efficientnetv2-b3": Multipliers(1.2, 1.4, 300, 0.3),
}

#: S, M and L were scaled stage by stage, so each stands for itself.
EFFICIENTNETV2 = {
    **members(EFFICIENTNETV2_B0, EFFICIENTNETV2_BASES, "v2"),
    "efficientnetv2-s": _network(
        384,
        _fused(2, 1, 1, 24),
        _fused(4, 2, 4, 48),
        _fused(4, 2, 4, 64),
        _mbconv(6, 2, 4, 128),
        _mbconv(9, 1, 6, 160),
        _mbconv(15, 2, 6, 256),
        stem=24,
    ),
    "efficientnetv2-m": _network(
        480,
        _fused(3, 1, 1, 24),
        _fused(5, 2, 4, 48),
        _fused(5, 2, 4, 80),
        _mbconv(7, 2, 4, 160),
        _mbconv(14, 1, 6, 176),
        _mbconv(18, 2, 6, 304),
        _mbconv(5, 1, 6, 512),
        stem=24,
    ),
    "efficientnetv2-l": _network(
        480,
        _fused(4, 1, 1, 32),
        _fused(7, 2, 4, 64),
        _fused(7, 2, 4, 96),
        _mbconv(10, 2, 4, 192),
        _mbconv(19, 1, 6, 224),
        _mbconv(25, 2, 6, 384),
        _mbconv(7, 1, 6, 640),
        stem=32,
    ),
}
