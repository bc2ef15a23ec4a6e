"""From a design and its folded numbers to the graph of operations: each operation that follows from
its layers (`design.tflite.operations`) is handed its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from autoscale.design.architecture import Architecture, Stage, Stem
from autoscale.design.blocks.layers import sides
from autoscale.design.style import Padding
from autoscale.design.tflite.operations import Operation, Tensor, operations_of
from autoscale.design.walk import Place, places_of
from autoscale.errors import InvalidArchitecture, InvalidSetting
from autoscale.quantization import graph as g


def lower(
    architecture: Architecture,
    kernels: Iterable[g.Kernel],
    *,
    padding: Padding,
    mean: Sequence[float],
    deviation: Sequence[float],
) -> g.Graph:
    """The graph of a design.

    Args:
        kernels: of its convolutions and its classifier, batch norms folded, in the order of the
            built network's modules: of a block its entry, its branch, its shortcut.
        padding: of convolutions with a stride.
        mean: of each channel, for pixels in 0..1.
        deviation: of each channel, likewise.

    Raises:
        InvalidArchitecture: if it has layer norms, which LiteRT does not know.
        InvalidSetting: if the kernels are another network's.
    """
    require_operations(architecture)
    found = _Lowering(iter(kernels), _normalisation(mean, deviation))
    for number, place in enumerate(places_of(architecture)):
        found.part(place, padding, number - 1)
    if next(found.kernels, None) is not None:
        raise InvalidSetting("the network has more layers than its design")
    return g.Graph(
        size=architecture.image_size,
        channels=architecture.channels,
        operations=tuple(found.made.values()),
    )


def require_operations(architecture: Architecture) -> None:
    """
    Raises:
        InvalidArchitecture: if a design has layers that runtimes have no operation for.
    """
    if unsupported(architecture) is not None:
        raise InvalidArchitecture(
            "LiteRT has no layer norm, which this design has; export it as onnx, or take one "
            "with batch norm"
        )


def unsupported(architecture: Architecture) -> str | None:
    """Which part of a design has a layer that runtimes lack, in words; None if none has."""
    for number, place in enumerate(places_of(architecture)):
        try:
            operations_of(place, "symmetric")
        except InvalidSetting:
            return f"{_called(place, number)} has a layer norm, which LiteRT lacks"
    return None


def _called(place: Place, stage: int) -> str:
    if isinstance(place.part, Stage):
        return f"the {place.part.block} block of stage {stage}"
    return "the stem" if isinstance(place.part, Stem) else "the head"


def _normalisation(mean: Sequence[float], deviation: Sequence[float]) -> g.Kernel:
    """(pixel / 255 - mean) / deviation of each channel, as a filter of one pixel."""
    spread = np.asarray(deviation, np.float64)
    weight = (1 / (255 * spread)).astype(np.float32).reshape(-1, 1, 1, 1)
    return g.Kernel("", weight, (-np.asarray(mean, np.float64) / spread).astype(np.float32))


class _Lowering:
    """Adds the operations of one part after the other."""

    def __init__(self, kernels: Iterator[g.Kernel], normalisation: g.Kernel) -> None:
        self.kernels, self.normalisation = kernels, normalisation
        self.made: dict[str, g.Operation] = {}
        self.layers: list[str] = []  # names of the part's layers with weights so far

    def part(self, place: Place, padding: Padding, stage: int) -> None:
        """The operations of a stem, of the stage of a number, or of a head."""
        graph = operations_of(place, padding)
        names = [next(reversed(self.made), g.PIXELS)]  # of each tensor
        self.layers = []
        for operation, made in zip(graph.operations, graph.tensors[1:], strict=True):
            given = graph.tensors[operation.inputs[0]]
            kernel = self.kernel(operation, given)
            name = operation.name.format(*self.layers, given=names[0], stage=stage)
            inputs = tuple(names[place] for place in operation.inputs)
            assert name not in self.made, name
            self.made[name] = self.operation(operation, made, kernel, name=name, inputs=inputs)
            names.append(name)

    def kernel(self, operation: Operation, given: Tensor) -> g.Kernel | None:
        """The weights and biases of an operation, if it has any."""
        channels, side = operation.channels, operation.kernel
        if operation.constants == "normalisation":
            return self.normalisation
        if operation.constants == "window":
            weight = np.full((channels, 1, side, side), 1 / side**2, np.float32)
            return g.Kernel("", weight, np.zeros(channels, np.float32))
        if operation.constants not in ("layer", "layer+3"):
            return None
        shape: tuple[int, ...] = (channels, given.width // operation.groups)
        if operation.kind != "fully-connected":
            shape = (*shape, side, side)
        found = next(self.kernels, None)
        if found is None or found.weight.shape != shape:
            had = "none" if found is None else f"{found.name} of shape {found.weight.shape}"
            raise InvalidSetting(f"the design has a layer of shape {shape}, the network {had}")
        self.layers.append(found.name)
        if operation.constants == "layer+3":
            return found._replace(bias=found.bias + np.float32(3))
        return found

    def operation(
        self,
        operation: Operation,
        tensor: Tensor,
        kernel: g.Kernel | None,
        *,
        name: str,
        inputs: tuple[str, ...],
    ) -> g.Operation:
        """An operation that makes a map like `tensor`."""
        width = tensor.width
        shape = (width, *sides(tensor.size))
        if operation.kind == "fully-connected":
            assert kernel is not None
            _, weight, bias = kernel
            return g.Linear(name=name, inputs=inputs, shape=(width,), weight=weight, bias=bias)
        if operation.kind in ("conv", "depthwise"):
            assert kernel is not None
            return g.Convolution(
                name=name,
                inputs=inputs,
                shape=shape,
                weight=kernel.weight,
                bias=kernel.bias,
                stride=operation.stride,
                pads=operation.pads,
                groups=operation.groups,
                act=operation.act,
            )
        if operation.kind == "add":
            return g.Sum(name=name, inputs=inputs, shape=shape, act=operation.act)
        if operation.kind == "mul":
            constant = self.factor(operation, inputs[0])
            return g.Product(name=name, inputs=inputs, shape=shape, constant=constant)
        if operation.kind == "mean":
            return g.Mean(name=name, inputs=inputs, shape=shape)
        if operation.kind in ("max-pool", "average-pool"):
            return g.Pool(
                name=name,
                inputs=inputs,
                shape=shape,
                kind="max" if operation.kind == "max-pool" else "average",
                kernel=operation.kernel,
                stride=operation.stride,
                pads=operation.pads,
            )
        assert operation.kind in ("logistic", "hswish", "gelu")
        return g.Function(name=name, inputs=inputs, shape=shape, kind=operation.kind)

    def factor(self, operation: Operation, name: str) -> g.Floats | None:
        """What a product multiplies the map of that name by, if not by another map."""
        if operation.constants == "sixth":
            return np.full((1, 1, 1), 1 / 6, np.float32)
        if operation.constants == "unpadded":
            filtered = self.made[name]
            assert isinstance(filtered, g.Convolution)
            seen = np.outer(self.seen(filtered, "height"), self.seen(filtered, "width"))
            return (filtered.kernel**2 / seen).astype(np.float32)[None]
        return None

    def seen(self, filtered: g.Convolution, side: Literal["height", "width"]) -> np.ndarray:
        """How many pixels along one side of its input each window of a filter sees."""
        axis = 1 if side == "height" else 2
        length = self.made[filtered.inputs[0]].shape[axis]
        before = getattr(filtered.pads, side).before
        first = np.arange(filtered.shape[axis]) * filtered.stride - before
        return np.minimum(first + filtered.kernel, length) - np.maximum(first, 0)
