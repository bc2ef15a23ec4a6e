"""The inverted bottleneck, and the head, in bfloat16 where the processor multiplies that.

The map that `project` reads is made where it is multiplied, a few rows at a time, in both
directions; of no other map between the block's input and its result there is more than the one
before its norm.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from autoscale.network.kernels.compiled import NativeKernels, Normed, NormGradient
from autoscale.network.kernels.inverted import Inverted
from autoscale.network.kernels.layers import (
    Gradients,
    Layer,
    Opaque,
    PointwiseNorm,
    Tape,
)
from autoscale.network.kernels.panels import Excited, Panels, Widened


class PooledByPanels:
    """A 1x1 convolution, its norm, an activation, and the mean over the pixels.

    The map behind the norm is not stored. Shape: (N, H, W, C) -> (N, channels of the result).
    """

    def __init__(
        self, layer: PointwiseNorm, pool: nn.AdaptiveAvgPool2d, kernels: NativeKernels
    ) -> None:
        self.layer, self.pool, self.kernels = layer, Opaque(pool), kernels
        self.panels = Panels(kernels.products)

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


def pooled_by_panels(layers: list[Layer], kernels: NativeKernels) -> list[Layer]:
    """`layers`, with a `PooledByPanels` for a 1x1 convolution whose map is pooled to rows."""
    found: list[Layer] = []
    for layer in layers:
        before = found[-1] if found else None
        children = [*layer.module.children()] if isinstance(layer, Opaque) else []
        if type(before) is PointwiseNorm and len(children) > 1:
            pool, rest = children[0], children[1:]
            if _means(pool) and type(rest[0]) is nn.Flatten:
                pooled = PooledByPanels(before, pool, kernels)
                found[-1:] = pooled, Opaque(nn.Sequential(*rest))
                continue
        found.append(layer)
    return found


def _means(module: nn.Module) -> TypeGuard[nn.AdaptiveAvgPool2d]:
    """Whether it gives the mean of each channel."""
    return type(module) is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1))


#: Pixels of an image for each channel that `expand` is given from which its result is made again
#: instead of stored: with fewer, the small matrices that this takes cost more.
PIXELS = 2


def made_again(pixels: int, depth: int) -> bool:
    """Whether what `expand` makes of maps of so many pixels and channels is not stored."""
    return pixels >= PIXELS * depth


class InvertedByPanels(Inverted):
    """`Inverted` by `Panels`.

    The tape keeps the input, and the maps before the three norms; of those the first only where it
    is not made again.
    """

    @cached_property
    def panels(self) -> Panels:
        """Its products."""
        return Panels(self.kernels.products)

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        if tape is None:
            return self.used(x, added)
        source, filtered = self._filtered(x)
        project = self.project
        excited: Excited | None = None
        if self.excite is None:
            projected = self.panels.project(filtered, None, project.weight, project.counted())
        else:
            projected, excited = self.panels.project_excited(
                filtered, self.excite, project.weight, project.counted()
            )
        result = Normed(*projected, project.activation)
        tape.append((x, source, filtered, result, excited))
        return self.kernels.apply(result, added)

    def _filtered(self, x: Tensor) -> tuple[Tensor | Normed | Widened, Normed]:
        """What `depthwise` is given, and what comes out of its norm."""
        expand, depthwise = self.expand, self.depthwise
        if expand is not None and made_again(x.shape[1] * x.shape[2], x.shape[3]):
            wide = self.panels.widen(x, expand.weight, expand.counted(), expand.activation)
            measured = self.panels.depthwise(wide, depthwise.filter, depthwise.counted())
            return wide, Normed(*measured, depthwise.activation)
        source: Tensor | Normed = x
        if expand is not None:
            source = Normed(
                *self.panels.expand(x, expand.weight, expand.counted()), expand.activation
            )
        measured = self.kernels.depthwise_measured(source, depthwise.filter, depthwise.counted())
        return source, Normed(*measured, depthwise.activation)

    def widened(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return super().widened(x)
        assert self.expand is not None
        return self.panels.expand(x, self.expand.weight, None)[0]

    def narrowed(self, filtered: Normed, gate: Tensor | None) -> Tensor:
        if filtered.z.dtype == torch.float32:
            return super().narrowed(filtered, gate)
        return self.panels.project(filtered, gate, self.project.weight, None)[0]

    def project_backward(
        self, gradient: Tensor, tape: Tape, found: Gradients
    ) -> tuple[NormGradient, Tensor, Any, Normed]:
        x, source, filtered, result, excited = tape.pop()
        project = self.project
        of_result = self.kernels.norm_gradient(gradient, result)
        found[project.norm.weight] = of_result.of_scale
        found[project.norm.bias] = of_result.of_shift
        if self.excite is None:
            of_z, found[project.weight] = self.panels.project_backward(
                of_result, result.z, filtered, project.weight
            )
        else:
            assert excited is not None
            of_z = self.panels.project_excited_backward(
                of_result, result.z, filtered, excited, self.excite, project.weight, found
            )
        return of_z, x, source, filtered

    def wide_backward(
        self, of_z: NormGradient, z: Tensor, source: Any, x: Tensor, found: Gradients, *,
        wants_input: bool, added: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        if not isinstance(source, Widened):
            return super().wide_backward(
                of_z, z, source, x, found, wants_input=wants_input, added=added
            )
        assert self.expand is not None
        by = self.depthwise.filter
        of_x, of = self.panels.depthwise_backward(
            of_z, z, source, by, wants_input=wants_input, added=added
        )
        norm = self.expand.norm
        found[by.weight], found[self.expand.weight] = of.of_filters, of.of_weight
        found[norm.weight], found[norm.bias] = of.of_scale, of.of_shift
        return of_x

    def expand_backward(
        self, gradient: NormGradient, source: Normed, x: Tensor, *, wants_input: bool,
        added: Tensor | None,
    ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
        assert self.expand is not None
        return self.panels.expand_backward(
            gradient, source.z, x, self.expand.weight, wants_input=wants_input, added=added
        )
