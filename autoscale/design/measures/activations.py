"""Activations."""

from dataclasses import dataclass

from autoscale.design.cost import Cost
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number


@dataclass(frozen=True, slots=True)
class Activations(CostMeasure):
    """Outputs of all convolutions and of the classifier.

    Source: Radosavovic et al. 2020, "Designing Network Design Spaces", section 3.
    """

    name = "activations"
    column = "activations"
    unit = "activations"
    noun = "activations"
    reads = frozenset({"activations"})

    def count(self, counts: Cost) -> Number:
        """Activations of one image."""
        return counts.activations
