"""Where the error of an int8 graph comes from: signal to noise, map by map."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import HIGHEST, LOWEST, Quantization
from autoscale.quantization.calibration import function_of
from autoscale.quantization.execute import made
from autoscale.quantization.quantized import QuantizedGraph
from autoscale.quantization.simulate import IntegerRun


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """The error of one map, as the power of its numbers over that of their errors, in decibels."""

    layer: str
    operation: str
    alone_db: float  # given the float graph's inputs, rounded to their steps
    so_far_db: float  # with the errors of all before it


class _Powers:
    """Adds up the power of numbers and of errors."""

    def __init__(self) -> None:
        self.signal = self.alone = self.so_far = 0.0

    def add(self, true: Tensor, alone: Tensor, so_far: Tensor) -> None:
        self.signal += float(true.double().square().sum())
        self.alone += float((alone - true).double().square().sum())
        self.so_far += float((so_far - true).double().square().sum())


@torch.inference_mode()
def layer_errors(
    graph: g.Graph, network: QuantizedGraph, batches: Iterable[Tensor]
) -> list[LayerError]:
    """The error of every map, in the order in which they are made.

    A map that only its own SiLU, hard swish or gate reads is left out: what these make of it says
    what its steps cost.

    Args:
        graph: the float graph that `network` stands for.
        batches: pixels (N, C, H, W), bytes.
    """
    powers = {
        one.name: _Powers() for one in network.graph.operations if function_of(graph, one) is None
    }
    for batch in batches:
        _add(graph, network, batch, powers)
    kinds = {one.name: type(one).__name__.lower() for one in graph.operations}
    return [
        LayerError(
            layer=name,
            operation=kinds[name],
            alone_db=_decibels(one.signal, one.alone),
            so_far_db=_decibels(one.signal, one.so_far),
        )
        for name, one in powers.items()
    ]


def _add(
    graph: g.Graph, network: QuantizedGraph, pixels: Tensor, powers: dict[str, _Powers]
) -> None:
    run = IntegerRun(network)
    integer = {one.name: one for one in network.graph.operations}
    true = {g.PIXELS: pixels.float()}
    ran = {g.PIXELS: pixels.to(torch.int64) + LOWEST}
    for operation, done in graph.steps():
        name = operation.name
        true[name] = made(operation, [true[source] for source in operation.inputs])
        own = integer.get(name)
        if own is not None:
            exact = [
                ran[source] if source == g.PIXELS else _steps(true[source], network.maps[source])
                for source in own.inputs
            ]
            to = network.maps[name]
            ran[name] = run.made(own, [ran[source] for source in own.inputs])
            if name in powers:
                alone = run.made(own, exact)
                powers[name].add(true[name], _numbers(alone, to), _numbers(ran[name], to))
        for source in done:
            del true[source]
            if source != g.PIXELS:
                ran.pop(source, None)


def _steps(numbers: Tensor, of: Quantization) -> Tensor:
    steps = (numbers / of.scale).round() + of.zero_point
    return steps.clamp(LOWEST, HIGHEST).to(torch.int64)


def _numbers(steps: Tensor, of: Quantization) -> Tensor:
    return (steps - of.zero_point) * of.scale


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
