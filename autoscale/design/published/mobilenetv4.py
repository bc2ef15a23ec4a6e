"""MobileNetV4 (Qin et al. 2024), the sizes that are convolutions alone.

Source: timm, models/mobilenetv3.py, `_gen_mobilenet_v4`.
"""

from autoscale.design.architecture import Architecture, Block, Head, Stage, Stem


def _plain(
    width: int, *, kernel: int = 1, stride: int = 1, block: Block = "conv", expand_ratio: int = 1
) -> Stage:
    return Stage(
        block=block, width=width, kernel=kernel, stride=stride, expand_ratio=expand_ratio,
        skip="none", activation="relu",
    )  # fmt: skip


def _uib(depth: int, start: int, kernel: int, stride: int, expand_ratio: int, width: int) -> Stage:
    return Stage(
        block="universal", width=width, depth=depth, start_kernel=start, kernel=kernel,
        stride=stride, expand_ratio=expand_ratio, activation="relu",
    )  # fmt: skip


def _network(*stages: Stage) -> Architecture:
    return Architecture(
        resolution=224,
        stem=Stem(width=32, activation="relu"),
        stages=stages,
        head=Head(width=960, activation="relu", hidden=1280, norm="batch"),
        num_classes=1000,
    )


MOBILENET_V4 = {
    "mobilenetv4-conv-small": _network(
        _plain(32, kernel=3, stride=2),
        _plain(32),
        _plain(96, kernel=3, stride=2),
        _plain(64),
        _uib(1, 5, 5, 2, 3, 96),
        _uib(4, 0, 3, 1, 2, 96),
        _uib(1, 3, 0, 1, 4, 96),
        _uib(1, 3, 3, 2, 6, 128),
        _uib(1, 5, 5, 1, 4, 128),
        _uib(1, 0, 5, 1, 4, 128),
        _uib(1, 0, 5, 1, 3, 128),
        _uib(2, 0, 3, 1, 4, 128),
    ),
    "mobilenetv4-conv-medium": _network(
        _plain(48, kernel=3, stride=2, block="fused-mbconv", expand_ratio=4),
        _uib(1, 3, 5, 2, 4, 80),
        _uib(1, 3, 3, 1, 2, 80),
        _uib(1, 3, 5, 2, 6, 160),
        _uib(2, 3, 3, 1, 4, 160),
        _uib(1, 3, 5, 1, 4, 160),
        _uib(1, 3, 3, 1, 4, 160),
        _uib(1, 3, 0, 1, 4, 160),
        _uib(1, 0, 0, 1, 2, 160),
        _uib(1, 3, 0, 1, 4, 160),
        _uib(1, 5, 5, 2, 6, 256),
        _uib(1, 5, 5, 1, 4, 256),
        _uib(2, 3, 5, 1, 4, 256),
        _uib(1, 0, 0, 1, 4, 256),
        _uib(1, 3, 0, 1, 4, 256),
        _uib(1, 3, 5, 1, 2, 256),
        _uib(1, 5, 5, 1, 4, 256),
        _uib(2, 0, 0, 1, 4, 256),
        _uib(1, 5, 0, 1, 2, 256),
    ),
}
