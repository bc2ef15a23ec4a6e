"""Products with what an inverted bottleneck has around them, some rows at a time.

A norm's map is made where a product reads it, and what comes out of a product goes through the
slope of an activation before it is stored (`bottleneck.cpp`).
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor, nn

from autoscale.network.kernels.compiled import (
    NativeKernels,
    Normed,
    NormGradient,
    shape_of,
    signed,
    unfilled,
)
from autoscale.network.kernels.kernels import Filter
from autoscale.network.kernels.layers import Excite, Gradients

_SIGNATURES = {
    "expand_forward": "ppppppppddnnnii",
    "project_forward": "ppippppppppddnnnnii",
    "project_backward": "pppppippppppnnnnii",
    "expand_backward": "ppppppppnnnii",
    "widened_statistics": "ppppppppddnnnnii",
    "widened_forward": "pppipppppppddnnnnniiiii",
    "widened_backward": "ppppippppppppppnnnnniiiii",
    "excited_forward": "ppippppipppppppppppddnnnnnii",
    "excited_backward": "pppppippippppppppppppppnnnnnii",
}


class Widened(NamedTuple):
    """The map act(x * weight' * scale + shift), of which nothing is stored but x."""

    x: Tensor  # (N, H, W, depth)
    weight: Tensor  # (C, depth, 1, 1)
    statistics: Tensor  # (4, C), as of `Normed`
    moments: Tensor  # (1 + depth, depth): the means of x and its covariance
    activation: int


class WidenedGradients(NamedTuple):
    """Of the parameters of a `Widened` map and of the filters behind it."""

    of_filters: Tensor  # (C, 1, k, k)
    of_scale: Tensor  # (C,), of the norm's own scale
    of_shift: Tensor  # (C,)
    of_weight: Tensor  # (C, depth, 1, 1)


class Excited(NamedTuple):
    """What the two layers of squeeze-and-excitation were given and gave, a row an image."""

    pooled: Tensor  # (N, C)
    reduced: Tensor  # (N, S)
    active: Tensor  # (N, S)
    gate: Tensor  # (N, C)


class Panels:
    """The functions, on torch's number of threads."""

    def __init__(self, kernels: NativeKernels) -> None:
        self._kernels = kernels
        for functions in kernels.functions.values():
            for name, kinds in _SIGNATURES.items():
                signed(functions, name, kinds)

    def expand(
        self, x: Tensor, weight: Tensor, norm: nn.BatchNorm2d | None
    ) -> tuple[Tensor, Tensor]:
        """The 1x1 convolution of a map and the statistics of the result; moves the running ones.

        Args:
            weight: (channels of the result, channels of x, 1, 1), as everywhere here.
            norm: the one behind it; None to leave the statistics empty.
        """
        columns, depth = weight.shape[:2]
        z, statistics = x.new_empty(*x.shape[:3], columns), torch.empty(4, columns)
        self._functions(x).expand_forward(
            x.data_ptr(), weight.data_ptr(), z.data_ptr(), *_own(norm, statistics),
            x.numel() // depth, depth, columns, *self._how(),
        )  # fmt: skip
        return z, statistics

    def project(
        self, x: Normed, gate: Tensor | None, weight: Tensor, norm: nn.BatchNorm2d | None
    ) -> tuple[Tensor, Tensor]:
        """The same of a map that nobody has stored, times `gate`, (N, C)."""
        columns, channels = weight.shape[:2]
        images, height, width, _ = x.z.shape
        z, statistics = x.z.new_empty(images, height, width, columns), torch.empty(4, columns)
        self._functions(x.z).project_forward(
            x.z.data_ptr(), x.statistics.data_ptr(), x.activation, _pointer(gate),
            weight.data_ptr(), z.data_ptr(), *_own(norm, statistics), images, height * width,
            channels, columns, *self._how(),
        )  # fmt: skip
        return z, statistics

    def project_backward(
        self, gradient: NormGradient, result: Tensor, x: Normed, weight: Tensor
    ) -> tuple[NormGradient, Tensor]:
        """The gradients of what `project` was given, without a gate: before the norm of `x`, and
        of the weight.

        Args:
            gradient: of its `result` before the norm.
        """
        columns, channels = weight.shape[:2]
        images, height, width, _ = x.z.shape
        found = unfilled(torch.empty_like(x.z))
        of_weight = torch.zeros(weight.shape)
        self._functions(x.z).project_backward(
            gradient.pre.data_ptr(), result.data_ptr(), gradient.coefficients.data_ptr(),
            x.z.data_ptr(), x.statistics.data_ptr(), x.activation, weight.data_ptr(),
            *_addresses(found.pre, of_weight, found.of_scale, found.of_shift, found.coefficients),
            images, height * width, channels, columns, *self._how(),
        )  # fmt: skip
        return found, of_weight

    def project_excited(
        self, x: Normed, by: Excite, weight: Tensor, norm: nn.BatchNorm2d
    ) -> tuple[tuple[Tensor, Tensor], Excited]:
        """Squeeze-and-excitation and `project`: its results, and what was made of the means."""
        columns, channels = weight.shape[:2]
        images, height, width, _ = x.z.shape
        squeezed = len(by.reduce.weight)
        excited = Excited(
            torch.empty(images, channels), torch.empty(images, squeezed),
            torch.empty(images, squeezed), torch.empty(images, channels),
        )  # fmt: skip
        z, statistics = x.z.new_empty(images, height, width, columns), torch.empty(4, columns)
        self._functions(x.z).excited_forward(
            x.z.data_ptr(), x.statistics.data_ptr(), x.activation, *_addresses(*_parameters(by)),
            by.activation, *_addresses(*excited, weight, z), *_own(norm, statistics), images,
            height * width, channels, squeezed, columns, *self._how(),
        )  # fmt: skip
        return (z, statistics), excited

    def project_excited_backward(
        self, gradient: NormGradient, result: Tensor, x: Normed, excited: Excited, by: Excite,
        weight: Tensor, found: Gradients,
    ) -> NormGradient:  # fmt: skip
        """The gradient before the norm of `x`; those of all weights go to `found`.

        Args:
            gradient: of the `result` of `project_excited` before the norm.
        """
        columns, channels = weight.shape[:2]
        images, height, width, _ = x.z.shape
        first, _, second, _ = parameters = _parameters(by)
        of_x, of_weight = unfilled(torch.empty_like(x.z)), torch.zeros(weight.shape)
        gradients = [torch.empty(parameter.shape) for parameter in parameters]
        self._functions(x.z).excited_backward(
            gradient.pre.data_ptr(), result.data_ptr(), gradient.coefficients.data_ptr(),
            x.z.data_ptr(), x.statistics.data_ptr(), x.activation, *_addresses(first, second),
            by.activation, *_addresses(*excited, weight, of_x.pre, of_weight),
            *_addresses(of_x.of_scale, of_x.of_shift, of_x.coefficients, *gradients), images,
            height * width, channels, len(first), columns, *self._how(),
        )  # fmt: skip
        found[weight] = of_weight
        found.update(zip(parameters, gradients, strict=True))
        return of_x

    def expand_backward(
        self, gradient: NormGradient, z: Tensor, x: Tensor, weight: Tensor, *,
        wants_input: bool = True, added: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
        """The gradients of `x`, plus `added`, and of the weight; `z` is what `expand` gave."""
        channels, depth = weight.shape[:2]
        of_x = torch.empty_like(x) if wants_input else None
        of_weight = torch.empty(weight.shape)
        self._functions(x).expand_backward(
            gradient.pre.data_ptr(), z.data_ptr(), gradient.coefficients.data_ptr(), x.data_ptr(),
            weight.data_ptr(), _pointer(added), _pointer(of_x), of_weight.data_ptr(),
            x.numel() // depth, depth, channels, *self._how(),
        )  # fmt: skip
        return of_x, of_weight

    def widen(self, x: Tensor, weight: Tensor, norm: nn.BatchNorm2d, activation: int) -> Widened:
        """`expand` that stores nothing, with its norm and activation; moves the running ones."""
        images, height, width, depth = x.shape
        channels = len(weight)
        statistics, moments = torch.empty(4, channels), torch.empty(1 + depth, depth)
        self._functions(x).widened_statistics(
            x.data_ptr(), weight.data_ptr(), moments.data_ptr(), *_own(norm, statistics),
            images, height * width, depth, channels, *self._how(),
        )  # fmt: skip
        return Widened(x, weight, statistics, moments, activation)

    def depthwise(self, x: Widened, by: Filter, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
        """The depthwise convolution of a map and the statistics of the result, as of `expand`."""
        channels, depth = x.weight.shape[:2]
        images, height, width, _ = x.x.shape
        z = x.x.new_empty(images, -(-height // by.stride), -(-width // by.stride), channels)
        statistics = torch.empty(4, channels)
        self._functions(x.x).widened_forward(
            x.x.data_ptr(), x.weight.data_ptr(), x.statistics.data_ptr(), x.activation,
            by.weight.data_ptr(), z.data_ptr(), *_own(norm, statistics), images, height, width,
            depth, channels, *shape_of(by), *self._how(),
        )  # fmt: skip
        return z, statistics

    def depthwise_backward(
        self, gradient: NormGradient, z: Tensor, x: Widened, by: Filter, *,
        wants_input: bool = True, added: Tensor | None = None,
    ) -> tuple[Tensor | None, WidenedGradients]:  # fmt: skip
        """The gradients of `x.x`, plus `added`, and of all weights; `depthwise` gave `z`."""
        channels, depth = x.weight.shape[:2]
        images, height, width, _ = x.x.shape
        of_x = torch.empty_like(x.x) if wants_input else None
        found = WidenedGradients(
            torch.empty_like(by.weight), torch.empty(channels), torch.empty(channels),
            torch.empty(x.weight.shape),
        )  # fmt: skip
        self._functions(x.x).widened_backward(
            x.x.data_ptr(), x.weight.data_ptr(), x.moments.data_ptr(), x.statistics.data_ptr(),
            x.activation, by.weight.data_ptr(), gradient.pre.data_ptr(), z.data_ptr(),
            gradient.coefficients.data_ptr(), _pointer(added), _pointer(of_x),
            *(numbers.data_ptr() for numbers in found), images, height, width, depth, channels,
            *shape_of(by), *self._how(),
        )  # fmt: skip
        return of_x, found

    def _how(self) -> tuple[int, int]:
        return torch.get_num_threads(), self._kernels.way

    def _functions(self, map_: Tensor) -> ctypes.CDLL:
        return self._kernels.functions[map_.dtype]


def _own(norm: nn.BatchNorm2d | None, statistics: Tensor) -> tuple[int | float | None, ...]:
    if norm is None:
        return None, None, None, None, None, 0.0, 0.0
    return (
        norm.weight.data_ptr(), norm.bias.data_ptr(), statistics.data_ptr(),
        _pointer(norm.running_mean), _pointer(norm.running_var), norm.eps, norm.momentum,
    )  # fmt: skip


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _addresses(*tensors: Tensor) -> tuple[int, ...]:
    return tuple(tensor.data_ptr() for tensor in tensors)


def _parameters(by: Excite) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the first layer its weight and bias, then of the second."""
    first, second = by.reduce, by.expand
    assert first.bias is not None
    assert second.bias is not None
    return first.weight, first.bias, second.weight, second.bias
