"""Graphs of operations: the network they stand for, in float and in int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as examples
from torch.nn import functional

from autoscale.design.architecture import Architecture, Head
from autoscale.design.published import published
from autoscale.design.style import STYLES
from autoscale.errors import InvalidArchitecture, InvalidSetting
from autoscale.network.build import build
from autoscale.quantization import graph as g
from autoscale.quantization.calibration import reaches
from autoscale.quantization.equalise import equalised
from autoscale.quantization.errors import layer_errors
from autoscale.quantization.execute import run
from autoscale.quantization.kernels_of import kernels_of
from autoscale.quantization.lower import lower, require_operations
from autoscale.quantization.post_training import after_training
from autoscale.quantization.simulate import _convolved, simulate
from tests.models.networks import shaken
from tests.quantization.designs import DESIGNS, LITE, small
from tests.strategies import architectures

each_design = pytest.mark.parametrize("name", DESIGNS)


def logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(images)
    return found


@each_design
@pytest.mark.parametrize("style", ["autoscale", "tf"])
def test_a_graph_gives_the_logits_of_its_network(name: str, style: str) -> None:
    made = small(DESIGNS[name], STYLES[style], even=style == "tf")
    true = logits(made.network, made.images)
    assert torch.allclose(run(made.graph, made.pixels), true, atol=1e-4 * float(true.abs().max()))


@given(architectures())
@examples(max_examples=12)
def test_every_design_without_layer_norms_has_a_graph_of_its_logits(design: Architecture) -> None:
    try:
        require_operations(design)
    except InvalidArchitecture:
        assume(False)
    network = shaken(build(design))
    mean, deviation = (0.5,) * design.channels, (0.25,) * design.channels
    graph = lower(design, kernels_of(network), padding="symmetric", mean=mean, deviation=deviation)
    random = torch.Generator().manual_seed(0)
    shape = (2, design.channels, *design.image_size)
    pixels = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    true = logits(network, (pixels / 255 - 0.5) / 0.25)
    assert torch.allclose(run(graph, pixels), true, atol=1e-3 * max(1, float(true.abs().max())))
    assert graph.output.shape == (design.num_classes,)


def test_layer_norms_are_refused_with_a_way_out() -> None:
    with pytest.raises(InvalidArchitecture, match=r"no layer norm.*onnx"):
        require_operations(published("convnext-atto"))
    with pytest.raises(InvalidArchitecture):
        require_operations(replace(LITE, head=Head(width=16, norm="layer")))


def test_another_networks_numbers_are_refused() -> None:
    kernels = kernels_of(build(LITE))
    facts = {"padding": "same", "mean": (0.5,) * 3, "deviation": (0.5,) * 3}
    with pytest.raises(InvalidSetting, match="the design has a layer of shape"):
        lower(replace(LITE, num_classes=9), kernels, **facts)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="more layers than its design"):
        lower(LITE, [*kernels, kernels[0]], **facts)  # type: ignore[arg-type]


@each_design
def test_equalised_channels_leave_the_network_as_it_is(name: str) -> None:
    made = small(DESIGNS[name])
    reach = reaches(made.graph, [made.pixels])
    found = equalised(made.graph, reach, 1.0)
    true = run(made.graph, made.pixels)
    assert torch.allclose(run(found, made.pixels), true, atol=1e-4 * float(true.abs().max()))


def test_equalised_channels_reach_equally_far_along_a_shortcut() -> None:
    made = small(LITE)
    found = equalised(made.graph, reaches(made.graph, [made.pixels]), 1.0)
    tied = ["stages.1.0.project", "stages.1.1.branch.project", "stages.1.1.sum"]
    before, after = (reaches(one, [made.pixels]) for one in (made.graph, found))
    most = np.max([after[name] for name in tied], axis=0)
    assert most.max() / most.min() < 1.01
    was = np.max([before[name] for name in tied], axis=0)
    assert was.max() / was.min() > 1.2


@each_design
def test_int8_answers_nearly_as_float(name: str) -> None:
    made = small(DESIGNS[name])
    graph, network = after_training(made.graph, [made.pixels])
    true = run(made.graph, made.pixels)
    of = network.maps[graph.output.name]
    found = torch.from_numpy(of.numbers(simulate(network, made.pixels).numpy()))
    error = float((found - true).square().mean() / true.var())
    assert error < 0.05


def test_where_channels_are_normalised_alike_bytes_go_into_the_first_convolution() -> None:
    for even in (True, False):
        made = small(LITE, even=even)
        graph, network = after_training(made.graph, [made.pixels])
        names = [one.name for one in network.graph.operations]
        assert ("normalised" in names) is not even
        assert "normalised" in [one.name for one in graph.operations]


def test_integers_are_added_up_exactly_where_float32_alone_would_round() -> None:
    random = np.random.default_rng(0)
    numbers = random.integers(-255, 256, (1, 1200, 3, 3))
    weight = random.integers(-127, 128, (2, 1200, 3, 3)).astype(np.int8)
    numbers[:], weight[:] = 255, 127  # as large as sums become
    numbers[0, 7, 1, 1] = 254
    operation = g.Convolution(
        name="wide", inputs=("map",), shape=(2, 1, 1), weight=weight.astype(np.float32),
        bias=np.zeros(2, np.float32),
    )  # fmt: skip
    found = _convolved(operation, torch.from_numpy(numbers), torch.from_numpy(weight))
    true = np.einsum("nihw,oihw->no", numbers, weight.astype(np.int64))
    assert found.flatten().tolist() == true.flatten().tolist()
    alone = functional.conv2d(torch.from_numpy(numbers).float(), torch.from_numpy(weight).float())
    assert alone.flatten().tolist() != true.flatten().tolist()


def test_the_layer_that_loses_most_is_named() -> None:
    made = small(LITE)
    graph, network = after_training(made.graph, [made.pixels])
    name = "stages.1.0.depthwise"
    spoiled = network.kernels[name]._replace(weight=network.kernels[name].weight // 32 * 32)
    wrong = replace(network, kernels={**network.kernels, name: spoiled})
    errors = layer_errors(graph, wrong, [made.pixels])
    assert min(errors, key=lambda one: one.alone_db).layer == name
    before = layer_errors(graph, network, [made.pixels])
    assert errors[-1].so_far_db < before[-1].so_far_db
