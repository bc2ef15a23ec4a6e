"""Costs as values: each says the same of a design, of its parts, of its counts and of arrays."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost, cost
from autoscale.design.costs import costs_of
from autoscale.design.measures.energy import Energy
from autoscale.design.measures.latency import Latency, LatencyTable
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import MEASURES, measure_named
from autoscale.design.published import published
from autoscale.design.walk import places_of
from autoscale.design.workload import workload
from autoscale.errors import InvalidSetting
from autoscale.search.objective import Objective
from tests.strategies import architectures


def no_file(path: str) -> str:
    raise AssertionError(f"{path} was read")


def a_table() -> LatencyTable:
    """Of an imagined machine that runs whatever the two designs run."""
    features = {*workload(published("resnet-18")), *workload(published("efficientnet-b0"))}
    return LatencyTable(rates=dict.fromkeys(sorted(features), 1e-6), error=0.1, measurements=20)


#: Of every kind in the registry one that is ready to be asked.
READY: dict[str, CostMeasure] = {
    "macs": MEASURES["macs"](),
    "params": MEASURES["params"](),
    "activations": MEASURES["activations"](),
    "memory": MEASURES["memory"](),
    "latency": a_table(),
    "energy": Energy(multiply=3.7, add=0.9, weight_byte=160, activation_byte=1.25),
    "flash": MEASURES["flash"](),
    "ram": MEASURES["ram"](),
}
COUNTED = [measure for measure in READY.values() if measure.counted and measure.reads]
OF_DESIGNS = [measure for measure in READY.values() if measure.counted and not measure.reads]


def test_every_cost_of_the_registry_is_tested_here() -> None:
    assert list(READY) == list(MEASURES)
    assert all(name == kind.name for name, kind in MEASURES.items())


def folded(measure: CostMeasure, design: Architecture) -> float:
    """What the parts of a design tell of its cost."""
    columns = zip(*[measure.shares(place) for place in places_of(design)], strict=True)
    folds = {"sum": sum, "max": max}
    return sum(folds[fold](col) for fold, col in zip(measure.parts, columns, strict=True))


@pytest.mark.parametrize("measure", COUNTED, ids=lambda m: m.name)
@given(design=architectures())
def test_the_cost_of_a_design_is_that_of_its_parts(
    measure: CostMeasure, design: Architecture
) -> None:
    assert measure.of(design) == pytest.approx(folded(measure, design), rel=1e-12)


@pytest.mark.parametrize("measure", OF_DESIGNS, ids=lambda m: m.name)
def test_a_cost_that_no_count_tells_is_refused_with_what_can_be_done(measure: CostMeasure) -> None:
    with pytest.raises(InvalidSetting, match=f"limit it instead, as in --limit {measure.name}="):
        measure.count(cost(published("efficientnet-b0")))


@pytest.mark.parametrize("name", ["resnet-18", "efficientnet-b0"])
def test_a_predicted_latency_is_the_sum_of_its_parts(name: str) -> None:
    table, design = READY["latency"], published(name)
    assert table.of(design) == pytest.approx(sum(map(table.at, places_of(design))))


@pytest.mark.parametrize("measure", COUNTED, ids=lambda m: m.name)
def test_a_cost_reads_the_counts_that_it_declares_and_no_others(measure: CostMeasure) -> None:
    counts = cost(published("efficientnet-b0"))
    others = {field.name for field in fields(Cost)} - measure.reads
    assert measure.reads
    assert measure.count(replace(counts, **dict.fromkeys(others, 0))) == measure.count(counts)
    for name in measure.reads:
        doubled = replace(counts, **{name: 2 * getattr(counts, name)})
        assert measure.count(doubled) > measure.count(counts)


@pytest.mark.parametrize("measure", COUNTED, ids=lambda m: m.name)
def test_a_thousand_designs_cost_what_each_costs(measure: CostMeasure) -> None:
    designs = [published(name) for name in ("resnet-18", "resnet-50", "efficientnet-b0")]
    together = measure.count(costs_of(designs))
    assert np.asarray(together).tolist() == [measure.of(design) for design in designs]


@pytest.mark.parametrize("measure", READY.values(), ids=lambda m: m.name)
@given(amount=st.integers(1, 10**12))
def test_an_amount_is_written_as_it_is_read(measure: CostMeasure, amount: int) -> None:
    kind = type(measure)
    assert kind.parse(kind.write(amount)) == pytest.approx(amount, rel=1e-12)
    assert kind.show(1).endswith(f" {kind.unit}")


@pytest.mark.parametrize("measure", READY.values(), ids=lambda m: m.name)
def test_an_objective_of_any_cost_is_read_back_from_plain_data(measure: CostMeasure) -> None:
    goal = Objective(kind="soft", target=7.0, measure=measure)
    assert Objective.from_dict(goal.to_dict()) == goal
    assert hash(Objective.from_dict(goal.to_dict())) == hash(goal)


def test_multiply_adds_leave_no_trace_in_a_record_so_that_old_runs_go_on() -> None:
    plain = {"kind": "hard", "target": 5, "w": -0.07}
    assert Objective(kind="hard", target=5).to_dict() == plain
    assert Objective.from_dict(plain).measure == MACS


def test_a_cost_that_there_is_not_and_a_table_that_is_not_wanted_are_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"no cost 'joules'; choose from macs, params"):
        measure_named("joules", no_file)
    with pytest.raises(InvalidSetting, match=r"macs takes no table, got 'a.yaml'"):
        measure_named("macs:a.yaml", no_file)
    assert measure_named(" params ", no_file) == MEASURES["params"]()


def test_a_latency_that_was_not_measured_has_no_value() -> None:
    with pytest.raises(InvalidSetting, match="latency is measured on a device"):
        Latency().of(published("resnet-18"))


def test_headings_say_what_is_predicted() -> None:
    assert (MACS.title, MACS.heading) == ("Multiply-adds", "multiply-adds")
    table = READY["latency"]
    assert (table.title, table.heading) == ("Predicted milliseconds", "predicted ms")
    assert MACS.exactly(8_000_000) == "8,000,000 multiply-adds"
    assert table.exactly(12.5) == "12.5 ms"


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("macs", "1 multiply-add"),
        ("params", "1 parameter"),
        ("activations", "1 activation"),
        ("memory", "1 byte of activations"),
    ],
)
def test_one_is_said_as_one(name: str, one: str) -> None:
    kind = MEASURES[name]
    assert kind.exactly(1) == one
    assert kind.exactly(2) == f"2 {kind.unit}"
