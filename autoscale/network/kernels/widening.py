"""A pointwise convolution to many more channels with its norm, by products of small matrices.

What it gives lies in a space of as few dimensions as it was given. So the statistics of the wide
map follow from the covariance of the narrow one, and the norm goes into the weights: the wide map
before its norm is never made, and neither pass goes over a wide map for the norm's sake.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoscale.network.kernels.kernels import ACTIVATE, DEACTIVATE
from autoscale.network.kernels.layers import Gradients, PointwiseNorm, Tape

#: Channels given / channels taken from which it pays.
FACTOR = 3


class Widening(PointwiseNorm):
    """`PointwiseNorm` for kernels that cannot fuse operations.

    With rows x of M pixels, weights W, the covariance S of x and the deviations d of W x:

        norm(W x) = diag(gamma / d) W (x - mean(x)) + beta,    d^2 = diag(W S W') + eps

    and for gradients g behind the norm, P = g' (x - mean(x)):

        of gamma:  diag(P W') / d
        of W:      diag(gamma / d) (P - diag(of gamma / d) W S)
        of x:      (g - mean(g)) diag(gamma / d) W - (x - mean(x)) W' diag(gamma of gamma / d^2 M) W
    """

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        rows = x.view(-1, x.shape[-1])
        if tape is None or len(rows) < 2:
            return super().forward(x, tape, added)
        norm = self.counted()
        assert norm.momentum is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight = self.weight.view(self.weight.shape[:2])
        mean = rows.mean(0)
        centred = rows - mean
        covariance = centred.t() @ centred / len(rows)
        variance = (weight @ covariance * weight).sum(1).clamp_(min=0)
        inverse = torch.rsqrt(variance + norm.eps)
        norm.running_mean.lerp_(weight @ mean, norm.momentum)
        norm.running_var.lerp_(variance * (len(rows) / (len(rows) - 1)), norm.momentum)
        scaled = weight * (norm.weight * inverse)[:, None]
        before = torch.addmm(norm.bias, centred, scaled.t())
        tape.append((centred, before, covariance, inverse))
        y = ACTIVATE[self.activation](before).view(*x.shape[:3], -1)
        if added is None:
            return y
        return y + added

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        if len(tape[-1]) == 3:  # of one pixel, by the other way
            return super().backward(gradient, tape, found, wants_input=wants_input, added=added)
        centred, before, covariance, inverse = tape.pop()
        shape = (*gradient.shape[:3], centred.shape[1])
        weight = self.weight.view(self.weight.shape[:2])
        rows = DEACTIVATE[self.activation](gradient.view(before.shape), before)
        total = rows.sum(0)
        products = (centred.t() @ rows).t()  # P
        of_scale = inverse * (products * weight).sum(1)
        scale = self.norm.weight * inverse
        of_weight = (of_scale * inverse)[:, None] * (weight @ covariance)
        of_weight = scale[:, None] * (products - of_weight)
        found[self.norm.weight], found[self.norm.bias] = of_scale, total
        found[self.weight] = of_weight.view(self.weight.shape)
        if not wants_input:
            return None
        scaled = weight * scale[:, None]
        back = weight.t() @ ((of_scale * inverse / -len(rows))[:, None] * scaled)
        of_x = torch.addmm((total / -len(rows)) @ scaled, centred, back)
        if added is not None:
            of_x += added.reshape(of_x.shape)
        return torch.addmm(of_x, rows, scaled).view(shape)
