"""Multiply-adds."""

from dataclasses import dataclass

from autoscale.design.cost import Cost
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number


@dataclass(frozen=True, slots=True)
class Macs(CostMeasure):
    """Multiply-adds of convolutions and linear layers: the papers' FLOPs."""

    name = "macs"
    column = "macs"
    unit = "multiply-adds"
    noun = "multiply-adds"
    reads = frozenset({"macs"})

    def count(self, counts: Cost) -> Number:
        """Multiply-adds of one image."""
        return counts.macs


MACS = Macs()
