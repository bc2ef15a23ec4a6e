"""Bytes of activations that are alive at once."""

from dataclasses import dataclass

from autoscale.design.amounts import BYTES
from autoscale.design.cost import Cost
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number


@dataclass(frozen=True, slots=True)
class Memory(CostMeasure):
    """Bytes of the most activations that are alive at once for one image in float32.

    What is alive when is said by `Cost`; weights are not counted.
    """

    name = "memory"
    column = "memory"
    unit = "bytes of activations"
    noun = "bytes of activations"
    parts = ("max",)
    reads = frozenset({"peak"})

    def count(self, counts: Cost) -> Number:
        """Bytes at the layer that needs most."""
        return counts.peak * BYTES
