"""A graph carried out in float32: what calibration sees, and what errors are measured against."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from autoscale.design.tflite.pads import Pads
from autoscale.quantization import graph as g

#: Is given the name of each map and its numbers, (N, *shape).
Seen = Callable[[str, Tensor], None]

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": torch.sigmoid,
    "hswish": functional.hardswish,
    "gelu": functional.gelu,
    "relu": torch.relu,
    "relu6": functional.relu6,
}


@torch.inference_mode()
def run(graph: g.Graph, pixels: Tensor, seen: Seen | None = None) -> Tensor:
    """Logits (N, classes).

    Args:
        pixels: (N, C, H, W), numbers 0..255 of any type.
        seen: is shown every map as soon as it is made; maps that nothing reads any more are
            forgotten, so that memory holds large ones.
    """
    maps = {g.PIXELS: pixels.float()}
    for operation, done in graph.steps():
        found = made(operation, [maps[name] for name in operation.inputs])
        maps[operation.name] = found
        if seen is not None:
            seen(operation.name, found)
        for name in done:
            del maps[name]
    return maps[graph.output.name]


def made(operation: g.Operation, inputs: list[Tensor]) -> Tensor:
    """What one operation makes of its inputs, each (N, *shape)."""
    first = inputs[0]
    if isinstance(operation, g.Convolution):
        found = functional.conv2d(
            padded(first, operation.pads, 0.0),
            torch.from_numpy(operation.weight),
            torch.from_numpy(operation.bias),
            operation.stride,
            groups=operation.groups,
        )
        return _activated(operation.act, found)
    if isinstance(operation, g.Linear):
        weight, bias = torch.from_numpy(operation.weight), torch.from_numpy(operation.bias)
        return functional.linear(first.flatten(1), weight, bias)
    if isinstance(operation, g.Sum):
        return _activated(operation.act, first + inputs[1])
    if isinstance(operation, g.Product):
        constant = operation.constant
        return first * (inputs[1] if constant is None else torch.from_numpy(constant))
    if isinstance(operation, g.Mean):
        return first.mean(dim=(2, 3), keepdim=True)
    if isinstance(operation, g.Pool):
        return pooled(operation, first)
    assert isinstance(operation, g.Function)
    return FUNCTIONS[operation.kind](first)


def _activated(act: g.Act | None, x: Tensor) -> Tensor:
    return FUNCTIONS[act](x) if act else x


def padded(x: Tensor, pads: Pads, value: float) -> Tensor:
    """The map (N, C, H, W) with `value` around it."""
    around = (*pads.width, *pads.height)  # torch begins with the last side
    return functional.pad(x, around, value=value) if any(around) else x


def pooled(pool: g.Pool, x: Tensor) -> Tensor:
    """The largest or the mean of each window, without what lies outside the map."""
    if pool.kind == "max":
        return functional.max_pool2d(padded(x, pool.pads, -torch.inf), pool.kernel, pool.stride)
    total = functional.avg_pool2d(
        padded(x, pool.pads, 0.0), pool.kernel, pool.stride, divisor_override=1
    )
    return total / counted(pool, x)


def counted(pool: g.Pool, x: Tensor) -> Tensor:
    """How many pixels of a map (N, C, H, W) each window sees, (rows, columns)."""
    ones = padded(torch.ones(1, 1, *x.shape[2:]), pool.pads, 0.0)
    return functional.avg_pool2d(ones, pool.kernel, pool.stride, divisor_override=1)[0, 0]
