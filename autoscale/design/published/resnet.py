"""ResNet (He et al. 2016), with the stride on the 3x3 convolution of a bottleneck ("v1.5"), and
ResNeXt (Xie et al. 2017).

Source: He et al. 2016, Table 1; 200 layers from its follow-up "Identity Mappings in Deep Residual
Networks", whose other change, pre-activation, is not made here.
"""

from autoscale.design.architecture import Architecture, Block, Stage, Stem


def _resnet(block: Block, *depths: int, groups: int = 1) -> Architecture:
    widest = 512 if block == "basic" else 2048
    return Architecture(
        resolution=224,
        stem=Stem(width=64, kernel=7, activation="relu", pool=True),
        stages=tuple(
            Stage(
                block=block,
                width=widest >> (3 - number),
                depth=depth,
                stride=1 if number == 0 else 2,
                groups=groups,
                activation="relu",
            )
            for number, depth in enumerate(depths)
        ),
        num_classes=1000,
    )


RESNET_50 = _resnet("bottleneck", 3, 4, 6, 3)

RESNET = {
    "resnet-18": _resnet("basic", 2, 2, 2, 2),
    "resnet-34": _resnet("basic", 3, 4, 6, 3),
    "resnet-50": RESNET_50,
    "resnet-101": _resnet("bottleneck", 3, 4, 23, 3),
    "resnet-152": _resnet("bottleneck", 3, 8, 36, 3),
    "resnet-200": _resnet("bottleneck", 3, 24, 36, 3),
}

#: Source: Xie et al. 2017, Table 1.
RESNEXT = {"resnext-50-32x4d": _resnet("resnext", 3, 4, 6, 3, groups=32)}
