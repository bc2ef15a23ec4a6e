"""The `guided` sampler of autoscale as OptunaHub loads it."""

from autoscale.search.batched import Batched
from autoscale.search.knowledge import KnownCosts
from autoscale.search.samplers.guided import GuidedSampler

__all__ = ["Batched", "GuidedSampler", "KnownCosts"]
