"""What the layers compute with: maps of (N, H, W, C) float32 numbers, in that order in memory.

`TorchKernels` is torch alone. `NativeKernels` calls the functions of the C++ sources, compiled for
this machine by `library.compile_kernels`. Both give the same numbers within 1e-4 of the largest of
an output or gradient, and each gives the same bits every time.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from autoscale.network.native.depthwise import depthwise_backward

aten = torch.ops.aten

# In the order of `enum Activation` in kernels.cpp; None for no activation.
ACTIVATIONS: tuple[type[nn.Module] | None, ...] = (
    None, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish,
)  # fmt: skip
ACTIVATE = (
    lambda x: x,
    torch.relu_,
    lambda x: functional.relu6(x, inplace=True),
    lambda x: functional.silu(x, inplace=True),
    lambda x: functional.hardswish(x, inplace=True),
)
# The gradient before an activation, from the one behind it and the activation's input.
DEACTIVATE = (
    lambda gradient, x: gradient,
    lambda gradient, x: aten.threshold_backward(gradient, x, 0),
    lambda gradient, x: aten.hardtanh_backward(gradient, x, 0, 6),
    aten.silu_backward,
    aten.hardswish_backward,
)


class Kernels(Protocol):
    """The operations that dominate the time of small networks."""

    def depthwise(self, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        """(N, H, W, C) filtered by (C, 1, k, k), k odd, with padding k // 2."""

    def depthwise_backward(
        self, gradient: Tensor, x: Tensor, weight: Tensor, stride: int, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        """The gradients of input and weight."""

    def norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Batch norm by the batch's statistics, activation, plus `added`.

        Moves the running statistics. Also gives what `norm_backward` needs to know.
        """

    def norm_backward(
        self, gradient: Tensor, x: Tensor, norm: nn.BatchNorm2d, activation: int, kept: Tensor
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

    def depthwise(self, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        padding = weight.shape[-1] // 2
        y = functional.conv2d(_nchw(x), weight, None, stride, padding, 1, len(weight))
        return _nhwc(y)

    def depthwise_backward(
        self, gradient: Tensor, x: Tensor, weight: Tensor, stride: int, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        return depthwise_backward(gradient, x, weight, stride, wants_input=wants_input)

    def norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert norm.momentum is not None
        y, mean, inverse = torch.native_batch_norm(
            _nchw(x), norm.weight, norm.bias, norm.running_mean, norm.running_var, True,
            norm.momentum, norm.eps,
        )  # fmt: skip
        kept = torch.stack((mean, inverse))
        y = ACTIVATE[activation](_nhwc(y))
        return y if added is None else y.add_(added), kept

    def norm_backward(
        self, gradient: Tensor, x: Tensor, norm: nn.BatchNorm2d, activation: int, kept: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, inverse = kept
        if activation:
            scale = norm.weight * inverse
            before = torch.addcmul(norm.bias - mean * scale, x, scale)
            gradient = DEACTIVATE[activation](gradient, before)
        of_x, of_scale, of_shift = aten.native_batch_norm_backward(
            _nchw(gradient), _nchw(x), norm.weight, norm.running_mean, norm.running_var, mean,
            inverse, True, norm.eps, [True, True, True],
        )  # fmt: skip
        return _nhwc(of_x), of_scale, of_shift

    def fixed_norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> Tensor:
        scale, shift = _fixed(norm)
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


class NativeKernels:
    """The functions of the compiled C++ sources, on torch's number of threads."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self._functions = ctypes.CDLL(str(library))
        for name, kinds in _SIGNATURES.items():
            function = getattr(self._functions, name)
            function.restype, function.argtypes = None, [_KINDS[kind] for kind in kinds]

    def __deepcopy__(self, memo: dict[int, object]) -> NativeKernels:
        return self  # a loaded library is one for the process

    def depthwise(self, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        images, height, width, channels = x.shape
        y = x.new_empty(images, -(-height // stride), -(-width // stride), channels)
        self._functions.depthwise_forward(
            x.data_ptr(), weight.data_ptr(), y.data_ptr(), images, height, width, channels,
            weight.shape[-1], stride, torch.get_num_threads(),
        )  # fmt: skip
        return y

    def depthwise_backward(
        self, gradient: Tensor, x: Tensor, weight: Tensor, stride: int, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        images, height, width, channels = x.shape
        of_x = torch.empty_like(x) if wants_input else None
        of_weight = torch.empty_like(weight)
        self._functions.depthwise_backward(
            x.data_ptr(), weight.data_ptr(), gradient.data_ptr(), _pointer(of_x),
            of_weight.data_ptr(), images, height, width, channels, weight.shape[-1], stride,
            torch.get_num_threads(),
        )  # fmt: skip
        return of_x, of_weight

    def norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        channels = x.shape[-1]
        y, kept = torch.empty_like(x), x.new_empty(4, channels)
        self._functions.norm_forward(
            x.data_ptr(), norm.weight.data_ptr(), norm.bias.data_ptr(), _pointer(added),
            y.data_ptr(), kept.data_ptr(), _pointer(norm.running_mean), _pointer(norm.running_var),
            x.numel() // channels, channels, norm.eps, norm.momentum, activation,
            torch.get_num_threads(),
        )  # fmt: skip
        return y, kept

    def norm_backward(
        self, gradient: Tensor, x: Tensor, norm: nn.BatchNorm2d, activation: int, kept: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        channels = x.shape[-1]
        of_x, of_norm = torch.empty_like(x), x.new_empty(2, channels)
        of_scale, of_shift = of_norm
        self._functions.norm_backward(
            gradient.data_ptr(), x.data_ptr(), kept.data_ptr(), of_x.data_ptr(),
            of_scale.data_ptr(), of_shift.data_ptr(), x.numel() // channels, channels, activation,
            torch.get_num_threads(),
        )  # fmt: skip
        return of_x, of_scale, of_shift

    def fixed_norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> Tensor:
        channels = x.shape[-1]
        scale, shift = _fixed(norm)
        y = torch.empty_like(x)
        self._functions.scale_shift(
            x.data_ptr(), scale.data_ptr(), shift.data_ptr(), _pointer(added), y.data_ptr(),
            x.numel() // channels, channels, activation, torch.get_num_threads(),
        )  # fmt: skip
        return y

    def cut(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        windows: NDArray[np.int32],
        mirrored: NDArray[np.bool_],
        resolution: int,
    ) -> Tensor:
        """Windows of images, resized; the same bytes as `training.crops.cut` gives.

        Args:
            pixels: (N, S, S, 3).
            rows: (B,), which images.
            windows: (B, 4), top, left, height and width. Those of the resolution's size may reach
                over the borders by less than a side; the image is reflected there.
            mirrored: (B,), left to right.

        Shape of the result: (B, 3, resolution, resolution), channels last, bytes.
        """
        assert pixels.flags.c_contiguous
        rows, windows = np.ascontiguousarray(rows), np.ascontiguousarray(windows)
        y = torch.empty((len(rows), resolution, resolution, 3), dtype=torch.uint8)
        self._functions.cut_windows(
            pixels.ctypes.data, rows.ctypes.data, windows.ctypes.data, mirrored.ctypes.data,
            y.data_ptr(), len(rows), pixels.shape[1], resolution, torch.get_num_threads(),
        )  # fmt: skip
        return y.permute(0, 3, 1, 2)

    def pool(self, x: Tensor) -> Tensor:
        return self._sum_pixels(x, None).div_(x.shape[1] * x.shape[2])

    def reweight(self, x: Tensor, gate: Tensor) -> Tensor:
        return self._scale_images(x, gate, None)

    def gate_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        return self._sum_pixels(gradient, x)

    def reweight_backward(self, gradient: Tensor, gate: Tensor, pooled: Tensor) -> Tensor:
        share = pooled / (gradient.shape[1] * gradient.shape[2])
        return self._scale_images(gradient, gate, share)

    def _sum_pixels(self, x: Tensor, factor: Tensor | None) -> Tensor:
        images, height, width, channels = x.shape
        sums = x.new_empty(images, channels)
        self._functions.sum_pixels(
            x.data_ptr(), _pointer(factor), sums.data_ptr(), images, height * width, channels,
            torch.get_num_threads(),
        )  # fmt: skip
        return sums

    def _scale_images(self, x: Tensor, factor: Tensor, term: Tensor | None) -> Tensor:
        images, height, width, channels = x.shape
        y = torch.empty_like(x)
        self._functions.scale_images(
            x.data_ptr(), factor.data_ptr(), _pointer(term), y.data_ptr(), images, height * width,
            channels, torch.get_num_threads(),
        )  # fmt: skip
        return y


# Of the functions' arguments in C++: pointer, Index, int, double.
_KINDS = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "i": ctypes.c_int, "d": ctypes.c_double}
_SIGNATURES = {
    "depthwise_forward": "pppnnnniii",
    "depthwise_backward": "pppppnnnniii",
    "norm_forward": "ppppppppnnddii",
    "norm_backward": "ppppppnnii",
    "scale_shift": "pppppnnii",
    "sum_pixels": "pppnnni",
    "scale_images": "ppppnnni",
    "cut_windows": "pppppnnni",
}


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _fixed(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()  # already so in all cases met, then nothing is copied
