"""The images that a network takes, told from its layers."""

import torch
from torch import Tensor, nn

from autoscale.aspect import SQUARE, Aspect, image_size
from autoscale.network.build import Network


def channels_of(network: nn.Module) -> int:
    """Channels of a network's images: those that its first convolution takes.

    The first is that which `network.modules()` gives first, as a network names its stem before what
    follows. A module of the user's takes 1 or 3, as its first convolution may see pixels that were
    folded into channels.
    """
    convs = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    first = next(convs, None)
    if isinstance(network, Network) and first is not None:
        return first.in_channels
    return 1 if first is not None and first.in_channels == 1 else 3


def image_shape(
    network: nn.Module, resolution: int, aspect: Aspect = SQUARE, *, batch: int = 1
) -> tuple[int, ...]:
    """The shape of `batch` images of `resolution` pixels in height and that aspect."""
    return batch, channels_of(network), *image_size(resolution, aspect)


def blank(
    network: nn.Module, resolution: int, aspect: Aspect = SQUARE, *, batch: int = 1
) -> Tensor:
    """Images of zeros for a network, where its parameters live."""
    parameter = next(network.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    return torch.zeros(image_shape(network, resolution, aspect, batch=batch), device=device)
