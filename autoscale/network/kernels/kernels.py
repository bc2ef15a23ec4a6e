"""What the layers compute with: maps of (N, H, W, C) numbers, in that order in memory.

`TorchKernels` is torch alone. `compiled.NativeKernels` calls the functions of the C++ sources,
compiled for this machine by `library.compile_kernels`. Both give the same numbers within 1e-4 of
the largest of an output or gradient, and each gives the same bits every time.

Maps are float32, or bfloat16 in training where the kernels have that; what is not a map, statistics
and weights and their gradients, is float32 always, and so is arithmetic within an operation.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.network.kernels.depthwise import depthwise_backward

aten = torch.ops.aten

# In the order of `enum Activation` in activations.h; None for no activation.
ACTIVATIONS: tuple[type[nn.Module] | None, ...] = (
    None, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish,
)  # fmt: skip
ACTIVATE = (
    lambda x: x,
    torch.relu,
    functional.relu6,
    functional.silu,
    functional.hardswish,
)
# The gradient before an activation, from the one behind it and the activation's input.
DEACTIVATE = (
    lambda gradient, x: gradient,
    lambda gradient, x: aten.threshold_backward(gradient, x, 0),
    lambda gradient, x: aten.hardtanh_backward(gradient, x, 0, 6),
    aten.silu_backward,
    aten.hardswish_backward,
)


class Filter(NamedTuple):
    """What filters each channel by itself."""

    weight: Tensor  # (C, 1, k, k), k odd
    stride: int = 1
    same: bool = False  # TensorFlow's padding, which compiled kernels know; else k // 2 everywhere


class Kernels(Protocol):
    """The operations that dominate the time of small networks."""

    maps: torch.dtype  # of what passes through a network in training

    def depthwise(self, x: Tensor, by: Filter) -> Tensor:
        """(N, H, W, C) filtered."""

    def depthwise_backward(
        self, gradient: Tensor, x: Tensor, by: Filter, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        """The gradients of input and weight."""

    def norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> tuple[Tensor, Any]:
        """Batch norm by the batch's statistics, activation, plus `added`.

        Moves the running statistics. Also gives what `norm_backward` needs to know.
        """

    def norm_backward(
        self, gradient: Tensor, x: Tensor, norm: nn.BatchNorm2d, activation: int, kept: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of input, scale and shift."""

    def fixed_norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> Tensor:
        """Batch norm by the running statistics, activation, plus `added`."""

    def pool(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the mean over pixels (N, C)."""

    def reweight(self, x: Tensor, gate: Tensor) -> Tensor:
        """(N, H, W, C) times (N, C)."""

    def gate_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """What reached the gate of `reweight`: (N, C)."""

    def reweight_backward(self, gradient: Tensor, gate: Tensor, pooled: Tensor) -> Tensor:
        """The input's gradient: through the product, and `pooled` (N, C) through the mean."""


class TorchKernels:
    """Torch's own operations, without the bookkeeping of its autograd."""

    maps = torch.float32

    def depthwise(self, x: Tensor, by: Filter) -> Tensor:
        assert not by.same
        padding = by.weight.shape[-1] // 2
        y = functional.conv2d(_nchw(x), by.weight, None, by.stride, padding, 1, len(by.weight))
        return _nhwc(y)

    def depthwise_backward(
        self, gradient: Tensor, x: Tensor, by: Filter, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        assert not by.same
        return depthwise_backward(gradient, x, by.weight, by.stride, wants_input=wants_input)

    def norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> tuple[Tensor, Any]:
        assert norm.momentum is not None
        before, mean, inverse = torch.native_batch_norm(
            _nchw(x), norm.weight, norm.bias, norm.running_mean, norm.running_var, True,
            norm.momentum, norm.eps,
        )  # fmt: skip
        before = _nhwc(before)
        y = ACTIVATE[activation](before)
        # Kept, although `x` would give it again: reading memory costs time.
        kept = (mean, inverse, before if activation else None)
        return y if added is None else y.add_(added), kept

    def norm_backward(
        self, gradient: Tensor, x: Tensor, norm: nn.BatchNorm2d, activation: int, kept: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, inverse, before = kept
        if activation:
            gradient = DEACTIVATE[activation](gradient, before)
        of_x, of_scale, of_shift = aten.native_batch_norm_backward(
            _nchw(gradient), _nchw(x), norm.weight, norm.running_mean, norm.running_var, mean,
            inverse, True, norm.eps, [True, True, True],
        )  # fmt: skip
        return _nhwc(of_x), of_scale, of_shift

    def fixed_norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> Tensor:
        scale, shift = fixed_scale(norm)
        y = ACTIVATE[activation](torch.addcmul(shift, x, scale))
        return y if added is None else y.add_(added)

    def pool(self, x: Tensor) -> Tensor:
        return x.mean((1, 2))

    def reweight(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate[:, None, None]

    def gate_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        return (gradient * x).sum((1, 2))

    def reweight_backward(self, gradient: Tensor, gate: Tensor, pooled: Tensor) -> Tensor:
        share = pooled / (gradient.shape[1] * gradient.shape[2])
        return torch.addcmul(share[:, None, None], gradient, gate[:, None, None])


def fixed_scale(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift of a norm by its running statistics, (C,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()  # already so in all cases met, then nothing is copied
