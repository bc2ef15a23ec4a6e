"""The head's convolution, of which only the mean over the pixels is wanted."""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn

from autoscale.network.kernels.compiled import NativeKernels, Normed
from autoscale.network.kernels.layers import Gradients, Layer, Opaque, PointwiseNorm, Tape
from autoscale.network.kernels.panels import Panels


class Pooled:
    """A 1x1 convolution, its norm, an activation, and the mean over the pixels.

    The map behind the norm is not stored. Shape: (N, H, W, C) -> (N, channels of the result).
    """

    def __init__(
        self, layer: PointwiseNorm, pool: nn.AdaptiveAvgPool2d, kernels: NativeKernels
    ) -> None:
        self.layer, self.pool, self.kernels = layer, Opaque(pool), kernels
        self.panels = Panels(kernels)

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        layer = self.layer
        if tape is None:
            return self.pool.forward(layer.forward(x, None), None, added)
        z = Normed(*self.panels.expand(x, layer.weight, layer.counted()), layer.activation)
        tape.append((x, z))
        pooled = self.kernels.pool_normed(z)
        return pooled if added is None else pooled + added

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        x, z = tape.pop()
        of_z = self.kernels.differentiate_pooled(gradient.float(), z)
        norm, weight = self.layer.norm, self.layer.weight
        found[norm.weight], found[norm.bias] = of_z.of_scale, of_z.of_shift
        of_x, found[weight] = self.panels.expand_backward(
            of_z, z.z, x, weight, wants_input=wants_input, added=added
        )
        return of_x


def with_pooled(layers: list[Layer], kernels: NativeKernels) -> list[Layer]:
    """`layers`, with a `Pooled` for a 1x1 convolution whose map is pooled to rows."""
    found: list[Layer] = []
    for layer in layers:
        before = found[-1] if found else None
        children = [*layer.module.children()] if isinstance(layer, Opaque) else []
        if type(before) is PointwiseNorm and len(children) > 1:
            pool, rest = children[0], children[1:]
            if _means(pool) and type(rest[0]) is nn.Flatten:
                found[-1:] = Pooled(before, pool, kernels), Opaque(nn.Sequential(*rest))
                continue
        found.append(layer)
    return found


def _means(module: nn.Module) -> TypeGuard[nn.AdaptiveAvgPool2d]:
    """Whether it gives the mean of each channel."""
    return type(module) is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1))
