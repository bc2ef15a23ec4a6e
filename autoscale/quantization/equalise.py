"""Channels of a map brought nearer to each other, so that one scale serves them all better.

A convolution without an activation, or with ReLU, may give each channel divided by a factor if what
reads it multiplies by that; the network stays the same. Blocks with a shortcut share the factors
along it. Source: Nagel et al. 2019, section 4.1, here for maps that residual sums tie together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autoscale.quantization import graph as g

#: How far: 0 leaves channels as they are, 1 makes all reach equally far.
STRENGTH = 1.0
#: No channel's factor is smaller.
_LEAST = 1e-3


def equalised(
    graph: g.Graph, reach: Mapping[str, NDArray[np.float64]], strength: float = STRENGTH
) -> g.Graph:
    """The same network, with channels of more equal reach where that can be had.

    Args:
        reach: the largest magnitude in each channel, of every map.
        strength: power of a channel's share of the largest reach by which it is divided.
    """
    factors: dict[str, NDArray[np.float64]] = {}
    for tied in _tied(graph):
        if all(_scalable(graph, name) for name in tied):
            largest = np.max([reach[name] for name in tied], axis=0)
            most = largest.max()
            share = np.where(largest > 0, largest / most, 1.0) if most > 0 else largest + 1
            factors |= dict.fromkeys(tied, np.maximum(share, _LEAST) ** strength)
    return replace(graph, operations=tuple(_scaled(one, factors) for one in graph.operations))


def _tied(graph: g.Graph) -> list[set[str]]:
    """The maps of a graph, those that are added together."""
    groups = {operation.name: {operation.name} for operation in graph.operations}
    groups[g.PIXELS] = {g.PIXELS}
    for operation in graph.operations:
        if isinstance(operation, g.Sum):
            joined = set().union(groups[operation.name], *(groups[n] for n in operation.inputs))
            groups |= dict.fromkeys(joined, joined)
    return list({id(group): group for group in groups.values()}.values())


def _scalable(graph: g.Graph, name: str) -> bool:
    """Whether a map may be given with its channels divided."""
    maker = next((one for one in graph.operations if one.name == name), None)
    readers = graph.readers(name)
    return (
        isinstance(maker, g.Convolution | g.Sum)
        and maker.act in (None, "relu")
        and bool(readers)
        and all(isinstance(reader, g.Convolution | g.Sum) for reader in readers)
    )


def _scaled(operation: g.Operation, factors: Mapping[str, NDArray[np.float64]]) -> g.Operation:
    if not isinstance(operation, g.Convolution):
        return operation
    weight, bias = operation.weight.astype(np.float64), operation.bias.astype(np.float64)
    if (read := factors.get(operation.inputs[0])) is not None:
        by_group = read.reshape(operation.groups, -1)
        weight *= np.repeat(by_group, len(weight) // operation.groups, axis=0)[..., None, None]
    if (made := factors.get(operation.name)) is not None:
        weight, bias = weight / made[:, None, None, None], bias / made
    return replace(operation, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
