"""Searches whose plans are written as options."""

from __future__ import annotations

from typing import Any

from optuna.samplers import BaseSampler

from autoscale.design.space import SearchSpace
from autoscale.search.engine import SearchPlan, Trial, search
from autoscale.search.objective import Objective


def searched(
    space: SearchSpace, objective: Objective, evaluate: Any, sampler: BaseSampler, **options: Any
) -> list[Trial]:
    """`search`, with the fields of a `SearchPlan` and its own options side by side."""
    own = {name: options.pop(name) for name in ("history", "record") if name in options}
    plan = SearchPlan(space=space, objective=objective, **options)
    return search(plan, sampler, evaluate, **own)
