"""The inverted bottleneck as one layer: its hidden maps are stored only before their norms."""

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

#: Of the widest map of the images that are computed together in evaluation.
PIECE_BYTES = 4 * 1024 * 1024


class Inverted:
    """Perhaps expand, filter each channel, perhaps re-weight, project.

    The tape keeps the input, the hidden maps before the norms of `expand` and `depthwise`, the map
    that `project` reads, and its result before the norm.
    """

    def __init__(
        self,
        expand: PointwiseNorm | None,
        depthwise: DepthwiseNorm,
        excite: Excite | None,
        project: PointwiseNorm,
        kernels: NativeKernels,
    ) -> None:
        self.expand, self.depthwise, self.excite = expand, depthwise, excite
        self.project, self.kernels = project, kernels

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        if tape is None:
            return self.used(x, added)
        source: Tensor | Normed = x
        if self.expand is not None:
            z = self.expand.convolve(x)
            statistics = self.kernels.measure(z, self.expand.counted())
            source = Normed(z, statistics, self.expand.activation)
        filtered = Normed(
            *self.kernels.depthwise_measured(
                source, self.depthwise.filter, self.depthwise.counted()
            ),
            self.depthwise.activation,
        )
        if self.excite is None:
            hidden = self.kernels.apply(filtered)
        else:
            hidden, pooled = self.kernels.apply_pooled(filtered)
            self.kernels.reweight_(hidden, self.excite.gate(pooled, tape))
        tape.append((x, source, filtered, hidden))
        return self.project.forward(hidden, tape, added)

    def used(self, x: Tensor, added: Tensor | None) -> Tensor:
        """`forward` by the running statistics, as many images at a time as caches hold."""
        result: Tensor | None = None
        together = self._images_together(x)
        for first in range(0, len(x), together):
            at = slice(first, first + together)
            source: Tensor | Normed = x[at]
            if self.expand is not None:
                source = fixed(self.widened(x[at]), self.expand)
            filtered = fixed(
                self.kernels.depthwise_of(source, self.depthwise.filter), self.depthwise
            )
            gate: Tensor | None = None
            if self.excite is not None:
                gate = self.excite.gate(self.kernels.pool_normed(filtered), None)
            narrow = fixed(self.narrowed(filtered, gate), self.project)
            if result is None:
                result = narrow.z.new_empty(len(x), *narrow.z.shape[1:])
            self.kernels.apply(narrow, None if added is None else added[at], result[at])
        assert result is not None
        return result

    def widened(self, x: Tensor) -> Tensor:
        """What `expand` gives before its norm."""
        assert self.expand is not None
        return self.expand.convolve(x)

    def narrowed(self, filtered: Normed, gate: Tensor | None) -> Tensor:
        """What `project` gives before its norm; `filtered` may be written over."""
        if gate is None:
            hidden = self.kernels.apply(filtered, target=filtered.z)
        else:
            hidden = self.kernels.apply_gated(filtered, gate, filtered.z)
        return self.project.convolve(hidden)

    def _images_together(self, x: Tensor) -> int:
        wide = len(self.depthwise.weight) * x.shape[1] * x.shape[2] * x.element_size()
        return max(1, PIECE_BYTES // max(1, wide))

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        of_z, x, source, filtered = self.project_backward(gradient, tape, found)
        found[self.depthwise.norm.weight] = of_z.of_scale
        found[self.depthwise.norm.bias] = of_z.of_shift
        return self.wide_backward(
            of_z, filtered.z, source, x, found, wants_input=wants_input, added=added
        )

    def wide_backward(
        self, of_z: NormGradient, z: Tensor, source: Any, x: Tensor, found: Gradients, *,
        wants_input: bool, added: Tensor | None,
    ) -> Tensor | None:  # fmt: skip
        """The gradient of the block's input, plus `added`, from that before the norm of
        `depthwise`; `z` came out of it and `source` went in."""
        by = self.depthwise.filter
        if self.expand is None:
            of_x, found[by.weight] = self.kernels.depthwise_backward_stored(
                of_z, z, x, by, wants_input=wants_input
            )
            return of_x if of_x is None or added is None else of_x.add_(added)
        of_source, found[by.weight] = self.kernels.depthwise_backward_normed(of_z, z, source, by)
        del of_z, z
        found[self.expand.norm.weight] = of_source.of_scale
        found[self.expand.norm.bias] = of_source.of_shift
        of_x, found[self.expand.weight] = self.expand_backward(
            of_source, source, x, wants_input=wants_input, added=added
        )
        return of_x

    def project_backward(
        self, gradient: Tensor, tape: Tape, found: Gradients
    ) -> tuple[NormGradient, Tensor, Any, Normed]:
        """The gradient before the norm of `depthwise`.

        Returns:
            That, the input of the block, that of `depthwise` (`Normed` behind `expand`), and what
            came out of its norm.
        """
        of_hidden = self.project.backward(gradient, tape, found)
        assert of_hidden is not None
        gate: Tensor | None = None
        of_pooled: Tensor | None = None
        x, source, filtered, hidden = tape.pop()
        if self.excite is not None:
            excited = tape.pop()
            gate = excited[-1]
            # The sum of of_hidden * hidden is the gate's gradient times the gate: a factor of the
            # sigmoid's slope, gate * (1 - gate), is there already.
            of_expanded = self.kernels.gate_gradient(of_hidden, hidden).mul_(1 - gate)
            of_pooled = self.excite.gate_backward(of_expanded, excited, found)
        return self.kernels.differentiate(of_hidden, filtered, gate, of_pooled), x, source, filtered

    def expand_backward(
        self, gradient: NormGradient, source: Normed, x: Tensor, *, wants_input: bool,
        added: Tensor | None,
    ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
        """The gradients of the block's input, plus `added`, and of the weights of `expand`.

        Args:
            gradient: before the norm of `expand`, in memory that may be written.
            source: what `expand` gave.
        """
        assert self.expand is not None
        expanded = self.kernels.combine(gradient, source.z)
        return self.expand.convolve_backward(expanded, x, wants_input, added)


def fixed(z: Tensor, layer: ConvNorm) -> Normed:
    """What a layer makes of its convolution's result by the running statistics."""
    scale, shift = fixed_scale(layer.norm)
    nothing = torch.zeros_like(scale)  # what only a backward pass reads
    return Normed(z, torch.stack((nothing, nothing, scale, shift)), layer.activation)


def invert(
    layers: list[Layer], kernels: NativeKernels, kind: type[Inverted] = Inverted
) -> list[Layer]:
    """`layers`, with one `Inverted`, or other `kind` of it, for every run of them it computes."""
    merged: list[Layer] = []
    at = 0
    while at < len(layers):
        expand = _as(PointwiseNorm, layers, at)
        depthwise = _as(DepthwiseNorm, layers, at + (expand is not None))
        after = at + (expand is not None) + 1
        excite = _as(Excite, layers, after)
        project = _as(PointwiseNorm, layers, after + (excite is not None))
        if depthwise is None or project is None:
            merged.append(layers[at])
            at += 1
        else:
            merged.append(kind(expand, depthwise, excite, project, kernels))
            at = after + (excite is not None) + 1
    return merged


L = TypeVar("L")


def _as(kind: type[L], layers: list[Layer], at: int) -> L | None:
    found = layers[at] if at < len(layers) else None
    return found if isinstance(found, kind) else None
