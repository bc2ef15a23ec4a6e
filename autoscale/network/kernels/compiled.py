"""The kernels compiled from the C++ sources, and what they can that single layers cannot.

A map that follows a norm need not be stored: `Normed` keeps what was there before the norm, and a
kernel that reads the map makes it as it loads. This saves most of the passes over memory that a
training step of a mobile network consists of.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoscale.aspect import ImageSize
from autoscale.network.kernels.kernels import Filter, fixed_scale


@dataclass(frozen=True, slots=True)
class Normed:
    """The map act(z * scale + shift), which nobody has stored."""

    z: Tensor  # (N, H, W, C)
    statistics: Tensor  # (4, C): mean, 1 / sqrt(variance + eps), scale, shift
    activation: int


@dataclass(frozen=True, slots=True)
class NormGradient:
    """The gradient a * pre + b * z + c of a norm's input z, which nobody has stored."""

    pre: Tensor  # (N, H, W, C): the gradient before the activation
    coefficients: Tensor  # (3, C): a, b, c
    of_scale: Tensor  # (C,), of the norm's own scale
    of_shift: Tensor  # (C,)


class Way(IntEnum):
    """What multiplies maps by matrices; numbers as in ways.h."""

    FMAS = 0
    DOTS = 1
    TILES = 2


class NativeKernels:
    """The functions of the compiled C++ sources, on torch's number of threads.

    Args:
        libraries: by what their maps are made of; float32 always, and bfloat16 for trainings.

    Attributes:
        maps: what trainings make their maps of.
        functions: those of the libraries, by what their maps are made of.
        way: how `maps` are multiplied by matrices.
    """

    def __init__(self, libraries: Mapping[torch.dtype, Path]) -> None:
        self.maps = torch.bfloat16 if torch.bfloat16 in libraries else torch.float32
        self.functions = {maps: _opened(library) for maps, library in libraries.items()}
        self.way = Way(self.functions[self.maps].quickest_way())

    def __deepcopy__(self, memo: dict[int, object]) -> NativeKernels:
        return self  # a loaded library is one for the process

    # What every implementation has: see kernels.Kernels.

    def depthwise(self, x: Tensor, by: Filter) -> Tensor:
        return self._depthwise(x, by, None)[0]

    def depthwise_backward(
        self, gradient: Tensor, x: Tensor, by: Filter, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        of_x = torch.empty_like(x) if wants_input else None
        return of_x, self._depthwise_backward(x, by, gradient, None, of_x, None)

    def norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        kept = self.measure(x, norm)
        return self.apply(Normed(x, kept, activation), added), kept

    def norm_backward(
        self, gradient: Tensor, x: Tensor, norm: nn.BatchNorm2d, activation: int, kept: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = self.norm_gradient(gradient, Normed(x, kept, activation))
        # An activation's slope is written to a new map, which then takes the result.
        target = found.pre if activation else torch.empty_like(x)
        return self.combine(found, x, target), found.of_scale, found.of_shift

    def fixed_norm(
        self, x: Tensor, norm: nn.BatchNorm2d, activation: int, added: Tensor | None
    ) -> Tensor:
        return self._apply(x, *fixed_scale(norm), activation, added)

    def cut(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        windows: NDArray[np.int32],
        mirrored: NDArray[np.bool_],
        size: ImageSize,
    ) -> Tensor:
        """Windows of images, resized; the same bytes as `training.crops.cut` gives.

        Args:
            pixels: (N, H, W, C).
            rows: (B,), which images.
            windows: (B, 4), top, left, height and width. Those of the result's size may reach
                over the borders by less than a side; the image is reflected there.
            mirrored: (B,), left to right.
            size: of the result, (h, w).

        Shape of the result: (B, C, h, w), channels last, bytes.
        """
        assert pixels.flags.c_contiguous
        rows, windows = np.ascontiguousarray(rows), np.ascontiguousarray(windows)
        y = torch.empty((len(rows), *size, pixels.shape[3]), dtype=torch.uint8)
        self.functions[torch.float32].cut_windows(
            pixels.ctypes.data, rows.ctypes.data, windows.ctypes.data, mirrored.ctypes.data,
            y.data_ptr(), len(rows), *pixels.shape[1:3], *size, pixels.shape[3],
            torch.get_num_threads(),
        )  # fmt: skip
        return y.permute(0, 3, 1, 2)

    def pool(self, x: Tensor) -> Tensor:
        return self._sum_pixels(x, None).div_(x.shape[1] * x.shape[2])

    def reweight(self, x: Tensor, gate: Tensor) -> Tensor:
        return self._scale_images(x, gate, None, torch.empty_like(x))

    def gate_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        return self._sum_pixels(gradient, x)

    def reweight_backward(self, gradient: Tensor, gate: Tensor, pooled: Tensor) -> Tensor:
        share = pooled / (gradient.shape[1] * gradient.shape[2])
        return self._scale_images(gradient, gate, share, torch.empty_like(gradient))

    # Maps that nobody has stored.

    def measure(self, z: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """The statistics of a map, (4, C) as in `Normed`; moves the running ones."""
        channels = z.shape[-1]
        statistics = torch.empty(4, channels)
        self.functions[z.dtype].measure_norm(
            z.data_ptr(), norm.weight.data_ptr(), norm.bias.data_ptr(), statistics.data_ptr(),
            _pointer(norm.running_mean), _pointer(norm.running_var), z.numel() // channels,
            channels, norm.eps, norm.momentum, torch.get_num_threads(),
        )  # fmt: skip
        return statistics

    def apply(self, x: Normed, added: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """The map, stored, plus `added`."""
        return self._apply(x.z, x.statistics[2], x.statistics[3], x.activation, added, target)

    def depthwise_measured(
        self, x: Tensor | Normed, by: Filter, norm: nn.BatchNorm2d
    ) -> tuple[Tensor, Tensor]:
        """`depthwise`, and the statistics of what comes out as `measure` gives them."""
        y, statistics = self._depthwise(x, by, norm)
        assert statistics is not None
        return y, statistics

    def depthwise_of(self, x: Tensor | Normed, by: Filter) -> Tensor:
        """`depthwise`, of a map that may not be stored."""
        return self._depthwise(x, by, None)[0]

    def depthwise_backward_normed(
        self, gradient: NormGradient, z: Tensor, x: Normed, by: Filter
    ) -> tuple[NormGradient, Tensor]:
        """The gradients of what `x` was before its norm, and of the weight; `z` came out."""
        found = unfilled(torch.empty_like(x.z))
        return found, self._depthwise_backward(x, by, gradient, z, found.pre, found)

    def depthwise_backward_stored(
        self, gradient: NormGradient, z: Tensor, x: Tensor, by: Filter, *, wants_input: bool
    ) -> tuple[Tensor | None, Tensor]:
        """The gradients of input and weight; `z` came out."""
        of_x = torch.empty_like(x) if wants_input else None
        return of_x, self._depthwise_backward(x, by, gradient, z, of_x, None)

    def pool_normed(self, x: Normed) -> Tensor:
        """The map's mean over the pixels, (N, C)."""
        images, height, width, channels = x.z.shape
        sums = torch.empty(images, channels)
        self.functions[x.z.dtype].sum_normed(
            x.z.data_ptr(), x.statistics.data_ptr(), sums.data_ptr(), images, height * width,
            channels, x.activation, torch.get_num_threads(),
        )  # fmt: skip
        return sums.div_(height * width)

    def differentiate_pooled(self, pooled: Tensor, x: Normed) -> NormGradient:
        """The gradient of what `x` was before its norm, from that of its mean over the pixels."""
        return self._differentiate(None, x, pooled, torch.empty_like(x.z))

    def norm_gradient(self, gradient: Tensor, x: Normed) -> NormGradient:
        """The gradient of what `x` was before its norm, from that of the map."""
        target = torch.empty_like(gradient) if x.activation else gradient
        return self._differentiate(gradient, x, None, target)

    def combine(self, gradient: NormGradient, z: Tensor, target: Tensor) -> Tensor:
        """The gradient, stored in `target`, which may be the memory of `pre`."""
        channels = z.shape[-1]
        self.functions[z.dtype].combine_norm(
            gradient.pre.data_ptr(), z.data_ptr(), gradient.coefficients.data_ptr(),
            target.data_ptr(), z.numel() // channels, channels, torch.get_num_threads(),
        )  # fmt: skip
        return target

    def _apply(
        self, z: Tensor, scale: Tensor, shift: Tensor, activation: int, added: Tensor | None,
        target: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        channels = z.shape[-1]
        y = torch.empty_like(z) if target is None else target
        self.functions[z.dtype].apply_norm(
            z.data_ptr(), scale.data_ptr(), shift.data_ptr(), _pointer(added), y.data_ptr(),
            z.numel() // channels, channels, activation, torch.get_num_threads(),
        )  # fmt: skip
        return y

    def _differentiate(
        self, gradient: Tensor | None, x: Normed, pooled: Tensor | None, target: Tensor
    ) -> NormGradient:
        """From the gradient of the map, or of its mean; `target` is `gradient` if there is no
        activation to go through."""
        images, height, width, channels = x.z.shape
        share = None if pooled is None else pooled / (height * width)
        found = unfilled(target)
        self.functions[x.z.dtype].differentiate_norm(
            _pointer(gradient), x.z.data_ptr(), x.statistics.data_ptr(), _pointer(share),
            found.pre.data_ptr(), found.of_scale.data_ptr(), found.of_shift.data_ptr(),
            found.coefficients.data_ptr(), images, height * width, channels, x.activation,
            torch.get_num_threads(),
        )  # fmt: skip
        return found

    def _depthwise(
        self, x: Tensor | Normed, by: Filter, norm: nn.BatchNorm2d | None
    ) -> tuple[Tensor, Tensor | None]:
        stored, before, activation = _source(x)
        images, height, width, channels = stored.shape
        y = stored.new_empty(images, -(-height // by.stride), -(-width // by.stride), channels)
        statistics = None
        own: tuple[int | float | None, ...] = (None, None, None, None, None, 0.0, 0.0)
        if norm is not None:
            statistics = torch.empty(4, channels)
            own = (
                norm.weight.data_ptr(), norm.bias.data_ptr(), statistics.data_ptr(),
                _pointer(norm.running_mean), _pointer(norm.running_var), norm.eps, norm.momentum,
            )  # fmt: skip
        self.functions[stored.dtype].depthwise_forward(
            stored.data_ptr(), _pointer(before), activation, by.weight.data_ptr(), y.data_ptr(),
            *own, images, height, width, channels, *shape_of(by), torch.get_num_threads(),
        )  # fmt: skip
        return y, statistics

    def _depthwise_backward(
        self, x: Tensor | Normed, by: Filter, gradient: Tensor | NormGradient, z: Tensor | None,
        of_x: Tensor | None, found: NormGradient | None,
    ) -> Tensor:  # fmt: skip
        """Fills `of_x` and `found`; gives the gradient of the weight."""
        of_weight = torch.empty_like(by.weight)
        stored, before, activation = _source(x)
        images, height, width, channels = stored.shape
        numbers, coefficients = (
            (gradient.pre, gradient.coefficients)
            if isinstance(gradient, NormGradient)
            else (gradient, None)
        )
        of_norm = (None, None, None) if found is None else (
            found.of_scale.data_ptr(), found.of_shift.data_ptr(), found.coefficients.data_ptr(),
        )  # fmt: skip
        self.functions[stored.dtype].depthwise_backward(
            stored.data_ptr(), _pointer(before), activation, by.weight.data_ptr(),
            numbers.data_ptr(), _pointer(z), _pointer(coefficients), _pointer(of_x),
            of_weight.data_ptr(), *of_norm, images, height, width, channels, *shape_of(by),
            torch.get_num_threads(),
        )  # fmt: skip
        return of_weight

    def _sum_pixels(self, x: Tensor, factor: Tensor | None) -> Tensor:
        images, height, width, channels = x.shape
        sums = torch.empty(images, channels)
        self.functions[x.dtype].sum_pixels(
            x.data_ptr(), _pointer(factor), sums.data_ptr(), images, height * width, channels,
            torch.get_num_threads(),
        )  # fmt: skip
        return sums

    def _scale_images(self, x: Tensor, factor: Tensor, term: Tensor | None, y: Tensor) -> Tensor:
        images, height, width, channels = x.shape
        self.functions[x.dtype].scale_images(
            x.data_ptr(), factor.data_ptr(), _pointer(term), y.data_ptr(), images, height * width,
            channels, torch.get_num_threads(),
        )  # fmt: skip
        return y


# Of the arguments of functions in C++, by a letter.
_KINDS = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "i": ctypes.c_int, "d": ctypes.c_double}
_SIGNATURES = {
    "depthwise_forward": "ppipppppppddnnnniiii",
    "depthwise_backward": "ppipppppppppnnnniiii",
    "measure_norm": "ppppppnnddi",
    "apply_norm": "pppppnnii",
    "differentiate_norm": "ppppppppnnnii",
    "combine_norm": "ppppnni",
    "sum_normed": "pppnnnii",
    "sum_pixels": "pppnnni",
    "scale_images": "ppppnnni",
    "cut_windows": "pppppnnnnnni",
}


def _opened(library: Path) -> ctypes.CDLL:
    opened = ctypes.CDLL(str(library))
    for name, kinds in _SIGNATURES.items():
        signed(opened, name, kinds)
    return opened


def signed(library: ctypes.CDLL, name: str, kinds: str) -> None:
    """Tell what one of a library's functions takes.

    Args:
        kinds: a letter an argument: p for a pointer, n for an Index, i for an int, d for a double.
    """
    function = getattr(library, name)
    function.restype, function.argtypes = None, [_KINDS[kind] for kind in kinds]


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def shape_of(by: Filter) -> tuple[int, int, int]:
    """As the functions take it."""
    return by.weight.shape[-1], by.stride, int(by.same)


def _source(x: Tensor | Normed) -> tuple[Tensor, Tensor | None, int]:
    return (x.z, x.statistics, x.activation) if isinstance(x, Normed) else (x, None, 0)


def unfilled(pre: Tensor) -> NormGradient:
    """With room for what belongs to `pre`."""
    rows = torch.empty(5, pre.shape[-1])
    return NormGradient(pre, rows[:3], rows[3], rows[4])
