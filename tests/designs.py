"""Small designs that several rooms' tests train, and weights of them."""

from __future__ import annotations

from pathlib import Path

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.jobs.train.job import train


def two_stages(num_classes: int) -> str:
    """A design as a file holds it: three blocks, for 16 pixels."""
    return f"""\
resolution: 16
stem: {{width: 8, stride: 1}}
stages:
  - {{block: mbconv, width: 16, depth: 1, expand_ratio: 2, stride: 2}}
  - {{block: mbconv, width: 24, depth: 2, expand_ratio: 2, stride: 2}}
num_classes: {num_classes}
"""


#: Larger than what the tests' searches try, so that their designs can take its weights over.
SOURCE = Architecture(
    resolution=16,
    stem=Stem(width=16),
    stages=(
        Stage(width=16, expand_ratio=2),
        Stage(width=32, expand_ratio=4, stride=2, depth=2),
    ),
    head=Head(width=32),
    num_classes=10,
)


def trained(design: Architecture, folder: Path) -> str:
    """Weights that autoscale has trained on the synthetic shapes, and that say so."""
    file = folder / "source.yaml"
    file.write_text(design.to_yaml())
    return str(train(file, folder, limit=48, epochs=1, kernels="none").weights)
