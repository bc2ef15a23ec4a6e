"""Searches whose plans are written as options, and every sampler with what it can search."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from optuna.samplers import BaseSampler

from autoscale.design.space import SearchSpace
from autoscale.search.engine import SearchPlan, Trial, search
from autoscale.search.objective import Objective
from autoscale.search.samplers import SAMPLERS

HARD = Objective(kind="hard", target=450_000)
FRONT = Objective(kind="front", target=450_000)
#: Each sampler with what it can search: gp needs scipy, the controller one objective.
CASES = [
    pytest.param(sampler, objective, id=f"{sampler}-{name}")
    for sampler in SAMPLERS
    for name, objective in (("reward", HARD), ("front", FRONT))
    if (sampler != "gp" or find_spec("scipy")) and (sampler, name) != ("controller", "front")
]


def searched(
    space: SearchSpace, objective: Objective, evaluate: Any, sampler: BaseSampler, **options: Any
) -> list[Trial]:
    """`search`, with the fields of a `SearchPlan` and its own options side by side."""
    own = {name: options.pop(name) for name in ("history", "record") if name in options}
    plan = SearchPlan(space=space, objective=objective, **options)
    return search(plan, sampler, evaluate, **own)
