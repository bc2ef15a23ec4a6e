"""The operations of a design as a TensorFlow Lite file has them, in the order of the file.

They are those of `operations`, and two more. In int8 the bytes of the picture first become whole
numbers with a sign. And a convolution with stride 2 that pads an even side alike on both ends, as
PyTorch does, needs its map padded before; TensorFlow's padding needs nothing (`Padding`).
"""

from functools import lru_cache, partial
from typing import Literal, get_args

from autoscale.design.architecture import Architecture
from autoscale.design.blocks.layers import Activation, map_size
from autoscale.design.style import Padding
from autoscale.design.tflite.operations import Graph, Kind, Operation, Tensor, Writer
from autoscale.design.tflite.pads import NO_PADS, Pads, need_operation, padded_size
from autoscale.design.walk import Place, places_of
from autoscale.errors import InvalidSetting

Precision = Literal["int8", "float32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# From all its fields in order: quicker than `_replace`.
_operation = partial(tuple.__new__, Operation)


def graph(
    architecture: Architecture, precision: Precision = "int8", padding: Padding = "symmetric"
) -> Graph:
    """The operations of a whole network for one image.

    Raises:
        InvalidSetting: for a layer that TensorFlow Lite has no operation for.
    """
    tensors: list[Tensor] = [
        Tensor(map_size(architecture.resolution, architecture.aspect), architecture.channels)
    ]
    operations: list[Operation] = []
    for place in places_of(architecture):
        part, shift = part_graph(place, precision, padding), len(tensors) - 1
        tensors += part.tensors[1:]
        operations += [
            _operation((one.kind, tuple([given + shift for given in one.inputs]), *one[2:]))
            for one in part.operations
        ]
    return Graph(tuple(tensors), tuple(operations))


@lru_cache(maxsize=65536)
def part_graph(
    place: Place, precision: Precision = "int8", padding: Padding = "symmetric"
) -> Graph:
    """The operations of a stem, a stage or a head where it stands.

    Raises:
        InvalidSetting: for a layer that TensorFlow Lite has no operation for.
    """
    return _File(padding, precision).written(place)


class _File(Writer):
    """Puts the operations of a file one after the other."""

    def __init__(self, padding: Padding, precision: Precision) -> None:
        super().__init__(padding)
        self._precision = precision

    def normalised(self) -> None:
        """From bytes to normalised pixels."""
        if self._precision == "int8":
            self.add(self.tensors[-1], Operation("quantize", (self.last,), "{given}.int8"))
        super().normalised()

    def around(
        self, given: int, kernel: int, stride: int, pads: Pads, kind: Kind = "pad"
    ) -> tuple[int, Pads]:
        """A map with what stands around it, where the operation itself does not add that."""
        size, width = self.tensors[given]
        if not need_operation(pads, size, kernel, stride):
            return given, pads
        padded = Operation(kind, (given,), f"{self.names[given]}.padded", pads=pads)
        return self.add(Tensor(padded_size(size, pads), width), padded), NO_PADS

    def activation(self, act: Activation) -> int:
        """Of the last tensor, what no convolution or sum computes itself."""
        if act == "gelu":
            raise InvalidSetting(
                "gelu has no operation in TensorFlow Lite Micro; choose relu6, hswish or silu"
            )
        return super().activation(act)
