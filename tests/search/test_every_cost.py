"""Every cost that commands know can be what a search weighs, one side of a front, and a limit."""

import math
from pathlib import Path

import numpy as np
import pytest

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.latency import fit_latency_table
from autoscale.design.measures.limits import Limit
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import COSTS, measure_named
from autoscale.design.space import SearchSpace
from autoscale.design.workload import workload
from autoscale.search.engine import knowledge
from autoscale.search.objective import Objective, Score
from autoscale.search.samplers import make_sampler
from tests.search.searching import searched

SPACES = Path(__file__).parents[2] / "search_spaces"
TINY = SearchSpace.from_yaml((SPACES / "tiny.yaml").read_text())
ALL = tuple(TINY.enumerate())
TABLE = "multiply: 3.7\nadd: 0.9\nweight_byte: 160.0\nactivation_byte: 1.25\n"


def measure_of(name: str) -> CostMeasure:
    """The cost of that name; milliseconds as they would be predicted from timed networks."""
    if name == "latency":
        works = [workload(architecture) for architecture in ALL[::2]]
        return fit_latency_table(works, [1.0 + 1e-6 * cost(a).macs for a in ALL[::2]])
    return measure_named("energy:chip.yaml" if name == "energy" else name, lambda _: TABLE)


def evaluate(architecture: Architecture, repetition: int) -> Score:
    counts = cost(architecture)
    accuracy = min(0.99, 0.1 * math.log(counts.macs) - 0.9)
    return Score(
        accuracy=max(accuracy, 0.1),
        macs=counts.macs,
        params=counts.params,
        activations=counts.activations,
    )


@pytest.mark.parametrize("kind", ["hard", "soft", "front"])
@pytest.mark.parametrize("name", COSTS)
def test_a_search_weighs_and_limits_it(name: str, kind: str) -> None:
    measure = measure_of(name)
    found = sorted({measure.of(architecture) for architecture in ALL})
    limit = Limit(measure, float(np.quantile(found, 0.6)))
    middle = float(np.quantile(found, 0.3))
    objective = Objective(kind=kind, target=middle, measure=measure)  # type: ignore[arg-type]
    sampler = make_sampler("guided", seed=1, space=TINY, known=knowledge(objective, [limit]))
    trials = searched(TINY, objective, evaluate, sampler, trials=9, seed=1, limits=(limit,))
    assert all(trial.status in ("finished", "repeat") for trial in trials)
    assert sum(trial.trained for trial in trials) == 9
    assert max(measure.of(trial.architecture) for trial in trials) <= limit.most
    if kind == "front":
        cheapest = measure.of(trials[0].architecture)
        assert cheapest == found[0]
