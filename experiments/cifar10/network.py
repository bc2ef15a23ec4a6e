"""Prints the network of this experiment as YAML: EfficientNetV2-B0, half as wide and half as deep.

python experiments/cifar10/network.py > experiments/cifar10/network.yaml
"""

from dataclasses import replace

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import fit_strides, scale


def network() -> Architecture:
    """For 32 pixels and ten classes, with strides taken away until the last map has 4 x 4."""
    half = scale(published("efficientnetv2-b0"), depth=0.5, width=0.5, resolution=32)
    return fit_strides(replace(half, num_classes=10))


if __name__ == "__main__":
    print(network().to_yaml(), end="")
