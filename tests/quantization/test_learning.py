"""An int8 graph in float32: the same answers as in integers, and gradients that teach it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autoscale.design.style import STYLES
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import LOWEST
from autoscale.quantization.execute import run
from autoscale.quantization.learning.fake import FakeQuantized, to_steps
from autoscale.quantization.post_training import after_training
from autoscale.quantization.quantized import QuantizedGraph
from autoscale.quantization.simulate import simulate
from tests.quantization.designs import DESIGNS, LITE, small


def in_int8(name: str, style: str = "autoscale", *, even: bool = True) -> QuantizedGraph:
    found = small(DESIGNS[name], STYLES[style], even=even)
    return after_training(found.graph, [found.pixels])[1]


def logits(network: QuantizedGraph, pixels: torch.Tensor) -> torch.Tensor:
    """Of the integers that `simulate` gives, as numbers."""
    to = network.maps[network.graph.output.name]
    return to.scale * (simulate(network, pixels) - to.zero_point)


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("style", ["autoscale", "tf"])
@pytest.mark.parametrize("name", DESIGNS)
def test_each_operation_makes_of_the_same_integers_the_same_but_for_a_step(
    name: str, style: str, even: bool
) -> None:
    network, pixels = in_int8(name, style, even=even), small(DESIGNS[name], even=even).pixels
    fake = FakeQuantized(network)
    made: dict[str, Tensor] = {g.PIXELS: pixels.to(torch.int64) + LOWEST}
    simulate(network, pixels, made.__setitem__)
    zero = {name: one.zero_point for name, one in network.maps.items()}
    numbers = differing = 0
    for operation in network.graph.operations:
        inputs = [(made[source] - zero[source]).float() for source in operation.inputs]
        with torch.inference_mode():
            found = fake.carried_out(operation, inputs)
        apart = (found.view_as(made[operation.name]) + zero[operation.name]) - made[operation.name]
        assert apart.abs().max() <= 1, operation.name
        numbers, differing = numbers + apart.numel(), differing + int(apart.abs().sum())
    assert differing <= 0.08 * numbers


@pytest.mark.parametrize("name", DESIGNS)
def test_it_differs_from_the_integers_less_than_these_from_float(name: str) -> None:
    found, true = small(DESIGNS[name]), run(small(DESIGNS[name]).graph, small(DESIGNS[name]).pixels)
    network = after_training(found.graph, [found.pixels])[1]
    integers = logits(network, found.pixels)
    with torch.inference_mode():
        fake = FakeQuantized(network)(found.pixels)
    assert (fake - integers).square().mean() < (integers - true).square().mean()


def test_bytes_and_floats_are_the_same_pixels() -> None:
    network, pixels = FakeQuantized(in_int8("relu6")), small(LITE).pixels
    with torch.inference_mode():
        assert torch.equal(network(pixels), network(pixels.float()))


def test_gradients_pass_rounding_by_and_end_at_the_limits() -> None:
    x = torch.tensor([-9.0, -2.6, -2.4, 0.3, 1.5, 2.6], requires_grad=True)
    found = to_steps(x, -2, 2)
    assert found.tolist() == [-2, -2, -2, 0, 2, 2]
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("name", DESIGNS)
def test_every_weight_that_matters_gets_a_gradient(name: str) -> None:
    network = FakeQuantized(in_int8(name))
    network(small(DESIGNS[name]).pixels).square().sum().backward()
    for own, parameter in network.named_parameters():
        assert parameter.grad is not None, own
        assert torch.isfinite(parameter.grad).all(), own


def test_untrained_it_is_the_graph_that_it_was_made_of() -> None:
    network = in_int8("relu6")
    same = FakeQuantized(network).learned()
    assert same.maps == network.maps
    for name, kernel in network.kernels.items():
        assert (same.kernels[name].weight == kernel.weight).all()
        assert (same.kernels[name].scales == kernel.scales).all()
        assert abs(same.kernels[name].bias.astype(int) - kernel.bias).max() <= 1


def test_what_it_learned_is_what_the_integers_answer() -> None:
    network, pixels = FakeQuantized(in_int8("silu")), small(DESIGNS["silu"]).pixels
    before = network(pixels).detach()
    optimizer = torch.optim.Adam(network.parameters(), lr=2.0)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(pixels), torch.arange(12) % 4).backward()
        optimizer.step()
    with torch.inference_mode():
        after = network(pixels)
    learned = network.learned()
    scale = learned.maps[learned.graph.output.name].scale
    assert (after - before).abs().max() > 2 * scale
    assert (after - logits(learned, pixels)).abs().mean() <= 2 * scale
    assert (after - logits(learned, pixels)).abs().mean() < (after - before).abs().mean() / 3
