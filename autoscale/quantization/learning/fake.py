"""A graph in int8 carried out in float32, with every number rounded to its steps: it can learn.

A map is held in steps above its zero point, so that rounding and the limits of 8 bits, which an
activation within a convolution only narrows, are all that is done to a number beside the float
graph's work. Gradients pass rounding by and are 0 beyond the limits (the straight-through
estimator: Bengio et al. 2013; Jacob et al. 2018, section 3). LiteRT's kernels round sums and
products in their own ways, so that a number between two steps may fall to the other one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import HIGHEST, LOWEST, WEIGHT
from autoscale.quantization.execute import FUNCTIONS, padded, pooled
from autoscale.quantization.quantized import QuantizedGraph, QuantizedKernel


class FakeQuantized(nn.Module):
    """An int8 graph whose weights and biases may learn; the steps of all numbers stay.

    Shape: (N, 3, H, W), numbers 0..255 of any type, to logits (N, classes).
    """

    def __init__(self, network: QuantizedGraph) -> None:
        super().__init__()
        self._network = network
        scales = {name: one.scale for name, one in network.maps.items()}
        self._limits = {one.name: _limits(one, network) for one in network.graph.operations}
        self._layers = nn.ModuleDict(
            {
                _key(one.name): _Layer(
                    one,
                    network.kernels[one.name],
                    source=scales[one.inputs[0]],
                    to=scales[one.name],
                )
                for one in network.graph.operations
                if isinstance(one, g.Convolution | g.Linear)
            }
        )
        self._constants = {
            name: torch.from_numpy(one.quantization.numbers(one.integers)).float()
            for name, one in network.constants.items()
        }

    def forward(self, pixels: Tensor) -> Tensor:
        graph, of = self._network.graph, self._network.maps
        maps = {g.PIXELS: pixels.float() + float(LOWEST - of[g.PIXELS].zero_point)}
        for operation, done in graph.steps():
            maps[operation.name] = self.carried_out(
                operation, [maps[name] for name in operation.inputs]
            )
            for name in done:
                del maps[name]
        return maps[graph.output.name] * of[graph.output.name].scale

    def carried_out(self, operation: g.Operation, inputs: list[Tensor]) -> Tensor:
        """The map of one operation, its inputs and itself in steps above their zero points."""
        return to_steps(self._made(operation, inputs), *self._limits[operation.name])

    def _made(self, operation: g.Operation, inputs: list[Tensor]) -> Tensor:
        """What one operation makes of its inputs, in steps that are yet to be rounded."""
        of = [self._network.maps[name].scale for name in operation.inputs]
        to, first = self._network.maps[operation.name].scale, inputs[0]
        if isinstance(operation, g.Convolution | g.Linear):
            found: Tensor = self._layers[_key(operation.name)](first)
            return found
        if isinstance(operation, g.Sum):
            return torch.add(first * (of[0] / to), inputs[1], alpha=of[1] / to)
        if isinstance(operation, g.Product):
            if operation.constant is None:
                return first * (inputs[1] * (of[0] * of[1] / to))
            return first * (self._constants[operation.name] * (of[0] / to))
        if isinstance(operation, g.Mean):
            return first.mean(dim=(2, 3), keepdim=True) * (of[0] / to)
        if isinstance(operation, g.Pool):
            return pooled(operation, first)
        assert isinstance(operation, g.Function)
        return FUNCTIONS[operation.kind](first * of[0]) / to

    def learned(self) -> QuantizedGraph:
        """The int8 graph with the weights and biases as they are now."""
        kernels: dict[str, QuantizedKernel] = {}
        for name, kernel in self._network.kernels.items():
            layer = self._layers[_key(name)]
            assert isinstance(layer, _Layer)
            kernels[name] = layer.learned(kernel)
        return replace(self._network, kernels=kernels)


class _Layer(nn.Module):
    """A convolution or a linear layer whose weights are rounded to their steps.

    What learns are the weights in their own steps and the biases in those of the output, so that
    one learning rate is as much to every layer.

    Args:
        source: scale of its input.
        to: scale of its output.
    """

    scales: Tensor

    def __init__(
        self,
        operation: g.Convolution | g.Linear,
        kernel: QuantizedKernel,
        *,
        source: float,
        to: float,
    ) -> None:
        super().__init__()
        self._operation = operation
        scales = torch.from_numpy(np.broadcast_to(kernel.scales, kernel.bias.shape).copy())
        self._shape = (-1,) + (1,) * (kernel.weight.ndim - 1)
        self.weight = nn.Parameter(torch.from_numpy(kernel.weight).float())
        self.register_buffer("scales", scales * (source / to), persistent=False)
        self.bias = nn.Parameter(torch.from_numpy(kernel.bias).float() * self.scales)

    @property
    def steps(self) -> Tensor:
        """The weights in whole steps."""
        return to_steps(self.weight, -WEIGHT, WEIGHT)

    def learned(self, kernel: QuantizedKernel) -> QuantizedKernel:
        """The integers of the weights and biases as they are now, with the scales of `kernel`."""
        with torch.no_grad():
            weight, bias = self.steps, self.bias.double() / self.scales
        return QuantizedKernel(
            weight=weight.to(torch.int8).contiguous().numpy(),
            scales=kernel.scales,
            bias=bias.round().clamp(-(2.0**31), 2.0**31 - 1).to(torch.int32).numpy(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, operation = self.steps * self.scales.view(self._shape), self._operation
        if isinstance(operation, g.Linear):
            return functional.linear(x.flatten(1), weight, self.bias)
        return functional.conv2d(
            padded(x, operation.pads, 0.0),
            weight,
            self.bias,
            operation.stride,
            groups=operation.groups,
        )


def _limits(operation: g.Operation, network: QuantizedGraph) -> tuple[int, int]:
    """The least and the most steps above its zero point that an operation may give."""
    to = network.maps[operation.name]
    low, high = LOWEST - to.zero_point, HIGHEST - to.zero_point
    act = getattr(operation, "act", None)
    if act is not None:
        low = max(low, 0)
    if act == "relu6":
        high = min(high, round(6 / to.scale))
    return low, high


class _ToSteps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward((x >= low - 0.5) & (x <= high + 0.5))
        return x.round().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (within,) = ctx.saved_tensors
        return gradient * within, None, None


def to_steps(x: Tensor, low: int, high: int) -> Tensor:
    """Whole numbers within limits; gradients pass where `x` rounds to such."""
    if x.requires_grad and torch.is_grad_enabled():
        return _ToSteps.apply(x, low, high)
    return x.round().clamp_(low, high)


def _key(name: str) -> str:
    """A name without dots, which names of modules may not have."""
    return name.replace(".", "/")
