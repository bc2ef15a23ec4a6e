"""Small networks that between them have every operation of a graph."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.style import STYLES, Style
from autoscale.network.build import build
from autoscale.quantization.graph import Graph
from autoscale.quantization.kernels_of import kernels_of
from autoscale.quantization.lower import lower
from tests.models.networks import telling

INVERTED = Architecture(
    resolution=18,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, se_ratio=0.25),
        Stage(width=16, expand_ratio=2, stride=2, depth=2, kernel=5, se_ratio=0.25),
    ),
    head=Head(width=16),
    num_classes=4,
)
LITE = replace(
    INVERTED,
    resolution=17,
    stem=Stem(width=8, activation="relu6"),
    stages=tuple(replace(one, se_ratio=0.0, activation="relu6") for one in INVERTED.stages),
    head=Head(width=16, activation="relu6"),
)
POOLED = replace(
    LITE, resolution=20, stages=tuple(replace(one, skip="pool", width=8) for one in LITE.stages)
)
HARD = Architecture(
    resolution=20,
    stem=Stem(width=8, activation="hswish"),
    stages=(
        Stage(block="mobilenet-v3", width=8, se_ratio=0.25, activation="relu", stride=2),
        Stage(block="mobilenet-v3", width=8, expand_ratio=3, se_ratio=0.25, activation="hswish"),
    ),
    head=Head(width=16, activation="hswish", hidden=12),
    num_classes=4,
)
RESIDUAL = Architecture(
    resolution=22,
    stem=Stem(width=8, kernel=7, pool=True, activation="relu"),
    stages=(
        Stage(block="basic", width=8, activation="relu"),
        Stage(block="bottleneck", width=16, stride=2, activation="relu"),
        Stage(block="resnext", width=16, groups=2, activation="gelu"),
    ),
    num_classes=4,
)
# Of images whose sides divide otherwise: even and odd, odd and even, and lying.
WIDE = replace(INVERTED, aspect=Fraction(7, 6))
WIDE_RESIDUAL = replace(RESIDUAL, resolution=15, aspect=Fraction(4, 3), stages=RESIDUAL.stages[:2])
TALL = replace(POOLED, aspect=Fraction(3, 4))
DESIGNS = {
    "silu": INVERTED,
    "relu6": LITE,
    "pooling shortcut": POOLED,
    "hard swish": HARD,
    "residual": RESIDUAL,
    "wide": WIDE,
    "wide residual": WIDE_RESIDUAL,
    "tall": TALL,
}


class Small(NamedTuple):
    """A network with images that it answers in many ways."""

    network: nn.Module
    graph: Graph
    pixels: Tensor  # bytes (N, 3, H, W)
    images: Tensor  # the same, normalised


def small(design: Architecture, style: Style = STYLES["autoscale"], *, even: bool = True) -> Small:
    """A network of a design.

    Args:
        even: whether all channels are normalised alike.
    """
    mean, deviation = ((0.5,) * 3, (0.25,) * 3) if even else ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    random = torch.Generator().manual_seed(1)
    shape = (12, 3, *design.image_size)
    pixels = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    images = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(
        3, 1, 1
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = telling(build(design, **style.options), images)
    kernels = kernels_of(network)
    graph = lower(design, kernels, padding=style.padding, mean=mean, deviation=deviation)
    return Small(network, graph, pixels, images)
