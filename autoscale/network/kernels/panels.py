"""Products in bfloat16 with what an inverted bottleneck has around them, some rows at a time.

A norm's map is made where a product reads it, and what comes out of a product goes through the
slope of an activation before it is stored (`bottleneck.cpp`). For processors that multiply
bfloat16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from autoscale.network.kernels.compiled import Normed, NormGradient, signed, unfilled
from autoscale.network.kernels.layers import Excite, Gradients
from autoscale.network.kernels.products import Products

_SIGNATURES = {
    "expand_forward": "ppppppppddnnnii",
    "project_forward": "ppippppppppddnnnnii",
    "project_backward": "pppppippppppppnnnnii",
    "expand_backward": "ppppppppnnnii",
    "excite_forward": "ppppppppnnni",
    "excite_backward": "ppppppppppppnnni",
}


class Excited(NamedTuple):
    """What the two layers of squeeze-and-excitation were given and gave, a row an image."""

    pooled: Tensor  # (N, C)
    reduced: Tensor  # (N, S)
    active: Tensor  # (N, S)
    gate: Tensor  # (N, C)


class Panels:
    """The functions, on torch's number of threads."""

    def __init__(self, products: Products) -> None:
        assert products.way
        self._functions, self._way = products.functions, products.way
        for name, kinds in _SIGNATURES.items():
            signed(self._functions, name, kinds)

    def __deepcopy__(self, memo: dict[int, object]) -> Panels:
        return self  # a loaded library is one for the process

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
        self._functions.expand_forward(
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
        self._functions.project_forward(
            x.z.data_ptr(), x.statistics.data_ptr(), x.activation, _pointer(gate),
            weight.data_ptr(), z.data_ptr(), *_own(norm, statistics), images, height * width,
            channels, columns, *self._how(),
        )  # fmt: skip
        return z, statistics

    def project_backward(
        self, gradient: NormGradient, result: Tensor, x: Normed, gate: Tensor | None, weight: Tensor
    ) -> tuple[NormGradient | Tensor, Tensor | None, Tensor]:
        """The gradients of what `project` was given.

        Args:
            gradient: of its `result` before the norm.

        Returns:
            Without a gate the gradient before the norm of `x`; else that of the gated map, and the
            sum of it times that map over the pixels, (N, C). Then that of the weight.
        """
        columns, channels = weight.shape[:2]
        images, height, width, _ = x.z.shape
        found = unfilled(torch.empty_like(x.z))
        of_gate = None if gate is None else torch.empty_like(gate)
        of_weight = torch.zeros(weight.shape)
        self._functions.project_backward(
            gradient.pre.data_ptr(), result.data_ptr(), gradient.coefficients.data_ptr(),
            x.z.data_ptr(), x.statistics.data_ptr(), x.activation, _pointer(gate),
            weight.data_ptr(), found.pre.data_ptr(), _pointer(of_gate), of_weight.data_ptr(),
            found.of_scale.data_ptr(), found.of_shift.data_ptr(), found.coefficients.data_ptr(),
            images, height * width, channels, columns, *self._how(),
        )  # fmt: skip
        return found if gate is None else found.pre, of_gate, of_weight

    def expand_backward(
        self, gradient: NormGradient, z: Tensor, x: Tensor, weight: Tensor, *,
        wants_input: bool = True, added: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
        """The gradients of `x`, plus `added`, and of the weight; `z` is what `expand` gave."""
        channels, depth = weight.shape[:2]
        of_x = torch.empty_like(x) if wants_input else None
        of_weight = torch.empty(weight.shape)
        self._functions.expand_backward(
            gradient.pre.data_ptr(), z.data_ptr(), gradient.coefficients.data_ptr(), x.data_ptr(),
            weight.data_ptr(), _pointer(added), _pointer(of_x), of_weight.data_ptr(),
            x.numel() // depth, depth, channels, *self._how(),
        )  # fmt: skip
        return of_x, of_weight

    def excite(self, pooled: Tensor, by: Excite) -> Excited:
        """The gate for maps with these means over their pixels, (N, C)."""
        images, channels = pooled.shape
        squeezed = len(by.reduce.weight)
        found = Excited(
            pooled, pooled.new_empty(images, squeezed), pooled.new_empty(images, squeezed),
            torch.empty_like(pooled),
        )  # fmt: skip
        self._functions.excite_forward(
            pooled.data_ptr(), by.reduce.weight.data_ptr(), _pointer(by.reduce.bias),
            by.expand.weight.data_ptr(), _pointer(by.expand.bias), found.reduced.data_ptr(),
            found.active.data_ptr(), found.gate.data_ptr(), images, channels, squeezed,
            by.activation,
        )  # fmt: skip
        return found

    def excite_backward(
        self, of_gate: Tensor, kept: Excited, by: Excite, found: Gradients
    ) -> Tensor:
        """The gradient of the means.

        Args:
            of_gate: the gate's times the gate; written over.
            kept: what `excite` gave.
        """
        images, channels = kept.pooled.shape
        of_pooled = torch.empty_like(kept.pooled)
        weights = []
        for conv in (by.reduce, by.expand):
            assert conv.bias is not None
            weights += [conv.weight, conv.bias]
        gradients = [torch.empty(weight.shape) for weight in weights]
        found.update(zip(weights, gradients, strict=True))
        self._functions.excite_backward(
            of_gate.data_ptr(), *(numbers.data_ptr() for numbers in kept),
            by.reduce.weight.data_ptr(), by.expand.weight.data_ptr(), of_pooled.data_ptr(),
            *(gradient.data_ptr() for gradient in gradients), images, channels,
            len(by.reduce.weight), by.activation,
        )  # fmt: skip
        return of_pooled

    def _how(self) -> tuple[int, int]:
        return torch.get_num_threads(), self._way


def _own(norm: nn.BatchNorm2d | None, statistics: Tensor) -> tuple[int | float | None, ...]:
    if norm is None:
        return None, None, None, None, None, 0.0, 0.0
    return (
        norm.weight.data_ptr(), norm.bias.data_ptr(), statistics.data_ptr(),
        _pointer(norm.running_mean), _pointer(norm.running_var), norm.eps, norm.momentum,
    )  # fmt: skip


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()
