"""Bytes of RAM that an interpreter needs for one network."""

from dataclasses import dataclass
from functools import lru_cache

from autoscale.design.architecture import Architecture, Head
from autoscale.design.measures.deployed import Deployed
from autoscale.design.measures.flash import Flash
from autoscale.design.style import Padding
from autoscale.design.tflite.arena import buffers, most_alive, planned
from autoscale.design.tflite.graph import Precision, graph, part_graph
from autoscale.design.tflite.sizes import INTERPRETER, NUMBER, kept_bytes, planning_bytes
from autoscale.design.walk import Place, places_of


@dataclass(frozen=True, slots=True)
class Ram(Deployed):
    """Bytes of the arena of TensorFlow Lite Micro for one image: the activations where its planner
    puts them, and what the interpreter keeps for itself.

    The plan of the activations is the interpreter's own, to the byte; the rest is an estimate
    (`design.tflite.sizes`). Weights are read from flash and not counted, unless the file is loaded.
    Of a part alone is known what is alive together at its worst moment, which is the least that a
    plan can need.
    """

    loaded: bool = False  # whether the whole file is in RAM too

    name = "ram"
    column = "ram"
    unit = "bytes of RAM"
    noun = "bytes of RAM"
    parts = ("max", "sum")

    def of(self, architecture: Architecture) -> float:
        """Bytes of the whole arena.

        Raises:
            InvalidSetting: for a layer that TensorFlow Lite has no operation for.
        """
        return _arena(architecture, self.precision, self.padding) + sum(
            [self.shares(place)[1] for place in places_of(architecture)]
        )

    def least(self, architecture: Architecture) -> float:
        """Bytes below which no planner gets."""
        shares = [self.shares(place) for place in places_of(architecture)]
        return max(most for most, _ in shares) + sum(kept for _, kept in shares)

    def shares(self, place: Place) -> tuple[float, ...]:
        """What is alive together in one part at most, and what the interpreter keeps for it."""
        most, kept = _shares(place, self.precision, self.padding)
        return most, kept + (Flash(self.precision, self.padding).at(place) if self.loaded else 0)


@lru_cache(maxsize=65536)
def _shares(place: Place, precision: Precision, padding: Padding) -> tuple[int, int]:
    part = part_graph(place, precision, padding)
    own = INTERPRETER if isinstance(place.part, Head) else 0
    return most_alive(buffers(part, NUMBER[precision])), kept_bytes(part) + own


@lru_cache(maxsize=8192)
def _arena(architecture: Architecture, precision: Precision, padding: Padding) -> int:
    whole = graph(architecture, precision, padding)
    held = buffers(whole, NUMBER[precision])
    return max(planned(held), planning_bytes(whole, len(held)))
