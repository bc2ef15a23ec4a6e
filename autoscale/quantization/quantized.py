"""A graph in int8: the scale of every map, and the integers of every weight and bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.design.tflite.operations import NORMALISED
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import HIGHEST, LOWEST, WEIGHT, Quantization, covering
from autoscale.quantization.rounding import Moments, rounded

#: The least and the largest number of a map.
Range = tuple[float, float]
#: The logistic function's outputs, as LiteRT demands.
LOGISTIC = Quantization(1 / 256, LOWEST)
#: Pixels as they are: 0..255.
BYTES = Quantization(1.0, LOWEST)
#: The smallest step of a sum by the larger one of its inputs: kernels carry out sums with 20 bits
#: to spare, and LiteRT's refuse what needs more than 19 of them.
_FINEST_SUM = 2.0**-18
#: A bias stays below this, so that 32 bits hold it and what is added to it.
_LARGEST_BIAS = 2.0**30


class QuantizedKernel(NamedTuple):
    """A layer's weights and biases: `weight * scales` and `bias * scales * the input's scale`."""

    weight: NDArray[np.int8]  # of the float weight's shape
    scales: NDArray[np.float32]  # of each output, or one for all
    bias: NDArray[np.int32]  # (outputs,)


class Constant(NamedTuple):
    """A factor of a product."""

    integers: NDArray[np.int8]
    quantization: Quantization


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedGraph:
    """A graph whose numbers are integers of 8 bits."""

    graph: g.Graph
    maps: Mapping[str, Quantization]
    kernels: Mapping[str, QuantizedKernel]  # by the operation's name
    constants: Mapping[str, Constant]


def quantized(
    graph: g.Graph,
    ranges: Mapping[str, Range],
    moments: Mapping[str, Moments] | None = None,
    *,
    linear_per_channel: bool = False,
    most: int = WEIGHT,
) -> QuantizedGraph:
    """The graph in int8.

    Weights are symmetric, with a scale for each output channel; maps have one scale and a zero
    point each. Where mean and deviation of pixels are those of all channels, bytes stand for
    normalised pixels as they are, else the normalisation stays an operation.

    Args:
        ranges: of every map that the graph makes, from calibration.
        moments: of the inputs of layers; weights of those are rounded together (see `rounding`),
            others each by itself.
        linear_per_channel: whether the classifier has a scale for each class; older runtimes know
            one for all.
        most: the largest magnitude of a weight.
    """
    maps: dict[str, Quantization] = {g.PIXELS: BYTES}
    offset = 0.0
    first = graph.operations[0]
    if isinstance(first, g.Convolution) and first.name == NORMALISED and _even(first):
        graph, maps[g.PIXELS], offset = _without_normalisation(graph, first)
    kernels: dict[str, QuantizedKernel] = {}
    constants: dict[str, Constant] = {}
    for operation in graph.operations:
        source = maps[operation.inputs[0]]
        inputs = [maps[name] for name in operation.inputs]
        maps[operation.name] = _of_map(operation, inputs, ranges)
        if isinstance(operation, g.Convolution | g.Linear):
            kernels[operation.name] = quantized_kernel(
                operation,
                source.scale,
                (moments or {}).get(operation.name),
                offset=offset if operation.inputs[0] == g.PIXELS else 0.0,
                per_channel=linear_per_channel or isinstance(operation, g.Convolution),
                most=most,
            )
        elif isinstance(operation, g.Product) and operation.constant is not None:
            scale = covering(0.0, float(operation.constant.max()))
            integers = scale.integers(operation.constant).astype(np.int8)
            constants[operation.name] = Constant(integers, scale)
    return QuantizedGraph(graph=graph, maps=maps, kernels=kernels, constants=constants)


def quantized_kernel(
    operation: g.Convolution | g.Linear,
    source: float,
    moments: Moments | None = None,
    *,
    offset: float = 0.0,
    per_channel: bool = True,
    most: int = WEIGHT,
) -> QuantizedKernel:
    """A layer's weights and biases as integers.

    Args:
        source: scale of the layer's input.
        moments: of its inputs, if its weights shall be rounded together.
        offset: by how much all its inputs are less than they should be.
        per_channel: whether each output has a scale of its own.
        most: the largest magnitude of a weight.
    """
    groups = operation.groups if isinstance(operation, g.Convolution) else 1
    weight = operation.weight.astype(np.float64).reshape(groups, len(operation.bias) // groups, -1)
    bias = operation.bias.astype(np.float64) + offset * weight.sum(axis=2).ravel()
    largest, biases = np.abs(weight).max(axis=2).ravel(), np.abs(bias)
    if not per_channel:
        largest, biases = largest.max(keepdims=True), biases.max(keepdims=True)
    # A channel of small weights beside a large bias gets coarser weights, not a bias cut off.
    scales = np.maximum(largest / most, biases / (source * _LARGEST_BIAS))
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    spread = np.broadcast_to(scales.astype(np.float64), bias.shape)
    by_group = spread.reshape(groups, -1)
    integers = rounded(weight, by_group, None if moments is None else moments.covariance, most)
    if moments is not None:
        lost = weight - integers * by_group[:, :, None]
        bias = bias + (lost @ moments.mean[:, :, None]).ravel()
    steps = np.round(bias / (spread * source)).clip(-(2.0**31), 2.0**31 - 1)
    return QuantizedKernel(integers.reshape(operation.weight.shape), scales, steps.astype(np.int32))


def _of_map(
    operation: g.Operation, inputs: Sequence[Quantization], ranges: Mapping[str, Range]
) -> Quantization:
    if isinstance(operation, g.Pool):
        return inputs[0]  # its numbers are its input's
    if isinstance(operation, g.Function) and operation.kind == "logistic":
        return LOGISTIC
    found = covering(*ranges[operation.name])
    if isinstance(operation, g.Sum):
        least = max(one.scale for one in inputs) * _FINEST_SUM
        if found.scale < least:
            low = min(ranges[operation.name][0], 0.0)
            return covering(low, low + (HIGHEST - LOWEST) * least)
    return found


def _even(normalise: g.Convolution) -> bool:
    """Whether all channels are normalised alike."""
    return len({*normalise.weight.ravel()}) == len({*normalise.bias}) == 1


def _without_normalisation(
    graph: g.Graph, normalise: g.Convolution
) -> tuple[g.Graph, Quantization, float]:
    """The graph that reads bytes as normalised pixels, what they stand for, and how much less that
    is than it should be, since a zero point is a whole number."""
    scale, shift = float(normalise.weight.ravel()[0]), float(normalise.bias[0])
    true = -shift / scale + LOWEST
    found = Quantization(scale, round(true))
    operations = tuple(
        replace(
            operation,
            inputs=tuple(g.PIXELS if name == NORMALISED else name for name in operation.inputs),
        )
        for operation in graph.operations[1:]
    )
    return replace(graph, operations=operations), found, scale * (found.zero_point - true)
