"""Weights of a network of colour images as those of one of grey images, or of bands.

On a grey picture, whose value p stands in all three channels, the first convolution of a network in
colour gives sum_c W_c (p - m_c) / d_c. The same comes of one channel normalised by m and d, if its
weights are W = sum_c W_c d / d_c, but for sum_c W_c (m - m_c) / d_c, which the norm behind it, or
its own bias, takes in. Where all m_c are m, as in weights that expect 0.5 of each channel, answers
to grey pictures stay the same to rounding; else they change where the convolution reads padding.

Of n bands nobody knows how they compare with red, green and blue, so each is taken for a grey
picture once it is normalised: its weights are sum_c W_c / n. Where all normalised channels are the
same, answers stay what the network in colour gave. Source of the division: Carreira & Zisserman
2017 (I3D), section 2.4, where filters are repeated n times and divided by n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.network.build import build
from autoscale.network.weights import from_foreign

#: What images are normalised by: mean and deviation of each channel, for pixels in 0..1.
Normalisation = tuple[Sequence[float], Sequence[float]]


def in_grey(
    state: Mapping[str, Tensor],
    architecture: Architecture,
    *,
    colour: Normalisation,
    grey: Normalisation,
) -> dict[str, Tensor]:
    """A state dict for `architecture` with one channel.

    Args:
        state: of the design in colour, under our names or those of a library in `naming.NAMINGS`;
            one that has a single channel already comes back under our names.
        colour: by what its images are normalised, three channels.
        grey: by what those of one channel will be.

    Raises:
        InvalidSetting: if that library has no network like the design.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build(replace(architecture, channels=3))
    found = from_foreign(state, network.state_dict())
    conv, norm = _first(network)
    weight = found.get(f"{conv}.weight")
    if weight is None or weight.shape[1] != 3:
        return found  # which whoever loads it looks at
    mean, deviation = (
        torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in colour
    )
    (grey_mean,), (grey_deviation,) = grey
    parts = weight.double() / deviation
    shift = (parts * (grey_mean - mean)).sum(dim=(1, 2, 3))
    summed = grey_deviation * parts.sum(dim=1, keepdim=True)
    name, sign = (f"{norm}.running_mean", -1) if norm else (f"{conv}.bias", 1)
    moved = found[name].double() + sign * shift
    return found | {
        f"{conv}.weight": summed.to(weight.dtype),
        name: moved.to(found[name].dtype),
    }


def in_bands(
    state: Mapping[str, Tensor], architecture: Architecture, *, count: int
) -> dict[str, Tensor]:
    """A state dict for `architecture` with so many bands.

    Args:
        state: as for `in_grey`.

    Raises:
        InvalidSetting: if that library has no network like the design.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build(replace(architecture, channels=3))
    found = from_foreign(state, network.state_dict())
    conv, _ = _first(network)
    weight = found.get(f"{conv}.weight")
    if weight is None or weight.shape[1] != 3:
        return found  # which whoever loads it looks at
    shared = weight.double().sum(dim=1, keepdim=True) / count
    bands = shared.expand(-1, count, -1, -1).to(weight.dtype)
    return found | {f"{conv}.weight": bands.contiguous()}


def _first(network: nn.Module) -> tuple[str, str | None]:
    """The names of the first convolution, and of the batch norm behind it if it has one."""
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    (conv, _), (behind, after) = layers[:2]
    return conv, behind if isinstance(after, nn.BatchNorm2d) else None
