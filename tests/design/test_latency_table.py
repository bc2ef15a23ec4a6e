"""The latency table on an imagined machine whose rates are known."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from torch import Tensor, nn

from autoscale.design.cost import cost
from autoscale.design.measures.latency import LatencyTable, fit_latency_table
from autoscale.design.published import published
from autoscale.design.workload import Feature, Workload, workload
from autoscale.errors import InvalidSetting
from autoscale.jobs.search.spaces import load_space
from autoscale.network.build import build
from tests.design.traced_operations import operations

RATES = {"calls": 0.01, "macs": 2e-8, "numbers": 1e-7, "weights": 5e-8}


def milliseconds(work: Mapping[Feature, float]) -> float:
    """On a machine that treats all kinds alike."""
    return sum(amount * RATES[what] for (_, what), amount in work.items())


def some_work(count: int) -> list[Workload]:
    space = load_space("tiny")
    designs = list(space.enumerate())
    return [workload(design) for design in random.Random(0).sample(designs, count)]


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18"])
def test_multiply_adds_of_convolutions_are_those_of_the_design(name: str) -> None:
    design = published(name)
    found = sum(amount for (_, what), amount in operations(design).items() if what == "macs")
    assert found == cost(design).macs - design.features * design.num_classes


def test_a_resolution_stands_in_for_the_designs_own() -> None:
    design = published("resnet-18")
    assert operations(design, resolution=64) == operations(replace(design, resolution=64))


def test_known_rates_predict_networks_that_were_not_seen() -> None:
    work = some_work(50)
    times = [milliseconds(row) for row in work]
    table = fit_latency_table(work[:40], times[:40])
    assert table.measurements == 40
    assert table.error < 0.02
    assert all(rate >= 0 for rate in table.rates.values())
    for row, expected in zip(work[40:], times[40:], strict=True):
        predicted = sum(amount * table.rates[feature] for feature, amount in row.items())
        assert predicted == pytest.approx(expected, rel=0.05)


def test_the_price_of_a_design_is_that_of_its_module() -> None:
    work = some_work(30)
    table = fit_latency_table(work, [milliseconds(row) for row in work])
    design = next(iter(load_space("tiny").enumerate()))
    priced = table.price(operations(build(design), resolution=design.resolution))
    assert table.of(design) == pytest.approx(priced)


def test_an_operation_that_was_never_measured_is_named() -> None:
    class Softmax(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.softmax(dim=1)

    work = some_work(30)
    table = fit_latency_table(work, [milliseconds(row) for row in work])
    with pytest.raises(InvalidSetting, match="no measured network ran _softmax"):
        table.price(operations(Softmax(), resolution=8))


def test_too_few_networks_or_impossible_latencies_are_refused() -> None:
    work = some_work(20)
    with pytest.raises(InvalidSetting, match="20 to 500 networks with one latency each"):
        fit_latency_table(work[:19], [1.0] * 19)
    with pytest.raises(InvalidSetting, match="got 20 and 19"):
        fit_latency_table(work, [1.0] * 19)
    with pytest.raises(InvalidSetting, match="finite and above 0"):
        fit_latency_table(work, [0.0] * 20)


def test_a_table_survives_being_written() -> None:
    work = some_work(20)
    table = fit_latency_table(work, [milliseconds(row) for row in work])
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table
