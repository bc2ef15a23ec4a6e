"""Blocks whose hidden maps are not stored against the same blocks by torch's autograd."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autoscale.design.architecture import Activation, Block, Stage
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.blocks import Residual, SamePad
from autoscale.network.kernels.accelerate import plan
from autoscale.network.kernels.compiled import NativeKernels, Normed
from autoscale.network.kernels.inverted import Inverted
from autoscale.network.kernels.kernels import ACTIVATIONS, Filter, TorchKernels
from autoscale.network.kernels.layers import Chain, ConvNorm, Layer, Skip
from autoscale.network.kernels.library import compiler
from autoscale.network.modules_of import block_call

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")

TOLERANCE = 1e-4  # of the largest number, the error that the kernels state


def native() -> NativeKernels:
    kernels = load_kernels("native")
    assert isinstance(kernels, NativeKernels)
    return kernels


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(found: Tensor | None, expected: Tensor | None, what: str = "") -> None:
    assert found is not None
    assert expected is not None
    assert found.shape == expected.shape, what
    error = (found.double() - expected).abs().max().item()
    assert error <= TOLERANCE * max(expected.abs().max().item(), 1e-3), (what, error)


def branch(
    width_in: int, width: int, *, block: Block = "mbconv", stride: int = 1, **settings: Any
) -> nn.Sequential:
    """A block without its shortcut."""
    stage = Stage(block=block, width=width, skip="none", **settings)
    found = block_call(stage.layout(width_in, width, stride), width_in).make()
    assert isinstance(found, nn.Sequential)
    return found


def lively(module: nn.Module) -> nn.Module:
    """With norms that are not all the same, so that nothing cancels."""
    for number, norm in enumerate(m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        with torch.no_grad():
            norm.weight.copy_(random(norm.num_features, seed=number).abs() + 0.3)
            norm.bias.copy_(random(norm.num_features, seed=number + 50))
    return module.train()


def step(module: nn.Module, layer: Layer, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """Output, gradients of the input and of all parameters, by the layer."""
    tape: list[object] = []
    found: dict[Tensor, Tensor] = {}
    with torch.no_grad():
        y = layer.forward(x, tape)
        of_x = layer.backward(gradient.clone(), tape, found)
    assert of_x is not None
    assert not tape
    return [y, of_x, *(found[parameter] for parameter in module.parameters())]


def agrees_with_torch(module: nn.Module, x: Tensor) -> None:
    """One training step and an evaluation by both, torch in float64."""
    exact = copy.deepcopy(module).double()
    exact_x = x.double().requires_grad_()
    expected = exact(exact_x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    gradient = random(*expected.shape, seed=9)
    expected.backward(gradient.double())
    layer = plan(module, native())
    y, of_x, *of_parameters = step(module, layer, x, gradient)
    assert_near(y, expected)
    assert_near(of_x, exact_x.grad, "input")
    for (name, parameter), found in zip(exact.named_parameters(), of_parameters, strict=True):
        # The norm behind a filter of one tap undoes it: what is left of its gradient is rounding.
        if parameter.ndim < 4 or parameter[0].numel() > 1:
            assert_near(found, parameter.grad, name)
    for (name, buffer), other in zip(module.named_buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(buffer.to(other.dtype), other, rtol=1e-4, atol=1e-5, msg=name)
    exact.eval()
    with torch.no_grad():
        fixed = exact(x.double().permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        assert_near(layer.forward(x, None), fixed)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    width=st.sampled_from([3, 8, 13, 16, 24]),
    width_out=st.sampled_from([8, 13, 16]),
    kernel=st.sampled_from([1, 3, 5, 7, 9]),
    stride=st.sampled_from([1, 2, 3]),
    expand_ratio=st.sampled_from([1, 2, 3]),
    se_ratio=st.sampled_from([0.0, 0.25]),
    activation=st.sampled_from(["relu6", "silu", "hswish"]),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    images=st.integers(2, 5),
)
def test_a_block_and_its_gradients_are_those_of_torch(
    width: int,
    width_out: int,
    kernel: int,
    stride: int,
    expand_ratio: int,
    se_ratio: float,
    activation: Activation,
    size: tuple[int, int],
    images: int,
) -> None:
    torch.manual_seed(0)
    block = branch(
        width, width_out, kernel=kernel, stride=stride, expand_ratio=expand_ratio,
        se_ratio=se_ratio, activation=activation,
    )  # fmt: skip
    # A norm of a few numbers divides by their tiny spread: rounding shows, in both.
    side = [max(n, 2 * stride + 1) for n in size]
    agrees_with_torch(lively(block), random(images, *side, width, seed=1))


@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
def test_a_residual_block_adds_its_input_in_both_directions(se_ratio: float) -> None:
    torch.manual_seed(0)
    for ratio in (1, 4):
        block = branch(16, 16, expand_ratio=ratio, se_ratio=se_ratio)
        module = lively(Residual(block, nn.Identity()))
        layer = plan(module, native())
        assert isinstance(layer, Skip)
        agrees_with_torch(module, random(3, 9, 7, 16, seed=1))


def test_maps_of_several_bands_are_packed_without_gaps() -> None:
    torch.manual_seed(0)
    block = branch(8, 8, kernel=5, stride=2, expand_ratio=2, se_ratio=0.5)
    agrees_with_torch(lively(block), random(2, 61, 131, 8, seed=1))


def test_a_separable_block_is_one_layer_too() -> None:
    torch.manual_seed(0)
    block = lively(branch(24, 16, block="separable", stride=2, se_ratio=0.25))
    layer = plan(block, native())
    assert isinstance(layer, Inverted)
    assert layer.expand is None
    agrees_with_torch(block, random(2, 9, 9, 24, seed=1))


@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_a_stem_is_one_layer_with_a_block_that_expands_nothing(
    padding: str, se_ratio: float
) -> None:
    torch.manual_seed(0)
    padded = [SamePad(3, 2)] if padding == "same" else []
    conv = nn.Conv2d(3, 8, 3, 2, 0 if padded else 1, bias=False)
    block = branch(8, 16, block="separable", se_ratio=se_ratio)
    module = lively(nn.Sequential(*padded, conv, nn.BatchNorm2d(8), nn.SiLU(), *block))
    layer = plan(module, native())
    if isinstance(layer, Chain):
        assert padded
        layer = layer.layers[-1]
    assert isinstance(layer, Inverted)
    assert isinstance(layer.expand, ConvNorm)
    agrees_with_torch(module, random(3, 14, 11, 3, seed=1))


def test_only_whole_blocks_become_one_layer() -> None:
    block = branch(8, 8, expand_ratio=2, se_ratio=0.5)
    assert isinstance(plan(block, native()), Inverted)
    assert isinstance(plan(block, TorchKernels()), Chain)
    without_project = plan(block[:3], native())
    assert isinstance(without_project, Chain)
    assert not any(isinstance(layer, Inverted) for layer in without_project.layers)
    two = plan(nn.Sequential(block, copy.deepcopy(block)), native())
    assert isinstance(two, Chain)
    assert [type(layer) for layer in two.layers] == [Inverted, Inverted]


def test_the_input_needs_no_gradient() -> None:
    for ratio in (1, 2):
        block = lively(branch(8, 8, expand_ratio=ratio, se_ratio=0.5))
        layer, x, gradient = plan(block, native()), random(2, 5, 5, 8), random(2, 5, 5, 8, seed=1)
        _, _, *expected = step(block, layer, x, gradient)
        tape: list[object] = []
        found: dict[Tensor, Tensor] = {}
        with torch.no_grad():
            layer.forward(x, tape)
            assert layer.backward(gradient.clone(), tape, found, wants_input=False) is None
        for parameter, one in zip(block.parameters(), expected, strict=True):
            assert torch.equal(found[parameter], one)


@pytest.mark.parametrize("mean", [300.0, -3000.0])
@pytest.mark.parametrize("channels", [5, 16, 40])
def test_statistics_of_filtered_maps_keep_their_digits_far_from_zero(
    channels: int, mean: float
) -> None:
    # A filter of one pixel leaves the map as it is, so its moments are known.
    x = random(3, 17, 11, channels) + mean
    norm = nn.BatchNorm2d(channels, eps=0.0)
    weight = torch.ones(channels, 1, 1, 1)
    with torch.no_grad():
        z, statistics = native().depthwise_measured(x, Filter(weight), norm)
        measured = native().measure(x, nn.BatchNorm2d(channels, eps=0.0))
    assert torch.equal(z, x)
    exact = x.double().flatten(0, 2)
    variance = exact.var(0, unbiased=False)
    for found in (statistics, measured):
        torch.testing.assert_close(found[0].double(), exact.mean(0), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found[1].double(), variance.rsqrt(), rtol=1e-5, atol=0)
    assert norm.running_var is not None
    torch.testing.assert_close(
        norm.running_var.double(), 0.9 + 0.1 * exact.var(0), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("channels", [5, 27, 48])
def test_maps_that_are_not_stored_are_those_that_would_be(activation: int, channels: int) -> None:
    kernels = native()
    z, gradient = random(3, 6, 7, channels), random(3, 6, 7, channels, seed=1)
    pooled, norm = random(3, channels, seed=3), nn.BatchNorm2d(channels)
    with torch.no_grad():
        map_ = Normed(z, kernels.measure(z, norm), activation)
        assert_near(kernels.pool_normed(map_), kernels.pool(kernels.apply(map_)).double())
        everywhere = (pooled / 42)[:, None, None].expand(z.shape).contiguous()
        for given, found in (
            (gradient, kernels.norm_gradient(gradient, map_)),
            (everywhere, kernels.differentiate_pooled(pooled, map_)),
        ):
            of_z, *of_norm = kernels.norm_backward(given, z, norm, activation, map_.statistics)
            assert_near(kernels.combine(found, z, torch.empty_like(z)), of_z.double())
            assert_near(found.of_scale, of_norm[0].double())
            assert_near(found.of_shift, of_norm[1].double())


def test_what_is_no_number_stays_visible_behind_a_filter() -> None:
    z = random(2, 5, 5, 24)
    z[1, 2, 2, 7] = torch.nan
    with torch.no_grad():
        map_ = Normed(z, native().measure(z, nn.BatchNorm2d(24)), 3)
        y, statistics = native().depthwise_measured(
            map_, Filter(torch.ones(24, 1, 3, 3)), nn.BatchNorm2d(24)
        )
    assert y[..., 7].isnan().any()
    assert statistics[:, 7].isnan().any()
    assert not y[..., :7].isnan().any()
    assert not y[..., 8:].isnan().any()


def test_two_threads_give_the_results_of_one_and_the_same_bits_twice() -> None:
    block = lively(branch(8, 8, kernel=5, expand_ratio=5, se_ratio=0.5))
    x, gradient = random(5, 9, 9, 8), random(5, 9, 9, 8, seed=1)
    one = step(block, plan(block, native()), x, gradient)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two, again = (step(block, plan(block, native()), x, gradient) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(two, again, strict=True))
    for a, b in zip(one, two, strict=True):
        assert_near(a, b.double())
