"""Runtimes: each gives the logits of torch, nearly in float32, about in int8; or it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autoscale.cli.app import main
from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.devices.runtimes.graphs import graph_of, to_pixels
from autoscale.devices.runtimes.registry import RUNTIMES
from autoscale.devices.runtimes.runtime import Runtime, Subject
from autoscale.devices.timing.conditions import Conditions
from autoscale.devices.timing.latency import measure_latencies
from autoscale.distribution import missing
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.fold import fold_norms
from autoscale.quantization.quantized import QuantizedGraph

SILU = replace(published("efficientnet-b0"), resolution=32)
RELU6 = replace(published("efficientnet-lite0"), resolution=32)
FILES = ("onnxruntime", "openvino", "litert", "ncnn")


def installed(name: str) -> Runtime:
    runtime = RUNTIMES[name]
    for extra in runtime.extras:
        if lacking := missing(extra):
            pytest.skip(f"needs the extra {extra} ({', '.join(lacking)})")
    return runtime


def logits(name: str, network: nn.Module, design: Architecture | None, **asked: Any) -> np.ndarray:
    """Of one image of pixels that bytes hold, so that every runtime sees the same."""
    torch.manual_seed(1)
    noise = to_pixels(torch.randn(1, 3, 32, 32))
    images = (noise / 255 - 0.5) / 0.225
    subject = Subject(network=fold_norms(network), design=design, folded=True, images=images)
    found = installed(name).ready(subject, Conditions(runtime=name, **asked))()
    return np.asarray(found, dtype=float).ravel()


def network_of(design: Architecture) -> nn.Module:
    """With norms and a classifier that tell images apart, which fresh ones hardly do."""
    torch.manual_seed(0)
    network = build(design)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_var is not None
                module.running_var.fill_(0.3)
                module.bias.normal_(0, 0.2)
    return network.eval()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("design", [SILU, RELU6], ids=["silu", "relu6"])
def test_a_runtime_answers_as_torch_does(name: str, design: Architecture) -> None:
    network = network_of(design)
    true = logits("eager", network, design)
    found = logits(name, network, design)
    assert found == pytest.approx(true, abs=1e-4 * np.abs(true).max())


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_in_int8_it_answers_about_the_same(name: str) -> None:
    network = network_of(RELU6)
    true = logits("eager", network, RELU6)
    found = logits(name, network, RELU6, dtype="int8")
    # A network of no training, and kernels that saturate where a processor has no VNNI: not near.
    assert np.corrcoef(true, found)[0, 1] > 0.7
    assert not np.allclose(true, found, atol=1e-6 * np.abs(true).max())


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_in_int8_a_network_whose_signals_vanish_is_timed_too(name: str) -> None:
    network = build(SILU)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.mul_(1e-3)
    network.eval()
    image = torch.randn(1, 3, 32, 32)
    subject = Subject(network=network, design=SILU, folded=True, images=image)
    file = graph_of(subject, "int8", name)
    assert isinstance(file, QuantizedGraph)
    assert min(one.scale for one in file.maps.values()) > 1e-4
    assert np.isfinite(logits(name, network, SILU, dtype="int8")).all()


def test_openvino_runs_the_int8_file_of_onnx_runtime() -> None:
    found = (
        measure_latencies([RELU6], runtime="openvino", dtype="int8", repeats=5)
        if installed("openvino")
        else []
    )
    assert [(one.runtime, one.dtype) for one in found] == [("openvino", "int8")]
    assert found[0].version.startswith("openvino 2")


@pytest.mark.parametrize("name", FILES[:3])
def test_batches_are_run_as_one_pass(name: str) -> None:
    installed(name)
    (found,) = measure_latencies([RELU6], runtime=name, batch=2, repeats=5)
    assert (found.batch, found.resolution, found.runtime) == (2, 32, name)
    assert found.memory_format == RUNTIMES[name].formats[0]


def test_a_design_is_timed_at_another_resolution() -> None:
    installed("litert")
    (found,) = measure_latencies([RELU6], runtime="litert", resolution=48, repeats=5)
    assert found.resolution == 48


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"runtime": "ncnn", "dtype": "int8"},
            "ncnn is measured in float32 on the cpu, got int8 on cpu; choose runtime onnxruntime, "
            "openvino or litert",
        ),
        ({"runtime": "ncnn", "batch": 2}, "one image at a time, got a batch of 2"),
        ({"runtime": "litert", "fold": False}, "litert in float32 folds batch norms always"),
        (
            {"runtime": "onnxruntime", "dtype": "int8", "fold": False},
            "onnxruntime in int8 folds batch norms always",
        ),
        ({"runtime": "litert", "memory_format": "channels-first"}, "takes images channels-last"),
        ({"dtype": "int8"}, "choose runtime onnxruntime, openvino or litert for that"),
        ({"dtype": "int8", "device": "cuda"}, "got int8 on cuda; choose device cpu"),
    ],
    ids=str,
)
def test_what_a_runtime_cannot_do_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        Conditions(**asked)


@pytest.mark.parametrize(
    ("name", "dtype"), [("litert", "float32"), ("litert", "int8"), ("onnxruntime", "int8")]
)
def test_a_module_of_the_users_is_refused_where_a_design_is_needed(name: str, dtype: str) -> None:
    installed(name)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    with pytest.raises(InvalidSetting, match=f"{name} runs designs in {dtype}, and Sequential is"):
        measure_latencies([module], runtime=name, dtype=dtype, resolution=8, repeats=5)


@pytest.mark.parametrize("name", FILES)
def test_without_its_packages_a_runtime_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("autoscale.distribution.find_spec", lambda module: None)
    assert main(["latency", "efficientnet-b0", "--runtime", name]) == 2
    told = capsys.readouterr().err
    assert f"the runtime {name} needs" in " ".join(told.split())
    assert f'pip install "autoscale-cnn[{RUNTIMES[name].extras[0]}]"' in " ".join(told.split())


def test_the_command_says_which_version_ran(capsys: pytest.CaptureFixture[str]) -> None:
    installed("onnxruntime")
    words = ["efficientnet-lite0", "--resolution", "32", "--repeats", "5", "--dtype", "int8"]
    assert main(["latency", *words, "--runtime", "onnxruntime"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "onnxruntime, int8, 1 thread" in shown
    assert RUNTIMES["onnxruntime"].version in shown
