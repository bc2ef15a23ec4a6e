"""The inverted bottleneck as one layer.

The map that `project` reads is made where it is multiplied, a few rows at a time, in both
directions; of no other map between the block's input and its result there is more than the one
before its norm.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from autoscale.network.kernels.compiled import NativeKernels, Normed, NormGradient
from autoscale.network.kernels.kernels import fixed_scale
from autoscale.network.kernels.layers import (
    ConvNorm,
    DepthwiseNorm,
    Excite,
    Gradients,
    Layer,
    PointwiseNorm,
    Tape,
)
from autoscale.network.kernels.panels import Excited, Panels, Widened

#: Of the widest map of the images that are computed together in evaluation.
PIECE_BYTES = 4 * 1024 * 1024
#: Pixels of an image for each channel that `expand` is given from which its result is made again
#: instead of stored: with fewer, the small matrices that this takes cost more.
PIXELS = 2


def made_again(pixels: int, depth: int) -> bool:
    """Whether what `expand` makes of maps of so many pixels and channels is not stored."""
    return pixels >= PIXELS * depth


class Inverted:
    """Perhaps expand, filter each channel, perhaps re-weight, project.

    The tape keeps the input, and the maps before the three norms; of those the first only where it
    is not made again.

    Args:
        expand: a network's stem may stand here too, when what follows it expands nothing.
    """

    def __init__(
        self,
        expand: ConvNorm | None,
        depthwise: DepthwiseNorm,
        excite: Excite | None,
        project: PointwiseNorm,
        kernels: NativeKernels,
    ) -> None:
        self.expand, self.depthwise, self.excite = expand, depthwise, excite
        self.project, self.kernels, self.panels = project, kernels, Panels(kernels)

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
        pointwise = isinstance(expand, PointwiseNorm)
        source: Tensor | Normed = x
        if expand is not None and not pointwise:
            z = expand.convolve(x)
            source = Normed(z, self.kernels.measure(z, expand.counted()), expand.activation)
        elif expand is not None and made_again(x.shape[1] * x.shape[2], x.shape[3]):
            wide = self.panels.widen(x, expand.weight, expand.counted(), expand.activation)
            measured = self.panels.depthwise(wide, depthwise.filter, depthwise.counted())
            return wide, Normed(*measured, depthwise.activation)
        elif expand is not None:
            source = Normed(
                *self.panels.expand(x, expand.weight, expand.counted()), expand.activation
            )
        measured = self.kernels.depthwise_measured(source, depthwise.filter, depthwise.counted())
        return source, Normed(*measured, depthwise.activation)

    def used(self, x: Tensor, added: Tensor | None) -> Tensor:
        """`forward` by the running statistics, as many images at a time as caches hold."""
        result: Tensor | None = None
        expand, depthwise, project = self.expand, self.depthwise, self.project
        together = self._images_together(x)
        for first in range(0, len(x), together):
            at = slice(first, first + together)
            source: Tensor | Normed = x[at]
            if expand is not None:
                source = fixed(self._expanded(expand, x[at]), expand)
            filtered = fixed(self.kernels.depthwise_of(source, depthwise.filter), depthwise)
            gate: Tensor | None = None
            if self.excite is not None:
                gate = self.excite.gate(self.kernels.pool_normed(filtered), None)
            narrow = fixed(self.panels.project(filtered, gate, project.weight, None)[0], project)
            if result is None:
                result = narrow.z.new_empty(len(x), *narrow.z.shape[1:])
            self.kernels.apply(narrow, None if added is None else added[at], result[at])
        assert result is not None
        return result

    def _expanded(self, expand: ConvNorm, x: Tensor) -> Tensor:
        if isinstance(expand, PointwiseNorm):
            return self.panels.expand(x, expand.weight, None)[0]
        return expand.convolve(x)

    def _images_together(self, x: Tensor) -> int:
        wide = len(self.depthwise.weight) * x.shape[1] * x.shape[2] * x.element_size()
        return max(1, PIECE_BYTES // max(1, wide))

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        of_z, x, source, filtered = self.project_backward(gradient, tape, found)
        norm, by = self.depthwise.norm, self.depthwise.filter
        found[norm.weight], found[norm.bias] = of_z.of_scale, of_z.of_shift
        if isinstance(source, Widened):
            return self._widened_backward(
                of_z, filtered.z, source, found, wants_input=wants_input, added=added
            )
        if self.expand is None:
            of_x, found[by.weight] = self.kernels.depthwise_backward_stored(
                of_z, filtered.z, x, by, wants_input=wants_input
            )
            return of_x if of_x is None or added is None else of_x.add_(added)
        assert isinstance(source, Normed)
        of_source, found[by.weight] = self.kernels.depthwise_backward_normed(
            of_z, filtered.z, source, by
        )
        del of_z, filtered
        expand = self.expand
        found[expand.norm.weight], found[expand.norm.bias] = of_source.of_scale, of_source.of_shift
        if isinstance(expand, PointwiseNorm):
            of_x, found[expand.weight] = self.panels.expand_backward(
                of_source, source.z, x, expand.weight, wants_input=wants_input, added=added
            )
        else:
            expanded = self.kernels.combine(of_source, source.z, of_source.pre)
            of_x, found[expand.weight] = expand.convolve_backward(expanded, x, wants_input, added)
        return of_x

    def project_backward(
        self, gradient: Tensor, tape: Tape, found: Gradients
    ) -> tuple[NormGradient, Tensor, Any, Normed]:
        """The gradient before the norm of `depthwise`.

        Returns:
            That, the input of the block, that of `depthwise`, and what came out of its norm.
        """
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

    def _widened_backward(
        self, of_z: NormGradient, z: Tensor, source: Widened, found: Gradients, *,
        wants_input: bool, added: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        assert self.expand is not None
        norm, by = self.expand.norm, self.depthwise.filter
        of_x, of = self.panels.depthwise_backward(
            of_z, z, source, by, wants_input=wants_input, added=added
        )
        found[by.weight], found[self.expand.weight] = of.of_filters, of.of_weight
        found[norm.weight], found[norm.bias] = of.of_scale, of.of_shift
        return of_x


def fixed(z: Tensor, layer: ConvNorm) -> Normed:
    """What a layer makes of its convolution's result by the running statistics."""
    scale, shift = fixed_scale(layer.norm)
    nothing = torch.zeros_like(scale)  # what only a backward pass reads
    return Normed(z, torch.stack((nothing, nothing, scale, shift)), layer.activation)


def invert(layers: list[Layer], kernels: NativeKernels) -> list[Layer]:
    """`layers`, with one `Inverted` for every run of them it computes."""
    merged: list[Layer] = []
    at = 0
    while at < len(layers):
        expand: ConvNorm | None = _as(PointwiseNorm, layers, at)
        if expand is None and type(layers[at]) is ConvNorm:
            expand = _as(ConvNorm, layers, at)
        depthwise = _as(DepthwiseNorm, layers, at + (expand is not None))
        after = at + (expand is not None) + 1
        excite = _as(Excite, layers, after)
        project = _as(PointwiseNorm, layers, after + (excite is not None))
        if depthwise is None or project is None:
            merged.append(layers[at])
            at += 1
        else:
            merged.append(Inverted(expand, depthwise, excite, project, kernels))
            at = after + (excite is not None) + 1
    return merged


L = TypeVar("L")


def _as(kind: type[L], layers: list[Layer], at: int) -> L | None:
    found = layers[at] if at < len(layers) else None
    return found if isinstance(found, kind) else None
