"""A wide pointwise convolution with its norm agrees with torch's, in numbers of 64 bits."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autoscale.network.kernels.kernels import ACTIVATIONS, TorchKernels
from autoscale.network.kernels.layers import Gradients, Tape
from autoscale.network.kernels.widening import Widening


def parts(width: int, seed: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    torch.manual_seed(seed)
    conv, norm = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width, eps=1e-3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return conv, norm


def agree(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, activation: int) -> None:
    """One step of the layer and of torch's modules."""
    act = ACTIVATIONS[activation]
    exact = nn.Sequential(conv, norm, *([act()] if act else []))
    exact = copy.deepcopy(exact).double().train()
    seen = x.double().permute(0, 3, 1, 2).contiguous().requires_grad_()
    expected = exact(seen)
    gradient, added = (
        torch.randn_like(x[..., :1]) * torch.ones(4 * x.shape[-1]),
        torch.randn_like(x),
    )
    gradient = gradient * torch.linspace(-1, 1, 4 * x.shape[-1])
    expected.backward(gradient.double().permute(0, 3, 1, 2))

    layer, tape, found = Widening(conv, norm, activation, TorchKernels()), Tape(), Gradients()
    with torch.no_grad():
        y = layer.forward(x, tape)
        of_x = layer.backward(gradient, tape, found, added=added)
    assert not tape
    assert of_x is not None
    assert seen.grad is not None
    close(y, expected.permute(0, 2, 3, 1))
    close(of_x - added, seen.grad.permute(0, 2, 3, 1))
    other_conv, other_norm = exact[0], exact[1]
    for own, other in ((conv.weight, other_conv.weight), (norm.weight, other_norm.weight),
                       (norm.bias, other_norm.bias)):  # fmt: skip
        close(found[own], other.grad)
    close(norm.running_mean, other_norm.running_mean)
    close(norm.running_var, other_norm.running_var)
    assert norm.num_batches_tracked == 1


def close(found: Tensor, exact: Tensor) -> None:
    largest = exact.abs().max().clamp(min=1e-3)
    assert (found.double() - exact).abs().max() <= 1e-4 * largest


@settings(max_examples=30, deadline=None, derandomize=True)  # a ReLU bends at 0
@given(
    st.integers(1, 5), st.integers(2, 6), st.integers(1, 9),
    st.integers(0, len(ACTIVATIONS) - 1), st.integers(0, 1000),
)  # fmt: skip
def test_a_step_is_torchs(images: int, side: int, width: int, activation: int, seed: int) -> None:
    conv, norm = parts(width, seed)
    agree(torch.randn(images, side, side, width), conv, norm, activation)


@pytest.mark.parametrize("offset", [30.0, -300.0])
def test_maps_far_from_zero_lose_no_digits(offset: float) -> None:
    conv, norm = parts(6, 0)
    agree(torch.randn(4, 5, 5, 6) + offset, conv, norm, 3)


def test_channels_that_never_vary_do_no_harm() -> None:
    conv, norm = parts(6, 0)
    x = torch.randn(4, 5, 5, 6)
    x[..., 2] = 0.5
    x[..., 4] = 0.0
    with torch.no_grad():
        conv.weight[3] = 0.0
    agree(x, conv, norm, 3)


def test_one_pixel_goes_the_other_way() -> None:
    conv, norm = parts(3, 0)
    layer, tape, found = Widening(conv, norm, 1, TorchKernels()), Tape(), Gradients()
    with torch.no_grad():
        y = layer.forward(torch.randn(1, 1, 1, 3), tape)
        of_x = layer.backward(torch.ones_like(y), tape, found)
    assert of_x is not None
    assert of_x.shape == (1, 1, 1, 3)
    assert len(found) == 3
