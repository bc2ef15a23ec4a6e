"""Networks that training steps are timed with. What it imports is there in older trees too."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build

CLASSES = 100


class Case(NamedTuple):
    """A network of a certain size and the images of a step."""

    network: str
    width: float  # in its own
    pixels: int
    images: int

    @property
    def design(self) -> Architecture:
        scaled = scale(published(self.network), width=self.width, resolution=self.pixels)
        return replace(scaled, num_classes=CLASSES)

    def __str__(self) -> str:
        return f"{self.width:g} x {self.network}, {self.pixels} pixels, batch {self.images}"


CASES = (
    Case("efficientnet-lite0", 1.0, 128, 32),
    Case("efficientnet-b0", 1.0, 128, 32),
    Case("efficientnet-b0", 0.5, 128, 32),
    Case("efficientnet-b0", 0.5, 96, 32),
    Case("efficientnet-b0", 0.5, 64, 64),
    Case("efficientnet-b0", 0.5, 32, 64),
)


def chosen(numbers: str, cases: Sequence[Case] = CASES) -> list[Case]:
    """Those of these numbers, parted by commas, of which 0 is the first; all for none."""
    return [cases[int(number)] for number in numbers.split(",") if number] or [*cases]


def images_of(design: Architecture, images: int) -> tuple[Tensor, Tensor]:
    """Random ones, (N, C, H, W) in channels-last order, and labels."""
    pixels = torch.randn(images, design.channels, design.resolution, design.resolution)
    return pixels.contiguous(memory_format=torch.channels_last), torch.arange(images) % CLASSES


def step_of(design: Architecture, images: int, kernels: str) -> Callable[[], float]:
    """`stepping` of a network with fresh weights."""
    torch.manual_seed(0)
    network = accelerated(build(design), kernels).train()
    return stepping(network, *images_of(design, images))


def stepping(
    network: nn.Module, pixels: Tensor, labels: Tensor, *, rate: float = 0.02
) -> Callable[[], float]:
    """A function that takes one step of SGD with momentum, as trainings do, and gives the loss."""
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=rate, momentum=0.9, fused=True)

    def step() -> float:
        loss = functional.cross_entropy(network(pixels), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
