"""The range of every map, out of what a graph makes of some training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import HIGHEST, LOWEST
from autoscale.quantization.execute import run
from autoscale.quantization.quantized import Range

Method = Literal["min-max", "percentile", "mse"]
#: Numbers of each map that are kept from a batch.
_KEPT = 4096
#: Of each tail, what "percentile" cuts off.
_TAIL = 1e-4
#: Shares of the whole range that "mse" tries, at each end.
_SHARES = np.geomspace(1.0, 0.05, 40)


@dataclass(slots=True)
class Observed:
    """What was seen of a map."""

    low: float = np.inf
    high: float = -np.inf
    kept: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, numbers: Tensor) -> None:
        flat = numbers.flatten()
        self.low = min(self.low, float(flat.min()))
        self.high = max(self.high, float(flat.max()))
        step = max(len(flat) // _KEPT, 1) | 1  # odd: it meets every column of even maps
        self.kept.append(flat[::step].numpy().copy())

    def range(self, method: Method, function: Callable[[Tensor], Tensor] | None) -> Range:
        """
        Args:
            function: what the map's readers take of its numbers; None for the numbers themselves.
        """
        if method == "min-max":
            return self.low, self.high
        sample = np.concatenate(self.kept)
        if method == "percentile":
            low, high = np.quantile(sample, [_TAIL, 1 - _TAIL])
            return float(low), float(high)
        return least_error(sample, self.low, self.high, function)


def observe(graph: g.Graph, batches: Iterable[Tensor]) -> Mapping[str, Observed]:
    """What every map holds for batches of pixels (N, 3, S, S)."""
    found: dict[str, Observed] = {operation.name: Observed() for operation in graph.operations}
    for batch in batches:
        run(graph, batch, lambda name, numbers: found[name].add(numbers))
    return found


def least_error(
    sample: NDArray[np.float32],
    low: float,
    high: float,
    function: Callable[[Tensor], Tensor] | None = None,
) -> Range:
    """The range within low..high whose steps cost the least squared error, cut tails included."""
    numbers = torch.from_numpy(sample)
    low, high = min(low, 0.0), max(high, 0.0)

    def error(low: float, high: float) -> float:
        scale = max((high - low) / (HIGHEST - LOWEST), 1e-12)
        zero = round(-low / scale)
        steps = (numbers / scale).round().clamp(-zero, HIGHEST - LOWEST - zero) * scale
        if function is None:
            return float((steps - numbers).square().mean())
        return float((function(steps) - function(numbers)).square().mean())

    # One end after the other, twice over: the ends hardly know of each other.
    for _ in range(2):
        low, high = min(((low0, high) for low0 in low * _SHARES), key=lambda one: error(*one)) \
            if low < 0 else (low, high)
        low, high = min(((low, high0) for high0 in high * _SHARES), key=lambda one: error(*one)) \
            if high > 0 else (low, high)
    return float(low), float(high)


def ranges(graph: g.Graph, observed: Mapping[str, Observed], method: Method) -> dict[str, Range]:
    """The range of every map.

    A map that only its own SiLU or hard swish reads is judged by what that makes of it.
    """
    from torch.nn import functional

    found = {}
    for operation in graph.operations:
        readers = graph.readers(operation.name)
        function: Callable[[Tensor], Tensor] | None = None
        kinds = {one.kind for one in readers if isinstance(one, g.Function)}
        if len(readers) == 2 and kinds == {"logistic"}:
            function = functional.silu
        elif len(readers) == 1 and "hswish" in kinds:
            function = functional.hardswish
        elif len(readers) == 1 and "gelu" in kinds:
            function = functional.gelu
        elif len(readers) == 1 and "logistic" in kinds:
            function = torch.sigmoid
        found[operation.name] = observed[operation.name].range(method, function)
    return found
