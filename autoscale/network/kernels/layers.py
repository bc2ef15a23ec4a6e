"""Layers that carry their own backward pass.

A pass forwards pushes what the backward pass will need on a tape, a pass backwards pops it, so both
visit the layers in opposite orders. Maps are (N, H, W, C) in memory. Every layer may be told to add
something to its result, in both directions: this is how a residual sum costs no pass of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autoscale.network.blocks import DropPath, SqueezeExcite
from autoscale.network.kernels.kernels import ACTIVATE, DEACTIVATE, Filter, Kernels, fixed_scale

aten = torch.ops.aten
Tape = list[Any]
Gradients = dict[Tensor, Tensor]  # by parameter


class Layer(Protocol):
    """A function of one map and of parameters."""

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        """The result, plus `added`; without a tape by running statistics and without dropping."""

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        """The gradient of the input, plus `added`; those of parameters go to `found`."""


class Chain:
    """Layers one after another."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        *first, last = self.layers
        for layer in first:
            x = layer.forward(x, tape)
        return last.forward(x, tape, added)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        first, *others = self.layers
        for layer in reversed(others):
            onward = layer.backward(gradient, tape, found)
            assert onward is not None
            gradient = onward
        return first.backward(gradient, tape, found, wants_input=wants_input, added=added)


class ConvNorm:
    """A convolution without bias, batch norm and an activation."""

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, activation: int, kernels: Kernels
    ) -> None:
        self.weight, self.stride = conv.weight, conv.stride[0]
        self.padding, self.groups = conv.padding[0], conv.groups
        self.norm, self.activation, self.kernels = norm, activation, kernels

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        z = self.convolve(x)
        if tape is None:
            return self.kernels.fixed_norm(z, self.norm, self.activation, added)
        y, kept = self.kernels.norm(z, self.counted(), self.activation, added)
        tape.append((x, z, kept))
        return y

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        x, z, kept = tape.pop()
        of_z, found[self.norm.weight], found[self.norm.bias] = self.kernels.norm_backward(
            gradient, z, self.norm, self.activation, kept
        )
        del z
        of_x, found[self.weight] = self.convolve_backward(of_z, x, wants_input, added)
        return of_x

    def counted(self) -> nn.BatchNorm2d:
        """The norm, which has seen one batch more."""
        assert self.norm.num_batches_tracked is not None
        self.norm.num_batches_tracked.add_(1)
        return self.norm

    def convolve(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype)
        y = torch.conv2d(
            x.permute(0, 3, 1, 2), weight, None, self.stride, self.padding, 1, self.groups
        )
        return y.permute(0, 2, 3, 1).contiguous()

    def convolve_backward(
        self, gradient: Tensor, x: Tensor, wants_input: bool, added: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        of_x, of_weight, _ = aten.convolution_backward(
            gradient.permute(0, 3, 1, 2), x.permute(0, 3, 1, 2), self.weight.to(x.dtype), None,
            [self.stride] * 2, [self.padding] * 2, [1, 1], False, [0, 0], self.groups,
            [wants_input, True, False],
        )  # fmt: skip
        of_weight = of_weight.to(self.weight.dtype)
        return _sum(of_x.permute(0, 2, 3, 1), added) if wants_input else None, of_weight


class PointwiseNorm(ConvNorm):
    """The 1x1 convolution is a product of matrices, one row a pixel."""

    def convolve(self, x: Tensor) -> Tensor:
        weight = self.matrix(x)
        return torch.mm(x.view(-1, x.shape[-1]), weight.t()).view(*x.shape[:3], -1)

    def convolve_backward(
        self, gradient: Tensor, x: Tensor, wants_input: bool, added: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        weight = self.matrix(x)
        rows, pixels = gradient.view(-1, gradient.shape[-1]), x.view(-1, x.shape[-1])
        of_weight = product_over_rows(rows, pixels).contiguous()
        of_x = None
        if wants_input and added is None:
            of_x = torch.mm(rows, weight).view(x.shape)
        elif wants_input and added is not None:
            of_x = torch.addmm(added.reshape(pixels.shape), rows, weight).view(x.shape)
        return of_x, of_weight.view(self.weight.shape).to(self.weight.dtype)

    def matrix(self, x: Tensor) -> Tensor:
        """The weights (C of the result, C of x), in the type of x."""
        return self.weight.view(self.weight.shape[:2]).to(x.dtype)


def product_over_rows(one: Tensor, other: Tensor) -> Tensor:
    """(R, A) and (R, B) to (A, B)."""
    # Matrix products are faster when the result has more columns than rows.
    if one.shape[1] <= other.shape[1]:
        return torch.mm(one.t(), other)
    return torch.mm(other.t(), one).t()


class DepthwiseNorm(ConvNorm):
    """Each channel is filtered by itself.

    Args:
        same: whether the map is padded as TensorFlow does; the convolution then pads nothing.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: nn.BatchNorm2d,
        activation: int,
        kernels: Kernels,
        *,
        same: bool = False,
    ) -> None:
        super().__init__(conv, norm, activation, kernels)
        self.filter = Filter(self.weight, self.stride, same)

    def convolve(self, x: Tensor) -> Tensor:
        return self.kernels.depthwise(x, self.filter)

    def convolve_backward(
        self, gradient: Tensor, x: Tensor, wants_input: bool, added: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        of_x, of_weight = self.kernels.depthwise_backward(
            gradient, x, self.filter, wants_input=wants_input
        )
        return of_x if of_x is None else _sum(of_x, added), of_weight


class FixedNorm:
    """A convolution, its norm by the running statistics, an activation: the norm does not learn."""

    def __init__(self, layer: ConvNorm) -> None:
        self.layer = layer

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        layer = self.layer
        z = layer.convolve(x)
        if tape is not None:
            tape.append((x, z))
        return layer.kernels.fixed_norm(z, layer.norm, layer.activation, added)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        layer = self.layer
        x, z = tape.pop()
        scale, shift = fixed_scale(layer.norm)
        if layer.activation:
            before = torch.addcmul(shift, z.to(scale.dtype), scale)
            gradient = DEACTIVATE[layer.activation](gradient.to(scale.dtype), before)
        of_z = (gradient * scale).to(z.dtype)
        of_x, found[layer.weight] = layer.convolve_backward(of_z, x, wants_input, added)
        return of_x


class Frozen:
    """Leading layers without a weight that learns, as in use, then those that learn.

    No gradient reaches the leading layers, nor the input.
    """

    def __init__(self, leading: Layer, learning: Layer) -> None:
        self.leading, self.learning = leading, learning

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        return self.learning.forward(self.leading.forward(x, None), tape, added)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        self.learning.backward(gradient, tape, found, wants_input=False)
        return None


class Excite:
    """Squeeze-and-excitation."""

    def __init__(self, module: SqueezeExcite, activation: int, kernels: Kernels) -> None:
        self.reduce, self.expand = module.reduce, module.expand
        self.activation, self.kernels = activation, kernels

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        if tape is not None:
            tape.append(x)
        gate = self.gate(self.kernels.pool(x), tape)
        return _sum(self.kernels.reweight(x, gate), added)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        kept, x = tape.pop(), tape.pop()
        gate = kept[-1]
        of_expanded = aten.sigmoid_backward(self.kernels.gate_gradient(gradient, x), gate)
        of_pooled = self.gate_backward(of_expanded, kept, found)
        if not wants_input:
            return None
        return _sum(self.kernels.reweight_backward(gradient, gate, of_pooled), added)

    def gate(self, pooled: Tensor, tape: Tape | None) -> Tensor:
        """What every channel of every image is multiplied by, (N, C); the tape's last entry too."""
        reduced = torch.addmm(_bias(self.reduce), pooled, _matrix(self.reduce).t())
        active = ACTIVATE[self.activation](reduced)
        gate = torch.addmm(_bias(self.expand), active, _matrix(self.expand).t()).sigmoid_()
        if tape is not None:
            tape.append((pooled, reduced, active, gate))
        return gate

    def gate_backward(
        self, of_expanded: Tensor, kept: tuple[Tensor, Tensor, Tensor, Tensor], found: Gradients
    ) -> Tensor:
        """The gradient of the means over the pixels.

        Args:
            of_expanded: the gradient of the sigmoid's input, (N, C).
            kept: what `gate` left on the tape.
        """
        pooled, reduced, active, _ = kept
        of_reduced = DEACTIVATE[self.activation](
            torch.mm(of_expanded, _matrix(self.expand)), reduced
        )
        for conv, of_result, input_ in (
            (self.expand, of_expanded, active),
            (self.reduce, of_reduced, pooled),
        ):
            found[conv.weight] = torch.mm(of_result.t(), input_).view(conv.weight.shape)
            found[_bias(conv)] = of_result.sum(0)
        return torch.mm(of_reduced, _matrix(self.reduce))


class Skip:
    """A branch plus its own input."""

    def __init__(self, branch: Layer) -> None:
        self.branch = branch

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        return _sum(self.branch.forward(x, tape, x), added)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        of_x = self.branch.backward(gradient, tape, found, wants_input=wants_input, added=gradient)
        return of_x if of_x is None else _sum(of_x, added)


class Drop:
    """Stochastic depth at the end of a branch: whole images of it vanish while training."""

    def __init__(self, module: DropPath) -> None:
        self.module = module

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        if tape is None:
            return x if added is None else x + added
        kept = self.module.draw(torch.empty(len(x)))
        tape.append(kept)
        return (x * kept if added is None else torch.addcmul(added, x, kept)).to(x.dtype)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        return _sum((gradient * tape.pop()).to(gradient.dtype), added) if wants_input else None


class Opaque:
    """Any module, by torch's autograd in float32. Takes maps, gives maps or rows of numbers."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.parameters = [p for p in module.parameters() if p.requires_grad]

    def forward(self, x: Tensor, tape: Tape | None, added: Tensor | None = None) -> Tensor:
        if tape is None:
            return _sum(_given(_rows(self.module(_planes(x.float()))), x), added)
        with torch.enable_grad():
            seen = x.detach().float().requires_grad_()
            y = _rows(self.module(_planes(seen)))
        tape.append((x.dtype, seen, y))
        return _sum(_given(y.detach(), x), added)

    def backward(
        self, gradient: Tensor, tape: Tape, found: Gradients, *, wants_input: bool = True,
        added: Tensor | None = None,
    ) -> Tensor | None:  # fmt: skip
        maps, seen, y = tape.pop()
        asked = [*self.parameters, *([seen] if wants_input else [])]
        if not asked:
            return None
        with torch.enable_grad():
            end = _End.apply(y, gradient.float())
        gradients = list(torch.autograd.grad(end, asked, allow_unused=True))
        of_x = gradients.pop() if wants_input else None
        for parameter, of_parameter in zip(self.parameters, gradients, strict=True):
            if of_parameter is not None:
                found[parameter] = of_parameter
        if of_x is None:
            return None
        return _sum(of_x.contiguous().to(maps), added)


def _given(y: Tensor, x: Tensor) -> Tensor:
    """A map in the type of `x`, rows of numbers as they are."""
    return y.to(x.dtype) if y.ndim == 4 else y


class _End(torch.autograd.Function):
    """A number whose gradient by a tensor is one that is given.

    Given a gradient itself, torch's autograd loads symbolic shapes and sympy, only to compare two
    shapes: 0.3 seconds of CPU time and 35 MB in every process that trains (torch 2.13).
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return y.new_zeros(())

    @staticmethod
    def backward(ctx: Any, one: Tensor) -> tuple[Tensor, None]:
        return ctx.gradient, None


def _sum(x: Tensor, added: Tensor | None) -> Tensor:
    return x if added is None else x + added


def _matrix(conv: nn.Conv2d) -> Tensor:
    return conv.weight.view(conv.weight.shape[:2])


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _planes(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _rows(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous() if x.ndim == 4 else x
