"""Bytes of a network's file."""

from dataclasses import dataclass

from autoscale.design.architecture import Architecture, Head
from autoscale.design.measures.deployed import Deployed
from autoscale.design.tflite.graph import part_graph
from autoscale.design.tflite.sizes import FILE, file_bytes
from autoscale.design.walk import Place, places_of


@dataclass(frozen=True, slots=True)
class Flash(Deployed):
    """Bytes of a network as a TensorFlow Lite file: weights, biases, scales, and what joins them.

    The weights are exact; the rest is an estimate (`design.tflite.sizes`). The interpreter's own
    code is not in it.
    """

    name = "flash"
    column = "flash"
    unit = "bytes of flash"
    noun = "bytes of flash"

    def of(self, architecture: Architecture) -> float:
        """Bytes of the whole file.

        Raises:
            InvalidSetting: for a layer that TensorFlow Lite has no operation for.
        """
        return sum([self.at(place) for place in places_of(architecture)])

    def shares(self, place: Place) -> tuple[float, ...]:
        """Bytes of one part; those of an empty file are its head's."""
        bytes_ = file_bytes(part_graph(place, self.precision, self.padding), self.precision)
        return (bytes_ + FILE * isinstance(place.part, Head),)
