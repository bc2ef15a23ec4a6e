"""MobileNetV3 (Howard et al. 2019).

Source: torchvision, models/mobilenetv3.py, which follows Tables 1 and 2; widths within blocks that
are no multiple of the input's there are ratios here, as in timm, models/mobilenetv3.py.
"""

from autoscale.design.architecture import Activation, Architecture, Head, Stage, Stem


def _stage(
    depth: int, kernel: int, stride: int, expand_ratio: float, width: int,
    activation: Activation, se_ratio: float = 0.0,
) -> Stage:  # fmt: skip
    return Stage(
        block="mobilenet-v3", width=width, depth=depth, kernel=kernel, stride=stride,
        expand_ratio=expand_ratio, se_ratio=se_ratio, activation=activation,
    )  # fmt: skip


def _network(*stages: Stage, head: int, hidden: int) -> Architecture:
    return Architecture(
        resolution=224,
        stem=Stem(width=16, activation="hswish"),
        stages=stages,
        head=Head(width=head, activation="hswish", hidden=hidden),
        num_classes=1000,
    )


MOBILENET_V3 = {
    "mobilenetv3-small": _network(
        _stage(1, 3, 2, 1, 16, "relu", 0.25),
        _stage(1, 3, 2, 4.5, 24, "relu"),
        _stage(1, 3, 1, 3.67, 24, "relu"),
        _stage(1, 5, 2, 4, 40, "hswish", 0.25),
        _stage(2, 5, 1, 6, 40, "hswish", 0.25),
        _stage(2, 5, 1, 3, 48, "hswish", 0.25),
        _stage(3, 5, 2, 6, 96, "hswish", 0.25),
        head=576,
        hidden=1024,
    ),
    "mobilenetv3-large": _network(
        _stage(1, 3, 1, 1, 16, "relu"),
        _stage(1, 3, 2, 4, 24, "relu"),
        _stage(1, 3, 1, 3, 24, "relu"),
        _stage(3, 5, 2, 3, 40, "relu", 0.25),
        _stage(1, 3, 2, 6, 80, "hswish"),
        _stage(1, 3, 1, 2.5, 80, "hswish"),
        _stage(2, 3, 1, 2.3, 80, "hswish"),
        _stage(2, 3, 1, 6, 112, "hswish", 0.25),
        _stage(3, 5, 2, 6, 160, "hswish", 0.25),
        head=960,
        hidden=1280,
    ),
}
