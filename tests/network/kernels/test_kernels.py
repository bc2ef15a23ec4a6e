"""Kernels against torch in float64, as far from any of them as rounding."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.errors import AutoscaleError
from autoscale.network.blocks import SamePad
from autoscale.network.kernels.compiled import NativeKernels
from autoscale.network.kernels.kernels import ACTIVATIONS, Filter, Kernels

TOLERANCE = 1e-4  # of the largest number, the error that the module states


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(found: Tensor | None, expected: Tensor) -> None:
    assert found is not None
    assert found.shape == expected.shape
    assert found.is_contiguous()
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max().clamp(min=1e-3)


SHAPES = [  # images, height, width, channels, kernel, stride
    (3, 16, 16, 24, 3, 1),
    (2, 17, 17, 40, 5, 2),
    (2, 7, 7, 8, 3, 2),
    (2, 6, 11, 19, 5, 1),
    (4, 2, 2, 36, 5, 1),
    (2, 1, 1, 16, 5, 1),
    (1, 40, 9, 16, 7, 2),
    (1, 112, 112, 16, 3, 1),
    (2, 9, 9, 21, 9, 1),
    (2, 33, 33, 20, 3, 2),
    (2, 5, 5, 20, 1, 1),
    (1, 8, 8, 3, 3, 3),
    (1, 9, 13, 21, 7, 1),
    (3, 3, 3, 17, 3, 2),
    (2, 2, 9, 24, 7, 2),
    (2, 9, 2, 24, 7, 3),
    (1, 1, 1, 5, 3, 2),
    (2, 4, 4, 33, 5, 2),
    (2, 10, 6, 12, 9, 2),
    (70, 24, 24, 16, 5, 1),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_depthwise_convolution_and_its_gradients_are_those_of_torch(
    kernels: Kernels, shape: tuple[int, ...]
) -> None:
    assert_filters(kernels, shape, same=False)
    if isinstance(kernels, NativeKernels):  # torch pads in a step of its own
        assert_filters(kernels, shape, same=True)


def assert_filters(kernels: Kernels, shape: tuple[int, ...], *, same: bool) -> None:
    images, height, width, channels, kernel, stride = shape
    x = random(images, height, width, channels)
    weight = random(channels, 1, kernel, kernel, seed=1)
    exact_x = x.double().requires_grad_()
    exact_weight = weight.double().requires_grad_()
    planes, padding = exact_x.permute(0, 3, 1, 2), kernel // 2
    if same:
        planes, padding = SamePad(kernel, stride)(planes), 0
    exact = functional.conv2d(planes, exact_weight, None, stride, padding, 1, channels)
    exact = exact.permute(0, 2, 3, 1)
    gradient = random(*exact.shape, seed=2)
    exact.backward(gradient.double())

    by = Filter(weight, stride, same)
    assert_near(kernels.depthwise(x, by), exact)
    of_x, of_weight = kernels.depthwise_backward(gradient, x, by, wants_input=True)
    assert exact_x.grad is not None
    assert exact_weight.grad is not None
    assert_near(of_x, exact_x.grad)
    assert_near(of_weight, exact_weight.grad)
    alone, again = kernels.depthwise_backward(gradient, x, by, wants_input=False)
    assert alone is None
    assert torch.equal(again, of_weight)


def some_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-3)
    with torch.no_grad():
        norm.weight.copy_(random(channels, seed=3))
        norm.bias.copy_(random(channels, seed=4))
    return norm


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("channels", [1, 8, 27, 48])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_norm_and_activation_and_their_gradients_are_those_of_torch(
    kernels: Kernels, activation: int, channels: int, mean: float
) -> None:
    x = random(5, 6, 7, channels) * 3 + mean
    added, gradient = random(*x.shape, seed=5), random(*x.shape, seed=6)
    norm = some_norm(channels)
    exact_norm = copy.deepcopy(norm).double()
    exact_x = x.double().requires_grad_()
    kind = ACTIVATIONS[activation]
    act: Callable[[Tensor], Tensor] = kind() if kind else nn.Identity()
    exact = act(exact_norm(exact_x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
    exact.backward(gradient.double())

    with torch.no_grad():
        y, kept = kernels.norm(x, norm, activation, added)
        found = kernels.norm_backward(gradient, x, norm, activation, kept)
    # A mean of 300 leaves float32 with 5 digits of what deviates from it.
    loose = 1 + mean / 10
    assert (y - exact - added).abs().max() <= TOLERANCE * loose * exact.abs().max()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    torch.testing.assert_close(
        norm.running_mean.double(), exact_norm.running_mean, rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(norm.running_var.double(), exact_norm.running_var, rtol=1e-4, atol=0)
    for one, other in zip(
        found, (exact_x.grad, exact_norm.weight.grad, exact_norm.bias.grad), strict=True
    ):
        assert other is not None
        assert (one - other).abs().max() <= TOLERANCE * loose * other.abs().max()

    exact_norm.eval()
    fixed = act(exact_norm(x.double().permute(0, 3, 1, 2))).permute(0, 2, 3, 1) + added
    with torch.no_grad():
        assert_near(kernels.fixed_norm(x, norm, activation, added), fixed)


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
def test_what_is_no_number_stays_visible(kernels: Kernels, activation: int) -> None:
    x = random(2, 3, 3, 24)
    x[1, 1, 1, 5] = torch.nan
    with torch.no_grad():
        y, _ = kernels.norm(x, some_norm(24), activation, None)
    assert y[..., 5].isnan().any()
    assert not y[..., :5].isnan().any()


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
def test_activations_hold_far_from_zero(kernels: Kernels, activation: int) -> None:
    norm = nn.BatchNorm2d(1, eps=0.0)
    x = torch.tensor([-1e30, -1e4, -88.0, -87.0, -20.0, 0.0, 20.0, 87.0, 88.0, 1e4, 1e30])
    kind = ACTIVATIONS[activation]
    expected = kind()(x.clone()) if kind else x
    with torch.no_grad():
        found = kernels.fixed_norm(x.view(1, 1, -1, 1), norm, activation, None).flatten()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("channels", [5, 16, 40])
def test_pooling_and_reweighting_are_those_of_torch(kernels: Kernels, channels: int) -> None:
    x = random(3, 4, 5, channels).requires_grad_()
    gate = random(3, channels, seed=1).requires_grad_()
    gradient = random(3, 4, 5, channels, seed=2)
    exact = x * gate[:, None, None]
    pooled = x.mean((1, 2))
    of_pooled = random(3, channels, seed=3)
    of_x, of_gate = torch.autograd.grad((exact, pooled), (x, gate), (gradient, of_pooled))
    with torch.no_grad():
        assert_near(kernels.pool(x), pooled)
        assert_near(kernels.reweight(x, gate), exact)
        assert_near(kernels.gate_gradient(gradient, x), of_gate)
        assert_near(kernels.reweight_backward(gradient, gate, of_pooled), of_x)


def test_two_threads_give_the_results_of_one(kernels: Kernels) -> None:
    x, by = random(5, 9, 9, 40), Filter(random(40, 1, 5, 5, seed=1))
    gradient, norm = random(5, 9, 9, 40, seed=2), some_norm(40)

    def results() -> list[Tensor]:
        with torch.no_grad():
            y, kept = kernels.norm(x, copy.deepcopy(norm), 3, None)
            of_x, of_weight = kernels.depthwise_backward(gradient, x, by, wants_input=True)
            assert of_x is not None
            back = kernels.norm_backward(gradient, x, norm, 3, kept)
            return [y, of_x, of_weight, kernels.depthwise(x, by), kernels.pool(x), *back]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two, again = results(), results()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(two, again, strict=True))
    for one, other in zip(results(), two, strict=True):
        assert_near(one, other)


def test_an_error_of_the_kernels_is_one_that_users_may_see() -> None:
    from autoscale.network.kernels.library import KernelsUnavailable

    assert issubclass(KernelsUnavailable, AutoscaleError)
