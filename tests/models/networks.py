"""Small networks for the tests of exports."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.network.build import build
from autoscale.runs.weights import Header, write_weights


def small() -> Architecture:
    """The first two stages of B0 and its head, for three classes."""
    b0 = published("efficientnet-b0")
    head = replace(b0.head, width=32)
    return replace(b0, resolution=24, num_classes=3, head=head, stages=b0.stages[:2])


def shaken(network: nn.Module) -> nn.Module:
    """A network whose weights and norms all do something."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias, module.running_mean):
                tensor.data.uniform_(-0.2, 0.2, generator=generator)
    return network.eval()


def telling(network: nn.Module, images: Tensor) -> nn.Module:
    """A network that answers `images` in many ways: norms see them, logits are far apart."""
    network = shaken(network).train()
    with torch.no_grad():
        for _ in range(60):
            network(images)
        logits = network.eval()(images)
        classifier = network.get_submodule("head.classifier")
        assert isinstance(classifier, nn.Linear)
        scale = 3 / logits.std(dim=0)
        classifier.weight.mul_(scale[:, None])
        classifier.bias.sub_(logits.mean(dim=0)).mul_(scale)
    return network.eval()


def saved(
    folder: Path, design: Architecture, network: nn.Module | None = None, **header: Any
) -> Path:
    """A file of weights that says which network it belongs to."""
    torch.manual_seed(0)
    path = folder / "best.safetensors"
    network = shaken(build(design)) if network is None else network
    write_weights(path, network.state_dict(), Header(architecture=design.to_dict(), **header))
    return path
