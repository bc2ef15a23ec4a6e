"""Parameters."""

from dataclasses import dataclass

from autoscale.design.cost import Cost
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number


@dataclass(frozen=True, slots=True)
class Params(CostMeasure):
    """Trainable numbers, batch norm's scales and shifts included."""

    name = "params"
    column = "params"
    unit = "parameters"
    noun = "parameters"
    reads = frozenset({"params"})

    def count(self, counts: Cost) -> Number:
        """Parameters of the network."""
        return counts.params
