"""A LiteRT file has the operations that the costs flash and ram are counted of."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest
import torch

from autoscale.design.published import published
from autoscale.design.style import Padding
from autoscale.design.tflite.graph import graph
from autoscale.network.build import build
from autoscale.quantization.kernels_of import kernels_of
from autoscale.quantization.lower import lower

NAMES = ("efficientnet-lite0", "efficientnet-b0", "mobilenet-v2", "mobilenetv3-small", "resnet-18")


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_the_operations_that_are_counted(name: str, padding: Padding) -> None:
    design = replace(published(name), resolution=64, num_classes=10)
    with torch.random.fork_rng(devices=[]):
        network = build(design, padding=padding).eval()
    mean, deviation = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    kernels = kernels_of(network)
    written = lower(design, kernels, padding=padding, mean=mean, deviation=deviation).operations
    counted = graph(design, "float32", padding)
    ours = [one for one in counted.operations if one.kind not in ("pad", "pad-lowest")]  # a file's
    assert [counted.tensors[one.output].numbers for one in ours] == [
        prod(one.shape) for one in written
    ]
    assert [one.weights for one in ours if one.weights > 1] == [
        one.weight.size for one in written if hasattr(one, "weight")
    ]
