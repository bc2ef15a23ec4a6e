"""Training steps whose maps and products are bfloat16, against float32 and exact arithmetic."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.design.architecture import Activation, Architecture, Block, Head, Stage, Stem
from autoscale.design.published import NETWORKS
from autoscale.design.rounding import fit_strides
from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.build import build
from autoscale.network.freeze import freeze
from autoscale.network.kernels.accelerate import Accelerated, plan
from autoscale.network.kernels.compiled import NativeKernels, Normed, NormGradient, Way
from autoscale.network.kernels.inverted import Inverted
from autoscale.network.kernels.kernels import ACTIVATIONS, Filter
from autoscale.network.kernels.layers import Chain, Layer
from autoscale.network.kernels.library import compiler
from autoscale.network.kernels.panels import Panels
from autoscale.network.modules_of import block_call
from autoscale.training.parts import to_learn

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")

#: The most by which rounding to bfloat16 moves a number, of the number: of its 8 bits the first is
#: always one, so neighbours are 2^-7 apart.
ROUNDING = 2.0**-8
#: Of the largest number, what arithmetic in float32 may differ by; see `network.kernels.kernels`.
FLOAT32 = 1e-4
MIXED = Architecture(
    resolution=20,
    stem=Stem(width=8, stride=2),
    stages=(
        Stage(block="mbconv", width=8, depth=2, kernel=3, expand_ratio=1),
        Stage(block="mbconv", width=16, depth=2, kernel=5, expand_ratio=4, stride=2),
        Stage(block="fused-mbconv", width=16, depth=2, kernel=3, expand_ratio=2, se_ratio=0),
        Stage(block="separable", width=24, depth=1, kernel=3, expand_ratio=1, activation="hswish"),
        Stage(block="basic", width=24, depth=2, kernel=3, expand_ratio=1, activation="relu"),
    ),
    head=Head(width=32),
    num_classes=5,
)


def narrow() -> NativeKernels:
    kernels = load_kernels(BFLOAT16_KERNELS)
    assert isinstance(kernels, NativeKernels)
    return kernels


def wide() -> NativeKernels:
    kernels = load_kernels("native")
    assert isinstance(kernels, NativeKernels)
    return kernels


@pytest.fixture
def kernels(narrow_kernels: NativeKernels) -> NativeKernels:
    return narrow_kernels


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rounded(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed).bfloat16()


def assert_rounded(found: Tensor, exact: Tensor) -> None:
    """`found` is `exact` rounded once, but for what float32 arithmetic may differ by before."""
    assert found.dtype == torch.bfloat16
    off = (found.double() - exact.double()).abs()
    assert (off <= ROUNDING * exact.double().abs() + FLOAT32 * exact.abs().max()).all(), off.max()


def assert_close(found: Tensor, exact: Tensor) -> None:
    assert found.dtype == torch.float32
    off = (found.double() - exact.double()).abs().max()
    assert off <= FLOAT32 * exact.abs().max(), off


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "channels"), [(3, 16), (5, 27), (5, 48)])
def test_a_filter_rounds_what_it_stores_once(
    kernels: NativeKernels, kernel: int, channels: int, stride: int
) -> None:
    x, norm = rounded(2, 13, 9, channels), nn.BatchNorm2d(channels)
    by = Filter(random(channels, 1, kernel, kernel, seed=1), stride)
    with torch.no_grad():
        y, statistics = kernels.depthwise_measured(x, by, norm)
        exact = wide().depthwise(x.float(), by)
        assert_rounded(y, exact)
        assert_close(statistics, wide().measure(exact, nn.BatchNorm2d(channels)))
        gradient = rounded(*y.shape, seed=2)
        of_x, of_weight = kernels.depthwise_backward(gradient, x, by, wants_input=True)
        exact_x, exact_weight = wide().depthwise_backward(
            gradient.float(), x.float(), by, wants_input=True
        )
    assert of_x is not None
    assert exact_x is not None
    assert_rounded(of_x, exact_x)
    assert_close(of_weight, exact_weight)


@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("channels", [5, 27, 48])
def test_norms_and_gates_round_what_they_store_once(
    kernels: NativeKernels, activation: int, channels: int
) -> None:
    z, gradient = rounded(3, 6, 7, channels), rounded(3, 6, 7, channels, seed=1)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        statistics = kernels.measure(z, norm)
        assert_close(statistics, wide().measure(z.float(), nn.BatchNorm2d(channels)))
        map_ = Normed(z, statistics, activation)
        exact = replace(map_, z=z.float())
        assert_rounded(kernels.apply(map_, gradient), wide().apply(exact, gradient.float()))
        assert_close(kernels.pool_normed(map_), wide().pool_normed(exact))
        assert_close(kernels.gate_gradient(gradient, z),
                     wide().gate_gradient(gradient.float(), z.float()))  # fmt: skip
        pooled = random(3, channels, seed=3)
        for found, expected in (
            (kernels.norm_gradient(gradient, map_), wide().norm_gradient(gradient.float(), exact)),
            (
                kernels.differentiate_pooled(pooled, map_),
                wide().differentiate_pooled(pooled, exact),
            ),
        ):
            assert_rounded(found.pre, expected.pre)
            assert_close(found.coefficients[0], expected.coefficients[0])
        expected = replace(expected, pre=found.pre.float())
        of_z = wide().combine(expected, z.float(), torch.empty(z.shape))
        given = replace(found, coefficients=expected.coefficients)
        assert_rounded(kernels.combine(given, z, found.pre), of_z)


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [(1, 8, 24), (77, 40, 16), (300, 96, 144), (33, 144, 7), (64, 3, 80)],
)
def test_products_are_exact_but_for_one_rounding(
    rows: int, depth: int, columns: int, way: Way, portable: NativeKernels
) -> None:
    kernels = portable if way == Way.FMAS else copy.copy(narrow())
    if way > kernels.way:
        pytest.skip(f"this processor multiplies by {kernels.way.name.lower()} at best")
    kernels.way = way
    x, added = rounded(1, rows, 1, depth), rounded(1, rows, 1, depth, seed=1)
    gradient, weight = rounded(1, rows, 1, columns, seed=2), random(columns, depth, 1, 1, seed=3)
    matrix = weight.bfloat16().float()  # which FMAs take as it is
    one, zero = torch.ones(columns), torch.zeros(columns)
    given = NormGradient(gradient, torch.stack((one, zero, zero)), one, zero)
    with torch.no_grad():
        y, statistics = Panels(kernels).expand(x, matrix, nn.BatchNorm2d(columns))
        of_x, of_weight = Panels(kernels).expand_backward(
            given, y, x, matrix, wants_input=True, added=added
        )
    exact = x.double() @ matrix.flatten(1).double().t()
    assert_rounded(y, exact)
    assert_close(statistics, wide().measure(exact.float(), nn.BatchNorm2d(columns)))
    assert of_x is not None
    assert_rounded(of_x, gradient.double() @ matrix.flatten(1).double() + added.double())
    expected = gradient.flatten(0, 2).double().t() @ x.flatten(0, 2).double()
    assert_close(of_weight.flatten(1), expected)


def test_what_is_no_number_or_infinite_stays_so(kernels: NativeKernels) -> None:
    numbers = [torch.nan, torch.inf, -torch.inf, 3e38, -0.0, 1.0, 1.0078125, 1e-30]
    z = torch.tensor(numbers).bfloat16().expand(1, 1, 40, 8).contiguous()
    statistics = torch.tensor([0.0, 1.0, 1.0, 0.0])[:, None].expand(4, 8).contiguous()
    with torch.no_grad():
        y = kernels.apply(Normed(z, statistics, 0))
    assert torch.equal(y.isnan(), z.isnan())
    assert torch.equal(y.nan_to_num(7.0, 8.0, 9.0), z.nan_to_num(7.0, 8.0, 9.0))


@pytest.mark.parametrize(
    "bits", [0x7F800001, 0x7FFFFFFF, 0x3F808000, 0x3F818000, 0x3F807FFF, 0xFF7FFFFF]
)
def test_rounding_is_that_of_torch(kernels: NativeKernels, bits: int) -> None:
    # Added to nought in a float32 register, then stored.
    shift = torch.tensor([bits if bits < 2**31 else bits - 2**32], dtype=torch.int32)
    value = shift.view(torch.float32)
    z = torch.zeros(1, 1, 3, 24, dtype=torch.bfloat16)
    statistics = torch.zeros(4, 24)
    statistics[3] = value
    with torch.no_grad():
        y = kernels.apply(Normed(z, statistics, 0))
    expected = value.bfloat16()
    assert y.isnan().all() if expected.isnan() else (y == expected).all()


def branch(width_in: int, width: int, *, block: Block = "mbconv", stride: int = 1,
           **settings: Any) -> nn.Sequential:  # fmt: skip
    """A block without its shortcut, with norms that are not all the same."""
    stage = Stage(block=block, width=width, skip="none", **settings)
    found = block_call(stage.layout(width_in, width, stride), width_in).make()
    assert isinstance(found, nn.Sequential)
    for number, norm in enumerate(m for m in found.modules() if isinstance(m, nn.BatchNorm2d)):
        with torch.no_grad():
            norm.weight.copy_(random(norm.num_features, seed=number).abs() + 0.3)
            norm.bias.copy_(random(norm.num_features, seed=number + 50))
    return found.train()


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


def by_torch(module: nn.Module, x: Tensor, gradient: Tensor, *, autocast: bool) -> list[Tensor]:
    """The same by torch's autograd: in bfloat16 as torch has it, or exactly."""
    own = copy.deepcopy(module) if autocast else copy.deepcopy(module).double()
    seen = x.float().requires_grad_() if autocast else x.double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = own(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    y.backward(gradient.to(y.dtype))
    gradients = [parameter.grad for parameter in own.parameters()]
    return [y.detach(), seen.grad, *gradients]  # type: ignore[list-item]


def error(found: Tensor, exact: Tensor) -> float:
    """Of the root mean square."""
    return float((found.double() - exact).norm() / exact.norm().clamp(min=1e-12))


@pytest.mark.parametrize("activation", ["relu6", "silu", "hswish"])
@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
@pytest.mark.parametrize(("kernel", "stride", "ratio"), [(3, 1, 4), (5, 2, 6), (3, 2, 1)])
def test_a_block_is_as_exact_as_torch_s_own_bfloat16(
    kernels: NativeKernels,
    activation: Activation,
    se_ratio: float,
    kernel: int,
    stride: int,
    ratio: int,
) -> None:
    torch.manual_seed(0)
    block = branch(
        24, 16, kernel=kernel, stride=stride, expand_ratio=ratio, se_ratio=se_ratio,
        activation=activation,
    )  # fmt: skip
    x = rounded(6, 16, 14, 24, seed=1)
    layer = plan(block, kernels)
    assert type(layer) is Inverted
    gradient = rounded(6, -(-16 // stride), -(-14 // stride), 16, seed=9)
    exact = by_torch(block, x, gradient, autocast=False)
    torchs = by_torch(block, x, gradient, autocast=True)
    found = step(block, layer, x, gradient)
    names = ["output", "input", *(name for name, _ in block.named_parameters())]
    for name, one, other, expected in zip(names, found, torchs, exact, strict=True):
        # Twice as much, as two errors by rounding differ by chance; a ReLU6 close to its ends lets
        # a gradient pass or not, and the sums of the few numbers here move by some roundings.
        assert error(one, expected) <= max(2 * error(other, expected), 8 * ROUNDING), name


def network(*, still: bool = False, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    rates = {} if still else {"dropout": 0.2, "drop_path": 0.3}
    found = build(MIXED, **rates, **options)
    for norm in (m for m in found.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    return found


def learn(module: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(2)
    images = random(6, 3, 20, 20, seed=5).contiguous(memory_format=torch.channels_last)
    logits = module(images)
    functional.cross_entropy(logits, torch.arange(6) % 5).backward()
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    return logits.detach(), gradients


def whole(gradients: dict[str, Tensor]) -> Tensor:
    """All gradients of a network as one vector: of single ones there are some that are nought."""
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_every_kind_of_block_is_trained_as_exactly_as_by_torch_s_own_bfloat16(padding: str) -> None:
    def learnt(module: nn.Module, *, autocast: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return learn(module.train())

    exact = learnt(network(padding=padding, still=True))
    torchs = learnt(network(padding=padding, still=True), autocast=True)
    found = learnt(Accelerated(network(padding=padding, still=True), narrow()))
    assert found[0].dtype == torch.float32
    assert all(gradient.dtype == torch.float32 for gradient in found[1].values())
    assert error(found[0], exact[0].double()) <= 1.5 * error(torchs[0], exact[0].double())
    gradient = whole(exact[1]).double()
    assert error(whole(found[1]), gradient) <= 1.5 * error(whole(torchs[1]), gradient)


def test_evaluation_is_float32_to_the_bit() -> None:
    one, other = Accelerated(network(), narrow()).eval(), Accelerated(network(), wide()).eval()
    images = random(4, 3, 20, 20)
    with torch.inference_mode():
        assert torch.equal(one(images), other(images))


def test_the_same_step_gives_the_same_bits_and_two_threads_nearly_the_same() -> None:
    def stepped() -> dict[str, Tensor]:
        return learn(Accelerated(network(), narrow()).train())[1]

    one, again = stepped(), stepped()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = stepped()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(gradient, again[name]) for name, gradient in one.items())
    assert error(whole(two), whole(one).double()) <= 0.3


def test_a_copy_is_a_network_of_its_own_that_learns_the_same() -> None:
    one = Accelerated(network(still=True), narrow()).train()
    other = copy.deepcopy(one)
    found = learn(one), learn(other)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(whole(found[0][1]), whole(found[1][1]))
    own = {id(parameter) for parameter in one.parameters()}
    assert own.isdisjoint(id(parameter) for parameter in other.parameters())


@pytest.mark.parametrize("options", [{"stages": 2}, {"norms": True}, {"features": True}],
                         ids=["stages", "norms", "features"])  # fmt: skip
def test_frozen_parts_stay_and_the_others_learn(options: dict[str, Any]) -> None:
    plain, other = network(), network()
    found = []
    for module in (plain, other):
        freeze(module, **options)  # type: ignore[arg-type]
    for module in (plain, Accelerated(other, narrow())):  # type: ignore[arg-type]
        to_learn(module)
        found.append(learn(module)[1])
    assert {f"network.{name}" for name in found[0]} == set(found[1])
    # Far from exact, as the last maps have 3 x 3 pixels of 6 images; torch's own is as far.
    assert error(whole(found[1]), whole(found[0]).double()) <= 0.3


def test_only_whole_blocks_become_one_layer_in_bfloat16_too() -> None:
    block = branch(8, 8, expand_ratio=2)
    assert type(plan(block, narrow())) is Inverted
    assert isinstance(plan(block[:2], narrow()), Chain)


@pytest.mark.parametrize("name", ["mobilenetv3-small", "mnasnet-a1", "mobilenet-v2-0.35"])
def test_heads_of_other_families_learn_in_bfloat16(name: str) -> None:
    design = fit_strides(replace(NETWORKS[name], resolution=32, num_classes=5))
    images, labels = random(10, 3, 32, 32), torch.arange(10) % 5
    losses = []
    for kernels in (wide(), narrow()):
        torch.manual_seed(0)
        network = Accelerated(build(design), kernels).train()
        torch.manual_seed(1)  # for what is dropped
        loss = functional.cross_entropy(network(images), labels)
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
