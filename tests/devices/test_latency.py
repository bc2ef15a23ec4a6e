"""Measured latency: what is stated, what is refused; never how fast this machine is."""

import time
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoscale.design.published import published
from autoscale.devices.timing.latency import Latency, measure_latencies, measure_latency
from autoscale.errors import InvalidSetting

B0 = replace(published("efficientnet-b0"), resolution=32)
QUICK: dict[str, Any] = {"repeats": 5}


class Sleeper(nn.Module):
    """A network whose time is known."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds)
        self.calls += 1
        return x.mean(dim=(2, 3))

    def __deepcopy__(self, memo: Any) -> "Sleeper":
        return self


def test_a_measurement_states_its_conditions() -> None:
    found = measure_latency(B0, batch=2, dtype="bfloat16", fold=False, repeats=7)
    stated = asdict(found)
    assert (found.batch, found.resolution, found.dtype) == (2, 32, "bfloat16")
    assert (found.runtime, found.device, found.clock) == ("eager", "cpu", "wall")
    assert not found.folded
    assert found.repeats == 7
    assert found.blocks >= 5
    assert found.warm_up >= 2
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms
    assert found.images_per_second == pytest.approx(2000 / found.median_ms)
    assert stated["standard_error_ms"] >= 0


def test_the_median_is_the_time_of_a_pass_and_warm_up_is_not_timed() -> None:
    network = Sleeper(0.02)
    found = measure_latency(network, repeats=6)
    assert found.low_ms >= 20  # sleep never wakes early
    assert network.calls == found.repeats + found.warm_up


def test_measuring_ends_when_it_is_sure_enough_or_its_time_is_over() -> None:
    sure = measure_latency(Sleeper(0.02), precision=100.0, seconds=60)
    assert sure.settled
    assert sure.blocks == 5
    unsure = measure_latency(Sleeper(0.001), precision=1e-9, seconds=0.3)
    assert not unsure.settled


def test_processor_time_does_not_count_waiting() -> None:
    found = measure_latency(Sleeper(0.05), clock="cpu", **QUICK)
    assert found.median_ms < 50


def test_networks_take_turns_and_each_gets_its_own_figures() -> None:
    slow, fast = Sleeper(0.03), Sleeper(0.001)
    found = measure_latencies([slow, fast], **QUICK)
    assert found[0].low_ms >= 30
    assert slow.calls == found[0].repeats + found[0].warm_up
    assert fast.calls == found[1].repeats + found[1].warm_up
    assert [latency.repeats for latency in found] == [5, 5]


def test_ranges_that_overlap_agree() -> None:
    found = measure_latency(Sleeper(0.001), **QUICK)
    slower = replace(found, low_ms=found.high_ms + 1, high_ms=found.high_ms + 2)
    assert found.agrees_with(found)
    assert not found.agrees_with(slower)
    assert not slower.agrees_with(found)


def test_measuring_leaves_the_network_the_threads_and_the_generator_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    measure_latency(network, resolution=8, threads=2, dtype="bfloat16", **QUICK)
    assert torch.equal(torch.rand(1), expected)
    assert network.training
    assert torch.get_num_threads() == threads
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("setting", "way_out"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"repeats": 4}, "repeats must be at least 5, got 4"),
        ({"seconds": 0}, "seconds must be above 0, got 0"),
        ({"precision": -1.0}, "precision must be above 0, got -1"),
        ({"dtype": "int4"}, "no dtype 'int4'; choose from float32, bfloat16, float16, int8"),
        (
            {"runtime": "tensorrt"},
            "no runtime 'tensorrt'; choose from eager, compiled, onnxruntime",
        ),
        ({"clock": "cpu", "threads": 2}, "choose clock wall"),
        ({"runtime": "onnxruntime", "dtype": "bfloat16"}, "choose runtime eager or compiled"),
        ({"device": "abacus"}, "cannot use the device 'abacus' here; try 'cpu'"),
        ({"device": "meta"}, "latency is measured on cpu and CUDA devices, got 'meta'"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], way_out: str) -> None:
    with pytest.raises(InvalidSetting, match=way_out):
        measure_latency(B0, **setting)


def test_a_network_that_takes_no_such_images_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidSetting, match=r"\(1, 3, 8, 8\) with eager in float32") as refusal:
        measure_latency(nn.Linear(5, 5), resolution=8, **QUICK)
    assert "\n" not in str(refusal.value)


def test_onnx_runtime_measures_the_exported_network() -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    found = measure_latency(network, resolution=8, runtime="onnxruntime", batch=3, **QUICK)
    assert isinstance(found, Latency)
    assert (found.runtime, found.memory_format) == ("onnxruntime", "channels-first")


class Strides(nn.Module):
    """Notes how its images lie in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.seen: list[bool] = []

    def __deepcopy__(self, memo: object) -> "Strides":
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.is_contiguous())
        return self.conv(images)


@pytest.mark.parametrize(
    ("asked", "measured"),
    [(None, "channels-last"), ("channels-last", "channels-last"), ("channels-first",) * 2],
)
def test_the_memory_format_is_said_and_may_be_chosen(asked: str | None, measured: str) -> None:
    network = Strides()
    found = measure_latency(network, resolution=8, fold=False, memory_format=asked, **QUICK)
    assert isinstance(found, Latency)
    assert found.memory_format == measured
    assert set(network.seen) == {measured == "channels-first"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"memory_format": "nhwc"},
            "no memory format 'nhwc'; choose from channels-last, channels-first",
        ),
        ({"runtime": "onnxruntime", "memory_format": "channels-last"}, "takes images channels-fir"),
    ],
)
def test_a_memory_format_that_cannot_be_is_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        measure_latency(nn.Conv2d(3, 4, 3), resolution=8, **wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit")  # of torch's compiler itself
def test_a_compiled_network_is_measured() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    found = measure_latency(network, resolution=8, runtime="compiled", **QUICK)
    assert found.runtime == "compiled"
