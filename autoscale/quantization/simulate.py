"""A graph in int8 carried out in integers, as LiteRT's kernels without a delegate compute it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import (
    HIGHEST,
    LOWEST,
    SUM_BITS,
    WEIGHT,
    Multiplier,
    Quantization,
    hard_swish_table,
    mean_multiplier,
    multiplier,
    multipliers,
    times,
)
from autoscale.quantization.execute import FUNCTIONS, Seen, counted, padded
from autoscale.quantization.quantized import QuantizedGraph

#: Products of a number and a weight that float32 adds up exactly, in whatever order.
_EXACT = 2**24 // ((HIGHEST - LOWEST) * WEIGHT)


@torch.inference_mode()
def simulate(network: QuantizedGraph, pixels: Tensor, seen: Seen | None = None) -> Tensor:
    """Logits (N, classes), as integers.

    Args:
        pixels: (N, C, H, W), bytes 0..255.
        seen: is shown the integers of every map as soon as they are made.
    """
    graph, run = network.graph, IntegerRun(network)
    maps = {g.PIXELS: pixels.to(torch.int64) + LOWEST}
    for operation, done in graph.steps():
        found = run.made(operation, [maps[name] for name in operation.inputs])
        maps[operation.name] = found
        if seen is not None:
            seen(operation.name, found)
        for name in done:
            del maps[name]
    return maps[graph.output.name]


class IntegerRun:
    """Makes one map after the other; all are 64-bit integers in -128..127."""

    def __init__(self, network: QuantizedGraph) -> None:
        self.network = network

    def made(self, operation: g.Operation, inputs: list[Tensor]) -> Tensor:
        maps = self.network.maps
        of = [maps[name] for name in operation.inputs]
        to, first = maps[operation.name], inputs[0]
        if isinstance(operation, g.Convolution | g.Linear):
            return self.layer(operation, first, of[0], to)
        if isinstance(operation, g.Sum):
            return _limited(_sum(inputs, of, to), to, operation.act)
        if isinstance(operation, g.Product):
            return self.product(operation, inputs, of, to)
        if isinstance(operation, g.Mean):
            return _mean(first, of[0], to)
        if isinstance(operation, g.Pool):
            return _pooled(operation, first)
        assert isinstance(operation, g.Function)
        if operation.kind == "hswish":
            return torch.from_numpy(hard_swish_table(of[0], to))[first - LOWEST]
        return _looked_up(first, of[0], to, FUNCTIONS[operation.kind])

    def layer(
        self, operation: g.Convolution | g.Linear, x: Tensor, of: Quantization, to: Quantization
    ) -> Tensor:
        kernel = self.network.kernels[operation.name]
        weight, numbers = torch.from_numpy(kernel.weight), x - of.zero_point
        if isinstance(operation, g.Convolution):
            total = _convolved(operation, numbers, weight)
        else:
            total = numbers.flatten(1) @ weight.to(torch.int64).T
        sides = [1] * (total.ndim - 2)
        total = total + torch.from_numpy(kernel.bias).to(torch.int64).view(-1, *sides)
        factors = kernel.scales.astype(np.float64) * of.scale / to.scale
        by = Multiplier(*(torch.from_numpy(part).view(-1, *sides) for part in multipliers(factors)))
        act = operation.act if isinstance(operation, g.Convolution) else None
        return _limited(times(total, by), to, act)

    def product(
        self, operation: g.Product, inputs: list[Tensor], of: list[Quantization], to: Quantization
    ) -> Tensor:
        if operation.constant is None:
            other, scale = inputs[1], of[1]
        else:
            integers, scale = self.network.constants[operation.name]
            other = torch.from_numpy(integers).to(torch.int64)
        found = (inputs[0] - of[0].zero_point) * (other - scale.zero_point)
        return _limited(times(found, multiplier(of[0].scale * scale.scale / to.scale)), to, None)


def _convolved(operation: g.Convolution, x: Tensor, weight: Tensor) -> Tensor:
    """The sums of products, exactly: by float32 in parts that it holds."""
    numbers = padded(x, operation.pads, 0).float()
    weight, groups = weight.float(), operation.groups
    together = max(_EXACT // operation.kernel**2, 1)
    width = weight.shape[1]
    if width <= together or groups > 1:
        parts = [(numbers, weight)]
        assert width * operation.kernel**2 <= _EXACT, operation.name
    else:
        parts = [
            (numbers[:, start : start + together], weight[:, start : start + together])
            for start in range(0, width, together)
        ]
    found = [
        functional.conv2d(part, own, stride=operation.stride, groups=groups).to(torch.int64)
        for part, own in parts
    ]
    total = found[0]
    for part in found[1:]:
        total += part
    return total


def _limited(x: Tensor, to: Quantization, act: g.Act | None) -> Tensor:
    """At its output's zero point, and within 8 bits and what an activation lets through."""
    low, high = LOWEST, HIGHEST
    if act is not None:
        low = max(low, to.zero_point)
    if act == "relu6":
        high = min(high, to.zero_point + round(6 / to.scale))
    return (x + to.zero_point).clamp(low, high)


def _sum(inputs: list[Tensor], of: list[Quantization], to: Quantization) -> Tensor:
    common = 2 * max(one.scale for one in of)
    raised = [
        times((x - one.zero_point) << SUM_BITS, multiplier(one.scale / common))
        for x, one in zip(inputs, of, strict=True)
    ]
    return times(raised[0] + raised[1], multiplier(common / (2**SUM_BITS * to.scale)))


def _mean(x: Tensor, of: Quantization, to: Quantization) -> Tensor:
    count = x.shape[2] * x.shape[3]
    total = (x - of.zero_point).sum(dim=(2, 3), keepdim=True)
    return _limited(times(total, mean_multiplier(of.scale / to.scale, count)), to, None)


def _pooled(pool: g.Pool, x: Tensor) -> Tensor:
    if pool.kind == "max":
        around = padded(x.float(), pool.pads, float(LOWEST))
        return functional.max_pool2d(around, pool.kernel, pool.stride).to(torch.int64)
    around = padded(x.double(), pool.pads, 0.0)
    total = functional.avg_pool2d(around, pool.kernel, pool.stride, divisor_override=1)
    mean = total / counted(pool, x).double()
    return (mean.sign() * (mean.abs() + 0.5).floor()).to(torch.int64).clamp(LOWEST, HIGHEST)


def _looked_up(
    x: Tensor, of: Quantization, to: Quantization, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """A function's value at each of the 256 numbers that the input can be."""
    every = torch.arange(LOWEST, HIGHEST + 1)
    found = function((of.scale * (every - of.zero_point)).float()) / to.scale
    table = (found.round() + to.zero_point).clamp(LOWEST, HIGHEST).to(torch.int64)
    return table[x - LOWEST]
