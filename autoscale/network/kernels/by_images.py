"""The inverted bottleneck in bfloat16, some images at a time.

The map that `project` reads is made again in the backward pass instead of stored, for a few images
at a time. Products of matrices come with what a norm needs of their result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from autoscale.network.kernels.compiled import Normed, NormGradient
from autoscale.network.kernels.inverted import Inverted
from autoscale.network.kernels.layers import Gradients, PointwiseNorm, Tape
from autoscale.network.kernels.products import Factor

#: Of a piece of the widest map. With a quarter of it a step took a twentieth longer, with whole
#: maps no less.
PIECE_BYTES = 4 * 1024 * 1024


class InvertedByImages(Inverted):
    """`Inverted` in pieces. The tape keeps the input, and the maps before the three norms."""

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        if tape is None:
            return super().forward(x, None, added)
        source: Tensor | Normed = x if self.expand is None else self._expanded(x)
        filtered = Normed(
            *self.kernels.depthwise_measured(
                source, self.depthwise.filter, self.depthwise.counted()
            ),
            self.depthwise.activation,
        )
        gate: Tensor | None = None
        if self.excite is not None:
            gate = self.excite.gate(self.kernels.pool_normed(filtered), tape)
        result = self._projected(filtered, gate)
        tape.append((x, source, filtered, result))
        return self.kernels.apply(result, added)

    def project_backward(
        self, gradient: Tensor, tape: Tape, found: Gradients
    ) -> tuple[NormGradient, Tensor, Any, Normed]:
        x, source, filtered, result = tape.pop()
        excited = tape.pop() if self.excite is not None else None
        gate = None if excited is None else excited[-1]
        of_result = self.kernels.norm_gradient(gradient, result)
        found[self.project.norm.weight] = of_result.of_scale
        found[self.project.norm.bias] = of_result.of_shift

        weight = _matrix(self.project)
        factor = self.kernels.products.ready(weight)
        of_hidden = torch.empty_like(filtered.z)
        of_weight = torch.zeros(weight.shape)
        of_gate = None if gate is None else torch.empty_like(gate)
        total = _sums(2 * weight.shape[1])
        hidden = _piece_like(filtered.z)
        of_z = _piece_like(result.z)
        for at in _pieces(filtered.z):
            images = at.stop - at.start
            piece = replace(filtered, z=filtered.z[at])
            self._hidden(piece, None if gate is None else gate[at], hidden[:images])
            self.kernels.combine(_piece_of(of_result, at), result.z[at], of_z[:images])
            self.kernels.products.rows(of_z[:images], factor, of_hidden[at])
            self.kernels.products.add_columns(of_z[:images], hidden[:images], of_weight)
            if of_gate is None:
                self.kernels.differentiate_more(of_hidden[at], piece, total)
            else:
                of_gate[at] = self.kernels.gate_gradient(of_hidden[at], hidden[:images])
        found[self.project.weight] = of_weight.view(self.project.weight.shape)
        if self.excite is None:
            found_of_z = self.kernels.finish_differentiate(of_hidden, filtered, total)
        else:
            assert excited is not None
            assert gate is not None
            assert of_gate is not None
            # As in `Inverted`: the gate's gradient times the gate.
            of_pooled = self.excite.gate_backward(of_gate.mul_(1 - gate), excited, found)
            found_of_z = self.kernels.differentiate(of_hidden, filtered, gate, of_pooled)
        return found_of_z, x, source, filtered

    def expand_backward(
        self, gradient: NormGradient, source: Normed, x: Tensor, *, wants_input: bool,
        added: Tensor | None,
    ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
        assert self.expand is not None
        weight = _matrix(self.expand)
        factor = self.kernels.products.ready(weight)
        of_x = torch.empty_like(x) if wants_input else None
        of_weight = torch.zeros(weight.shape[::-1])
        for at in _pieces(source.z):
            of_z = self.kernels.combine(_piece_of(gradient, at), source.z[at])
            self.kernels.products.add_columns(x[at], of_z, of_weight)
            if of_x is not None:
                self.kernels.products.rows(
                    of_z, factor, of_x[at], added=None if added is None else added[at]
                )
        return of_x, of_weight.t().contiguous().view(self.expand.weight.shape)

    def _expanded(self, x: Tensor) -> Normed:
        assert self.expand is not None
        weight = _matrix(self.expand)
        factor = self.kernels.products.ready(weight.t())
        z = x.new_empty(*x.shape[:3], len(weight))
        total = _sums(1 + 2 * len(weight))
        for at in _pieces(z):
            self._product(x[at], factor, z[at], total)
        statistics = self.kernels.finish_measure(total, self.expand.counted())
        return Normed(z, statistics, self.expand.activation)

    def _projected(self, filtered: Normed, gate: Tensor | None) -> Normed:
        weight = _matrix(self.project)
        factor = self.kernels.products.ready(weight.t())
        z = filtered.z.new_empty(*filtered.z.shape[:3], len(weight))
        total = _sums(1 + 2 * len(weight))
        hidden = _piece_like(filtered.z)
        for at in _pieces(filtered.z):
            images = at.stop - at.start
            piece = replace(filtered, z=filtered.z[at])
            self._hidden(piece, None if gate is None else gate[at], hidden[:images])
            self._product(hidden[:images], factor, z[at], total)
        statistics = self.kernels.finish_measure(total, self.project.counted())
        return Normed(z, statistics, self.project.activation)

    def _product(self, x: Tensor, factor: Factor, target: Tensor, total: Tensor) -> None:
        """`Products.rows`, the result added to the moments in `total`."""
        if not self.kernels.products.rows(x, factor, target, total=total):
            self.kernels.measure_more(target, total)

    def _hidden(self, filtered: Normed, gate: Tensor | None, target: Tensor) -> None:
        """What `project` reads."""
        if gate is None:
            self.kernels.apply(filtered, target=target)
        else:
            self.kernels.apply_gated(filtered, gate, target)


def _images_of_a_piece(x: Tensor) -> int:
    return max(1, PIECE_BYTES * len(x) // (x.numel() * x.element_size()))


def _pieces(x: Tensor) -> Iterator[slice]:
    """Images of a map that are computed together."""
    step = _images_of_a_piece(x)
    for first in range(0, len(x), step):
        yield slice(first, min(first + step, len(x)))


def _piece_like(x: Tensor) -> Tensor:
    """Memory for a piece of a map."""
    return x.new_empty(min(len(x), _images_of_a_piece(x)), *x.shape[1:])


def _piece_of(gradient: NormGradient, at: slice) -> NormGradient:
    return replace(gradient, pre=gradient.pre[at])


def _sums(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.float64)


def _matrix(layer: PointwiseNorm) -> Tensor:
    return layer.weight.detach().view(layer.weight.shape[:2])
