"""A network as the operations that device runtimes know, one after the other, with their numbers.

Batch norms are folded, activations that runtimes compute within a convolution stand in it, others
are operations of their own, and the normalisation of pixels is the first operation. Shapes are of
one image: (channels, rows, columns), or (numbers,) after global pooling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.aspect import ImageSize
from autoscale.design.tflite.pads import NO_PADS, Pads

Floats = NDArray[np.float32]
Act = Literal["relu", "relu6"]

#: The name of what goes in: pixels 0..255, red first, or grey.
PIXELS = "pixels"


class Kernel(NamedTuple):
    """The folded numbers of a convolution or a linear layer, under the layer's name."""

    name: str
    weight: Floats  # (outputs, inputs of a group, kernel, kernel), or (outputs, inputs)
    bias: Floats  # (outputs,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One operation; `name` is also that of the map that it makes."""

    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]  # of what it makes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convolution(Operation):
    """A convolution with a bias, zeros around its input, and perhaps an activation."""

    weight: Floats  # (outputs, inputs of a group, kernel, kernel)
    bias: Floats  # (outputs,)
    stride: int = 1
    pads: Pads = NO_PADS
    groups: int = 1
    act: Act | None = None

    @property
    def kernel(self) -> int:
        """Pixels per side."""
        return int(self.weight.shape[-1])

    @property
    def depthwise(self) -> bool:
        """Whether it filters every channel by itself."""
        return self.weight.shape[1] == 1 and self.groups == self.weight.shape[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear(Operation):
    """A matrix and a bias."""

    weight: Floats  # (outputs, inputs)
    bias: Floats  # (outputs,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sum(Operation):
    """Two maps of one shape added, perhaps with an activation."""

    act: Act | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product(Operation):
    """A map times another map, or times a constant; both spread over rows and columns."""

    constant: Floats | None = None  # in place of a second input; (channels or 1, rows, columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mean(Operation):
    """The mean of each channel: (channels, 1, 1), or (channels,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool(Operation):
    """The mean or the largest of each window; what lies outside the map is never counted."""

    kind: Literal["average", "max"]
    kernel: int
    stride: int
    pads: Pads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Function(Operation):
    """A function of each number."""

    kind: Literal["logistic", "hswish", "gelu", "relu", "relu6"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Operations in the order in which they run; the last one makes the logits."""

    size: ImageSize  # of the input
    channels: int = 3  # of the input
    operations: tuple[Operation, ...]

    @property
    def output(self) -> Operation:
        """What makes the logits."""
        return self.operations[-1]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every map by name, the pixels among them."""
        pixels = {PIXELS: (self.channels, *self.size)}
        return pixels | {operation.name: operation.shape for operation in self.operations}

    def steps(self) -> Iterator[tuple[Operation, tuple[str, ...]]]:
        """Each operation with the maps that nothing after it reads."""
        left = Counter(name for operation in self.operations for name in operation.inputs)
        for operation in self.operations:
            left.subtract(operation.inputs)
            yield operation, tuple({name for name in operation.inputs if not left[name]})

    def readers(self, name: str) -> list[Operation]:
        """The operations that read a map."""
        return [operation for operation in self.operations if name in operation.inputs]
