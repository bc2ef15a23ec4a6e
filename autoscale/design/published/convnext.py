"""ConvNeXt (Liu et al. 2022).

Source: Liu et al. 2022, section 3 ("ConvNeXt-T: C = (96, 192, 384, 768), B = (3, 3, 9, 3)"); atto
is timm's own, models/convnext.py, `convnext_atto`.
"""

from autoscale.design.architecture import Architecture, Head, Stage, Stem


def _network(depths: tuple[int, ...], widths: tuple[int, ...]) -> Architecture:
    return Architecture(
        resolution=224,
        stem=Stem(width=widths[0], kernel=4, stride=4, activation="none", norm="layer"),
        stages=tuple(
            Stage(
                block="convnext", width=width, depth=depth, kernel=7, stride=2 if number else 1,
                expand_ratio=4, activation="gelu",
            )
            for number, (depth, width) in enumerate(zip(depths, widths, strict=True))
        ),
        head=Head(norm="layer"),
        num_classes=1000,
    )  # fmt: skip


CONVNEXT = {
    "convnext-atto": _network((2, 2, 6, 2), (40, 80, 160, 320)),
    "convnext-tiny": _network((3, 3, 9, 3), (96, 192, 384, 768)),
}
