"""The accelerated network is the network: same results, gradients, buffers and random numbers."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.build import build
from autoscale.network.freeze import freeze
from autoscale.network.kernels.accelerate import Accelerated, plan
from autoscale.network.kernels.inverted import Inverted
from autoscale.network.kernels.kernels import Kernels, TorchKernels
from autoscale.network.kernels.layers import Chain, Opaque
from autoscale.network.kernels.library import compiler
from autoscale.training.parts import to_learn

MIXED = Architecture(
    resolution=20,
    stem=Stem(width=8, stride=2),
    stages=(
        Stage(block="mbconv", width=8, depth=2, kernel=3, expand_ratio=1),
        Stage(block="mbconv", width=16, depth=2, kernel=5, expand_ratio=4, stride=2),
        Stage(block="fused-mbconv", width=16, depth=2, kernel=3, expand_ratio=2, se_ratio=0),
        Stage(block="separable", width=24, depth=1, kernel=3, expand_ratio=1, activation="hswish"),
        Stage(block="basic", width=24, depth=2, kernel=3, expand_ratio=1, activation="relu"),
        Stage(block="mbconv", width=24, depth=2, kernel=3, expand_ratio=2, skip="pool"),
    ),
    head=Head(width=32),
    num_classes=5,
)


#: Blocks of which some layers are done by torch's autograd.
OTHERS = replace(
    MIXED,
    stem=Stem(width=8, kernel=2, stride=2, norm="layer", activation="none"),
    stages=(
        Stage(block="resnext", width=16, depth=2, groups=4, activation="relu"),
        Stage(block="mobilenet-v3", width=16, depth=2, expand_ratio=2.5, se_ratio=0.25, stride=2),
        Stage(block="universal", width=16, depth=2, start_kernel=3, expand_ratio=2),
        Stage(block="convnext", width=24, depth=2, kernel=5, expand_ratio=2, activation="gelu"),
        Stage(block="universal", width=24, depth=2, kernel=0, expand_ratio=2),
    ),
    head=Head(hidden=32, norm="batch"),
)


def network(*, padding: str = "symmetric", architecture: Architecture = MIXED) -> nn.Module:
    torch.manual_seed(0)
    made = build(architecture, dropout=0.2, drop_path=0.3, padding=padding)  # type: ignore[arg-type]
    for module in made.modules():  # branches that begin at zero would hide their gradients
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return made


def images(count: int = 6, height: int = 20, width: int = 20) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def learn(module: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Logits, gradients by name and of the input, of one step with fixed random numbers."""
    torch.manual_seed(2)
    x = x.clone().requires_grad_()
    logits = module(x)
    nn.functional.cross_entropy(logits, torch.arange(len(x)) % 5).backward()
    names = {
        name.removeprefix("network."): parameter.grad
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    assert x.grad is not None
    return logits.detach(), names, x.grad


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("architecture", [MIXED, OTHERS], ids=["mixed", "others"])
@pytest.mark.parametrize("width", [20, 27], ids=["square", "wide"])
def test_a_training_step_is_that_of_the_network(
    kernels: Kernels, padding: str, architecture: Architecture, width: int
) -> None:
    plain = network(padding=padding, architecture=architecture).double().train()
    fast = Accelerated(network(padding=padding, architecture=architecture), kernels).train()
    x = images(width=width)
    expected, found = learn(plain, x.double()), learn(fast, x)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[2].double(), expected[2], rtol=1e-3, atol=1e-6)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in found[1].items():
        scale = expected[1][name].abs().max().item()
        assert gradient.shape == expected[1][name].shape
        # A shift in front of another norm changes nothing: its gradient is nought but rounding.
        assert (gradient - expected[1][name]).abs().max() <= 1e-4 * max(scale, 2e-2), name
    for (name, one), other in zip(fast.network.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one.to(other.dtype), other, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_evaluation_is_that_of_the_network(kernels: Kernels, padding: str) -> None:
    plain = network(padding=padding).eval()
    fast = Accelerated(plain, kernels).eval()
    with torch.inference_mode():
        torch.testing.assert_close(fast(images()), plain(images()), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(fast(images()), plain(images()), rtol=1e-4, atol=1e-5)


def test_gradients_in_eval_mode_are_the_networks_own(kernels: Kernels) -> None:
    plain = network().eval()
    x = images().requires_grad_()
    (of_x,) = torch.autograd.grad(Accelerated(plain, kernels).eval()(x).sum(), x)
    (expected,) = torch.autograd.grad(plain(x).sum(), x)
    assert torch.equal(of_x, expected)


def test_the_same_step_twice_gives_the_same_bits(kernels: Kernels) -> None:
    one, other = (learn(Accelerated(network(), kernels).train(), images()) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


def test_a_copy_is_a_network_of_its_own(kernels: Kernels) -> None:
    fast = Accelerated(network(), kernels).eval()
    other = copy.deepcopy(fast)
    with torch.inference_mode():
        before = fast(images())
        for parameter in other.parameters():
            parameter.zero_()
        assert torch.equal(fast(images()), before)
        assert not other(images()).any()


def test_frozen_parameters_get_no_gradient(kernels: Kernels) -> None:
    frozen = network()
    for parameter in frozen.stages[0].parameters():  # type: ignore[union-attr,operator,index]
        parameter.requires_grad_(False)
    _, gradients, _ = learn(Accelerated(frozen, kernels).train(), images())
    assert not any(name.startswith("stages.0.") for name in gradients)
    assert any(name.startswith("stem.") for name in gradients)


def test_almost_everything_of_a_mobile_network_has_its_own_backward_pass() -> None:
    mobile = replace(MIXED, stages=MIXED.stages[:2])

    def opaque(layer: object) -> list[nn.Module]:
        if isinstance(layer, Opaque):
            return list(layer.module.modules())
        inner = layer.layers if isinstance(layer, Chain) else [getattr(layer, "branch", None)]
        return [module for one in inner if one is not None for module in opaque(one)]

    left = {type(module) for module in opaque(plan(network(architecture=mobile), TorchKernels()))}
    assert left <= {nn.Sequential, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.Linear}


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")
def test_inverted_bottlenecks_are_one_layer_in_either_padding() -> None:
    kernels = load_kernels("native")
    assert kernels is not None
    mobile = replace(MIXED, stages=MIXED.stages[:2])
    assert any(stage.stride > 1 for stage in mobile.stages)

    def inverted(layer: object) -> int:
        inner = getattr(layer, "layers", [getattr(layer, "branch", None)])
        return isinstance(layer, Inverted) + sum(inverted(one) for one in inner if one is not None)

    one, other = (
        inverted(plan(network(padding=padding, architecture=mobile), kernels))
        for padding in ("symmetric", "same")
    )
    assert one == other == sum(stage.depth for stage in mobile.stages)


@pytest.mark.parametrize("options", [{"stages": 2}, {"norms": True}, {"features": True}],
                         ids=["stages", "norms", "features"])  # fmt: skip
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_a_step_with_frozen_parts_is_that_of_the_network(
    kernels: Kernels, padding: str, options: dict[str, Any]
) -> None:
    plain, other = network(padding=padding).double(), network(padding=padding)
    for module in (plain, other):
        freeze(module, **options)
    fast = Accelerated(other, kernels)
    found = []
    for module, x in ((plain, images().double()), (fast, images())):
        to_learn(module)
        torch.manual_seed(2)
        logits = module(x)
        nn.functional.cross_entropy(logits, torch.arange(len(x)) % 5).backward()
        found.append(logits.detach().double())
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
    for (name, one), own in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert (one.grad is None) == (own.grad is None) == (not one.requires_grad), name
        if one.grad is not None and own.grad is not None:
            scale = max(one.grad.abs().max().item(), 1e-2)
            assert (own.grad - one.grad).abs().max() <= 1e-4 * scale, name
    for (name, one), own in zip(plain.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one.to(own.dtype), own, rtol=1e-4, atol=1e-5, msg=name)


def test_images_get_a_gradient_through_frozen_parts_too(kernels: Kernels) -> None:
    plain = network()
    freeze(plain, stages=2)
    _, _, of_x = learn(Accelerated(plain, kernels).train(), images())
    assert of_x.any()
