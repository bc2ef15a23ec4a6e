"""The newer published networks, built, trained for a step and written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from autoscale.design.architecture import Architecture
from autoscale.design.cost import CONVENTIONS, cost
from autoscale.design.published import published
from autoscale.design.rounding import fit_strides
from autoscale.network.build import build
from autoscale.network.interchange.onnx import onnx_logits, to_onnx
from autoscale.network.measuring.second_count import fvcore_analysis
from autoscale.network.measuring.trace import traced_cost
from autoscale.network.naming import resnet_names
from autoscale.network.weights import load_weights

#: The smallest of each kind, and all whose definitions others published to the unit.
NEWER = [
    "resnext-50-32x4d", "mobilenetv3-small", "mobilenetv3-large", "mobilenetv4-conv-small",
    "mobilenetv4-conv-medium", "convnext-atto", "convnext-tiny",
]  # fmt: skip
SMALL = ["resnext-50-32x4d", "mobilenetv3-small", "mobilenetv4-conv-small", "convnext-atto"]


def small(name: str) -> Architecture:
    """A network for small images, without most of its repeats."""
    design = published(name)
    stages = tuple(replace(stage, depth=min(stage.depth, 1)) for stage in design.stages)
    return fit_strides(replace(design, resolution=32, stages=stages, num_classes=5))


@pytest.mark.parametrize("name", NEWER)
def test_a_trace_counts_what_the_closed_form_does(name: str) -> None:
    design = published(name)
    with torch.device("meta"):
        network = build(design)
    assert traced_cost(network, resolution=design.resolution, aspect=design.aspect) == cost(design)


@pytest.mark.parametrize("name", SMALL)
def test_fvcore_counts_it_so_too(name: str) -> None:
    design = small(name)
    counted = fvcore_analysis(build(design), resolution=design.resolution, aspect=design.aspect)
    assert counted.operators["conv"] + counted.operators["linear"] == cost(design).macs
    assert counted.total == CONVENTIONS["fvcore"](cost(design))


@pytest.mark.parametrize("name", SMALL)
def test_a_step_of_training_lowers_its_loss(name: str) -> None:
    torch.manual_seed(0)
    network = build(small(name)).train()
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 5
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    losses = []
    for _ in range(3):
        loss = cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_torchvisions_names_for_resnext_are_known() -> None:
    network = build(small("resnext-50-32x4d"))
    own = network.state_dict()
    names = resnet_names(own)
    assert names["stages.0.0.branch.1.0.weight"] == "layer1.0.conv2.weight"
    theirs = {names[name]: value + 1 for name, value in own.items()}
    assert load_weights(network, theirs) == []
    assert torch.equal(network.state_dict()["stem.0.weight"], theirs["conv1.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_onnx_runtime_gives_torchs_logits(name: str) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    torch.manual_seed(0)
    network = build(small(name)).eval()
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = network(images)
    found = onnx_logits(to_onnx(network, resolution=32), images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
