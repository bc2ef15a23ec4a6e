"""The range of every map, out of what a graph makes of some training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.errors import EvaluationFailed
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import HIGHEST, LOWEST
from autoscale.quantization.execute import FUNCTIONS, padded, run
from autoscale.quantization.quantized import Range
from autoscale.quantization.rounding import Moments

Method = Literal["min-max", "percentile", "mse"]
#: Numbers of each map that are kept from a batch.
_KEPT = 4096
#: Outputs of a map, in every image, whose inputs are looked at.
_PLACES = 32
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
        """A batch of it."""
        flat = numbers.flatten()
        self.low = min(self.low, float(flat.min()))
        self.high = max(self.high, float(flat.max()))
        step = max(len(flat) // _KEPT, 1) | 1  # odd: it meets every column of even maps
        self.kept.append(flat[::step].numpy().copy())

    def range(self, method: Method, function: Callable[[Tensor], Tensor] | None = None) -> Range:
        """The least and the largest number that steps should cover.

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


@dataclass(slots=True)
class Observations:
    """What was seen of a graph."""

    maps: dict[str, Observed]
    moments: dict[str, Moments]  # of the inputs of each layer with weights


def reaches(graph: g.Graph, batches: Iterable[Tensor]) -> dict[str, NDArray[np.float64]]:
    """The largest magnitude in each channel of every map, for batches of pixels (N, C, H, W)."""
    found: dict[str, NDArray[np.float64]] = {}

    def see(name: str, numbers: Tensor) -> None:
        if numbers.ndim == 4:
            most = torch.maximum(numbers.amax(dim=(0, 2, 3)), -numbers.amin(dim=(0, 2, 3)))
            reach = most.numpy().astype(np.float64)
            found[name] = np.maximum(found.get(name, reach), reach)

    for batch in batches:
        run(graph, batch, see)
    return found


def observe(graph: g.Graph, batches: Iterable[Tensor], *, moments: bool = True) -> Observations:
    """What every map holds for batches of pixels (N, C, H, W).

    Args:
        moments: whether to look at the inputs of layers too, which takes most of the time.
    """
    found = Observations({one.name: Observed() for one in graph.operations}, {})
    random = np.random.default_rng(0)
    readers: dict[str, list[g.Convolution | g.Linear]] = {}
    for one in graph.operations:
        if moments and isinstance(one, g.Convolution | g.Linear) and one.inputs[0] != g.PIXELS:
            readers.setdefault(one.inputs[0], []).append(one)
            groups = one.groups if isinstance(one, g.Convolution) else 1
            inputs = int(np.prod(one.weight.shape[1:]))
            found.moments[one.name] = Moments.empty(groups, inputs)

    def see(name: str, numbers: Tensor) -> None:
        found.maps[name].add(numbers)
        for one in readers.get(name, ()):
            found.moments[one.name].add(_rows(one, numbers, random))

    for batch in batches:
        run(graph, batch, see)
    return found


def _rows(
    operation: g.Convolution | g.Linear, x: Tensor, random: np.random.Generator
) -> NDArray[np.float32]:
    """What some outputs of a layer are made of, (rows, groups, inputs)."""
    if isinstance(operation, g.Linear):
        return x.flatten(1)[:, None, :].numpy()
    kernel, stride, (_, height, width) = operation.kernel, operation.stride, operation.shape
    places = random.choice(height * width, min(_PLACES, height * width), replace=False)
    windows = padded(x, operation.pads, 0.0).unfold(2, kernel, stride).unfold(3, kernel, stride)
    chosen = windows[:, :, torch.from_numpy(places // width), torch.from_numpy(places % width)]
    rows = chosen.permute(0, 2, 1, 3, 4).reshape(len(x) * len(places), operation.groups, -1)
    return rows.numpy()


def least_error(
    sample: NDArray[np.float32],
    low: float,
    high: float,
    function: Callable[[Tensor], Tensor] | None = None,
) -> Range:
    """The range within low..high whose steps cost the least squared error, cut tails included."""
    numbers = torch.from_numpy(sample)
    low, high = min(low, 0.0), max(high, 0.0)

    true = numbers if function is None else function(numbers)

    def error(low: float, high: float) -> float:
        scale = max((high - low) / (HIGHEST - LOWEST), 1e-12)
        zero = round(-low / scale)
        steps = (numbers / scale).round_().clamp_(-zero, HIGHEST - LOWEST - zero).mul_(scale)
        found = steps if function is None else function(steps)
        return float(found.sub_(true).square_().mean())

    for _ in range(2):  # one end after the other; they hardly know of each other
        if low < 0:
            low = min(low * _SHARES, key=lambda end: error(end, high))
        if high > 0:
            high = min(high * _SHARES, key=lambda end: error(low, end))
    return float(low), float(high)


def ranges(graph: g.Graph, observed: Mapping[str, Observed], method: Method) -> dict[str, Range]:
    """The range of every map.

    A map that only its own SiLU, hard swish or gate reads is judged by what that makes of it.

    Raises:
        EvaluationFailed: if a map held something infinite or not a number.
    """
    for name, one in observed.items():
        if not np.isfinite([one.low, one.high]).all():
            raise EvaluationFailed(f"the map {name} is not finite, so no steps of int8 cover it")
    return {
        one.name: observed[one.name].range(method, function_of(graph, one))
        for one in graph.operations
    }


def function_of(graph: g.Graph, operation: g.Operation) -> Callable[[Tensor], Tensor] | None:
    """What all that reads a map takes of its numbers, if that is a function of each number."""
    readers = graph.readers(operation.name)
    kinds = [one.kind for one in readers if isinstance(one, g.Function)]
    if kinds == ["logistic"] and len(readers) == 2:
        product = readers[1]
        gated = isinstance(product, g.Product) and readers[0].name in product.inputs
        return functional.silu if gated else None
    return FUNCTIONS[kinds[0]] if len(kinds) == len(readers) == 1 else None
