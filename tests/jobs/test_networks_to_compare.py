"""Random networks that a baseline is compared with: where there are too few, the way out fits."""

from __future__ import annotations

import random

import pytest

import autoscale
from autoscale.design.cost import cost
from autoscale.errors import BudgetUnreachable
from autoscale.jobs.check import networks_at_least_as_expensive

SPACE = autoscale.load_space("tiny")


def test_too_few_networks_are_refused_with_what_helps() -> None:
    rng = random.Random(0)
    drawn = sorted({SPACE.sample(rng) for _ in range(2000)}, key=lambda one: cost(one).macs)
    with pytest.raises(BudgetUnreachable, match="search with a lower --target or in another"):
        networks_at_least_as_expensive(SPACE, drawn[-1], 8, seed=0)
    with pytest.raises(BudgetUnreachable, match="8 are asked for; ask for fewer with --net"):
        networks_at_least_as_expensive(SPACE, drawn[-6], 8, seed=0)
    assert len(networks_at_least_as_expensive(SPACE, drawn[0], 8, seed=0)) == 8
