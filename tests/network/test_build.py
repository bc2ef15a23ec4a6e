from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autoscale.design.architecture import Activation, Architecture, Head, Skip, Stage, Stem
from autoscale.design.cost import CONVENTIONS, cost
from autoscale.design.published import EFFICIENTNET_B0, published
from autoscale.errors import InvalidSetting
from autoscale.network.blocks import DropPath, Residual
from autoscale.network.build import Network, build
from autoscale.network.kernels.accelerate import Accelerated
from autoscale.network.kernels.kernels import TorchKernels
from autoscale.network.measuring.second_count import fvcore_analysis
from autoscale.network.measuring.trace import evaluating, traced_cost
from autoscale.training.parts import DropRates
from tests.strategies import BLOCKS, architectures


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On small tensors, threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def one_stage(stage: Stage, *, stem_width: int = 8, resolution: int = 16) -> Architecture:
    return Architecture(
        resolution=resolution,
        stem=Stem(width=stem_width, stride=1),
        stages=(stage,),
        head=Head(width=16),
        num_classes=5,
    )


def seeded(design: Architecture, seed: int = 0, **options: Any) -> Network:
    torch.manual_seed(seed)
    return build(design, **options)


def awake(network: Network) -> Network:
    """With the branches that begin at zero switched on."""
    for norm in of_kind(network, nn.BatchNorm2d):
        nn.init.ones_(norm.weight)
    return network


def of_kind(network: nn.Module, kind: Any) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, kind)]


# Agreement with the closed form


@settings(max_examples=30)
@given(architectures())
def test_the_closed_form_counts_what_the_built_network_does(design: Architecture) -> None:
    traced = traced_cost(build(design), resolution=design.resolution, aspect=design.aspect)
    counted = cost(design)
    assert traced.macs == counted.macs
    assert traced.params == counted.params
    assert traced.activations == counted.activations


@settings(max_examples=30)
@given(architectures())
def test_the_fvcore_convention_is_fvcores_own_total(design: Architecture) -> None:
    counted = fvcore_analysis(build(design), resolution=design.resolution, aspect=design.aspect)
    assert counted.total == CONVENTIONS["fvcore"](cost(design))


def test_efficientnet_b0_built_and_traced() -> None:
    network = build(EFFICIENTNET_B0)
    traced = traced_cost(network, resolution=224)
    assert (traced.macs, traced.params) == (385_814_752, 5_288_548)
    assert fvcore_analysis(network, resolution=224).total == 401_659_392


@pytest.mark.parametrize(
    ("name", "device", "params"),
    [
        ("b0", "cpu", 5_288_548),
        ("b1", "cpu", 7_794_184),
        ("b2", "cpu", 9_109_994),
        ("b3", "cpu", 12_233_232),
        ("b4", "meta", 19_341_616),
        ("b5", "meta", 30_389_784),
        ("b6", "meta", 43_040_704),
        ("b7", "meta", 66_347_960),
    ],
)
def test_the_built_efficientnets_hold_the_published_parameters(
    name: str, device: str, params: int
) -> None:
    with torch.device(device):
        network = build(published(f"efficientnet-{name}"))
    assert sum(p.numel() for p in network.parameters()) == params


def test_tracing_leaves_the_network_in_its_mode() -> None:
    network = build(one_stage(Stage(width=8)))
    for mode in (True, False):
        traced_cost(network.train(mode), resolution=16)
        assert network.training is mode
        with evaluating(network):
            assert not network.training
        assert network.training is mode


def test_tracing_leaves_a_frozen_part_frozen() -> None:
    network = build(one_stage(Stage(width=8)))
    network.stem.eval()
    with evaluating(network):
        pass
    assert not network.stem.training


def test_measuring_imports_without_a_warning() -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", "import autoscale.network.measuring.trace"],
        check=True,
        capture_output=True,
    )


# Shapes


@pytest.mark.parametrize("height", [1, 7, 32, 33, 75, 224])
def test_any_image_gives_one_logit_for_each_class(height: int) -> None:
    network = build(EFFICIENTNET_B0).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 3, height, height + 3)).shape == (2, 1000)


@pytest.mark.parametrize("name", ["b1", "b4", "b7"])
def test_large_images_give_one_logit_for_each_class(name: str) -> None:
    design = published(f"efficientnet-{name}")
    with torch.device("meta"), torch.no_grad():
        image = torch.zeros(2, design.channels, *design.image_size)
        assert build(design)(image).shape == (2, 1000)


@settings(max_examples=30)
@given(architectures(), st.integers(1, 3))
def test_every_design_gives_finite_logits(design: Architecture, batch: int) -> None:
    images = torch.randn(batch, design.channels, *design.image_size)
    with torch.no_grad():
        logits = seeded(design).eval()(images)
    assert logits.shape == (batch, design.num_classes)
    assert logits.isfinite().all()


def test_an_images_logits_do_not_depend_on_the_batch() -> None:
    network = seeded(EFFICIENTNET_B0).eval()
    images = torch.randn(3, 3, 40, 40)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), alone, rtol=1e-3, atol=1e-4)


# Learning


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_gradient_reaches_every_parameter(block: Any, stride: int) -> None:
    rich: Any = {"expand_ratio": 2, "se_ratio": 0.5, "skip": "pool"} if "mbconv" in block else {}
    stage = Stage(block=block, width=8, depth=2, stride=stride, **rich)
    network = awake(seeded(one_stage(stage)))
    network(torch.randn(8, 3, 16, 16)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


ACTIVATED_LAST = [("fused-mbconv", 1), ("separable", 1), ("conv", 1)]


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize(
    ("block", "expand_ratio"),
    [("mbconv", 2), ("fused-mbconv", 2), ("bottleneck", 1), ("basic", 1), *ACTIVATED_LAST],
)
def test_the_first_step_of_training_wakes_every_residual_branch(
    block: Any, expand_ratio: int, activation: Any
) -> None:
    stage = Stage(block=block, width=8, depth=2, expand_ratio=expand_ratio, activation=activation)
    network = seeded(one_stage(stage))
    network(torch.randn(8, 3, 16, 16)).square().sum().backward()
    for residual in of_kind(network, Residual):
        last = of_kind(residual.branch, nn.BatchNorm2d)[-1]
        assert last.weight.grad.abs().sum() > 0


# Randomness


def test_the_seed_decides_the_weights() -> None:
    weights, again, other = (
        torch.cat([p.flatten() for p in seeded(EFFICIENTNET_B0, seed).parameters()])
        for seed in (1, 1, 2)
    )
    assert torch.equal(weights, again)
    assert not torch.equal(weights, other)


@torch.no_grad()
def test_weights_start_as_in_the_released_code() -> None:
    for module in seeded(EFFICIENTNET_B0).modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            count = module.weight.numel()
            deviation = float(module.weight.std()) / math.sqrt(2 / fan_out)
            assert deviation == pytest.approx(1, abs=5 / math.sqrt(2 * count))
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.Linear):
            assert float(module.weight.abs().max()) == pytest.approx(1 / math.sqrt(1000), rel=1e-3)
            assert not module.bias.any()


def test_the_caller_chooses_how_batch_norm_averages() -> None:
    network = build(EFFICIENTNET_B0, norm_momentum=0.01, norm_eps=1e-4)
    assert {(m.momentum, m.eps) for m in of_kind(network, nn.BatchNorm2d)} == {(0.01, 1e-4)}


@pytest.mark.parametrize(
    ("block", "expand_ratio"),
    [("mbconv", 1), ("mbconv", 2), ("fused-mbconv", 2), ("bottleneck", 1), ("basic", 1)],
)
def test_a_residual_branch_that_ends_in_a_norm_begins_at_zero(
    block: Any, expand_ratio: int
) -> None:
    stage = Stage(block=block, width=8, depth=2, expand_ratio=expand_ratio)
    network = build(one_stage(stage)).eval()
    x = torch.rand(2, 8, 9, 9)
    residuals = of_kind(network, Residual)
    assert residuals
    for residual in residuals:
        torch.testing.assert_close(residual.branch(x), torch.zeros_like(x))


# Skips


@pytest.mark.parametrize("block", ["mbconv", "fused-mbconv", "separable", "conv"])
@pytest.mark.parametrize(
    ("skip", "stride", "width", "expected"),
    [
        ("identity", 1, 8, nn.Identity()),
        ("identity", 2, 8, None),
        ("identity", 1, 12, None),
        ("pool", 1, 8, nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
        ("pool", 2, 8, nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        ("pool", 2, 12, None),
        ("none", 1, 8, None),
    ],
)
def test_a_silent_branch_leaves_what_the_skip_adds(
    block: Any, skip: Skip, stride: int, width: int, expected: nn.Module | None
) -> None:
    stage = Stage(block=block, width=width, stride=stride, skip=skip)
    row = build(one_stage(stage)).eval().stages
    for norm in of_kind(row, nn.BatchNorm2d):
        nn.init.zeros_(norm.weight)
    x = torch.randn(2, 8, 9, 9)
    out = row(x)
    torch.testing.assert_close(out, torch.zeros_like(out) if expected is None else expected(x))


@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_a_residual_block_projects_its_shortcut_only_where_the_shape_changes(block: Any) -> None:
    (residual, repeat) = of_kind(
        build(one_stage(Stage(block=block, width=16, depth=2, stride=2))), Residual
    )
    assert [type(m) for m in of_kind(residual.shortcut, nn.Conv2d)] == [nn.Conv2d]
    assert isinstance(repeat.shortcut, nn.Identity)


def test_an_identity_block_does_nothing_where_it_can() -> None:
    stages = build(one_stage(Stage(block="identity", width=8, depth=2))).stages
    x = torch.randn(2, 8, 9, 9)
    assert torch.equal(stages(x), x)


# Regularisation


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, count = DropPath(0.3).train(), 20_000
    out = drop(torch.ones(count, 2, 1, 1))
    assert torch.equal(out[:, 0], out[:, 1])
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float(out[:, 0].mean()) == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / count))


def test_drop_path_does_nothing_in_evaluation() -> None:
    x = torch.randn(4, 2, 3, 3)
    assert DropPath(0.9).eval()(x) is x


def test_drop_path_grows_with_the_position_of_the_block() -> None:
    network = build(EFFICIENTNET_B0, drop_path=0.2)
    # The blocks with a skip, of 16; survival 1 - 0.2 * position / 16 as in the released code.
    positions = [2, 4, 6, 7, 9, 10, 12, 13, 14]
    rates = [drop.p for drop in of_kind(network, DropPath)]
    assert rates == pytest.approx([0.2 * position / 16 for position in positions])


def test_all_rates_of_a_network_are_scaled_together_whatever_computes_it() -> None:
    network = build(one_stage(Stage(width=8, depth=3)), dropout=0.2, drop_path=0.3)
    dropping = of_kind(network, DropPath | nn.Dropout)
    own = [module.p for module in dropping]
    rates = DropRates(Accelerated(network, TorchKernels()))
    rates.scale(0.5)
    assert [module.p for module in dropping] == [rate / 2 for rate in own]
    rates.scale(1)
    assert [module.p for module in dropping] == own


@pytest.mark.parametrize("option", ["dropout", "drop_path"])
def test_dropping_makes_training_random_and_evaluation_not(option: str) -> None:
    design = one_stage(Stage(width=8, depth=3))
    rates: Any = {option: 0.5}
    network = awake(seeded(design, **rates))
    images = torch.randn(8, 3, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
    plain = awake(
        seeded(design)
    )  # what drops has no weights, so the same seed gives the same network
    assert [p.shape for p in plain.parameters()] == [p.shape for p in network.parameters()]
    assert all(map(torch.equal, plain.parameters(), network.parameters()))


def test_without_rates_nothing_is_dropped() -> None:
    network = build(EFFICIENTNET_B0)
    assert not of_kind(network, DropPath)
    assert not of_kind(network, nn.Dropout)


@pytest.mark.parametrize("option", ["dropout", "drop_path"])
@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0, float("nan")])
def test_a_rate_outside_zero_to_one_is_refused(option: str, rate: float) -> None:
    message = rf"^{option} must lie in 0\.\.1 with 1 excluded, got {rate}$"
    with pytest.raises(InvalidSetting, match=message):
        build(EFFICIENTNET_B0, **{option: rate})
