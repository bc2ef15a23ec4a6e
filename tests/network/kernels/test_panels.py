"""What goes on between an inverted bottleneck's maps, against exact arithmetic."""

import copy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.blocks import SamePad, SqueezeExcite
from autoscale.network.kernels.compiled import NativeKernels, Normed, NormGradient
from autoscale.network.kernels.kernels import ACTIVATIONS, Filter
from autoscale.network.kernels.layers import Excite
from autoscale.network.kernels.library import compiler
from autoscale.network.kernels.panels import Panels

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")


class Kind(NamedTuple):
    """Kernels, and what they make maps of."""

    kernels: NativeKernels
    maps: torch.dtype

    @property
    def panels(self) -> Panels:
        return Panels(self.kernels)

    @property
    def rounding(self) -> float:
        """Of the largest number, by what a map is off."""
        return 2.0**-8 if self.maps == torch.bfloat16 else 1e-4

    @property
    def rough(self) -> float:
        """The same of a gate: the sigmoid of bfloat16 kernels is 1e-4 off."""
        return 3e-4 if self.maps == torch.bfloat16 else 1e-4

    def weight(self, numbers: Tensor) -> Tensor:
        """As products take it."""
        return numbers.to(self.maps).float()


@pytest.fixture(params=["float32", "bfloat16", "float32, portable", "bfloat16, portable"])
def kind(request: pytest.FixtureRequest) -> Kind:
    name, *portable = request.param.split(", ")
    maps = getattr(torch, name)
    found = load_kernels(BFLOAT16_KERNELS)
    if portable:
        found = request.getfixturevalue("portable")
    assert isinstance(found, NativeKernels)
    return Kind(found, maps)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    off = (found.double() - expected.double()).abs().max()
    assert off <= tolerance * expected.double().abs().max(), off


def assert_alike(found: Tensor, expected: Tensor, activation: int, rounding: float) -> None:
    """As a whole: where a slope jumps, a rounded number may lie on the other side."""
    jumps = ACTIVATIONS[activation] in (nn.ReLU, nn.ReLU6, nn.Hardswish)
    off = (found.double() - expected.double()).norm() / expected.double().norm()
    assert off <= (10 if jumps else 3) * rounding, off


@dataclass(frozen=True)
class Case:
    """What an expansion and the depthwise convolution behind it are given."""

    images: int = 3
    size: tuple[int, int] = (11, 9)
    depth: int = 8
    channels: int = 48
    kernel: int = 3
    stride: int = 1
    same: bool = False
    activation: int = ACTIVATIONS.index(nn.SiLU)

    @property
    def x(self) -> Tensor:
        """Far from zero on the whole, as maps behind a residual sum are."""
        return random(self.images, *self.size, self.depth, seed=0) + 1.5

    @property
    def weight(self) -> Tensor:
        return random(self.channels, self.depth, 1, 1, seed=1) / 3

    @property
    def by(self) -> Filter:
        shape = self.channels, 1, self.kernel, self.kernel
        return Filter(random(*shape, seed=2) / self.kernel, self.stride, self.same)


CASES = [
    Case(),
    Case(activation=ACTIVATIONS.index(nn.ReLU6), kernel=5, stride=2, same=True, size=(13, 13)),
    Case(activation=0, channels=50, depth=7, stride=2),
    Case(activation=ACTIVATIONS.index(nn.Hardswish), channels=200, depth=33, size=(98, 90)),
    Case(images=40, size=(4, 4), channels=240, depth=40, kernel=5),
    Case(images=1, size=(112, 112), channels=96, depth=16, stride=2, same=True),
]


def exact_step(case: Case, x: Tensor, weight: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """By torch in float64: what comes out, and what its gradient becomes."""
    x, weight, filters = (t.double().requires_grad_() for t in (x, weight, case.by.weight))
    norm = norm_of(case.channels).double()
    y = norm(torch.conv2d(x.permute(0, 3, 1, 2), weight))
    y = ACTIVATIONS[case.activation]()(y) if case.activation else y
    padding = case.kernel // 2
    if case.same:
        y, padding = SamePad(case.kernel, case.stride)(y), 0
    z = torch.conv2d(y, filters, None, case.stride, padding, 1, case.channels).permute(0, 2, 3, 1)
    inputs = [x, weight, filters, norm.weight, norm.bias]
    found = torch.autograd.grad(z, inputs, gradient.double())
    names = ["x", "weight", "filters", "scale", "shift"]
    return {**dict(zip(names, found, strict=True)), "z": z.detach(),
            "running_mean": norm.running_mean, "running_var": norm.running_var}  # fmt: skip


def norm_of(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.weight.data.copy_(random(channels, seed=5).abs() + 0.5)
    norm.bias.data.copy_(random(channels, seed=6) / 2)
    return norm


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_expansion_that_nobody_stores_is_that_of_exact_arithmetic(
    case: Case, threads: int, kind: Kind, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(threads)
    panels, norm, after = kind.panels, norm_of(case.channels), norm_of(case.channels)
    x, weight, rounding = case.x.to(kind.maps), kind.weight(case.weight), kind.rounding
    with torch.no_grad():
        wide = panels.widen(x, weight, norm, case.activation)
        z, statistics = panels.depthwise(wide, case.by, after)
        gradient = (random(*z.shape, seed=3) + 0.2).to(kind.maps)
        added = random(*x.shape, seed=4).to(kind.maps)
        one, zero = torch.ones(case.channels), torch.zeros(case.channels)
        given = NormGradient(gradient, torch.stack((one, zero, zero)), one, zero)
        of_x, of = panels.depthwise_backward(given, z, wide, case.by, added=added)
        alone, same = panels.depthwise_backward(given, z, wide, case.by, wants_input=False)
    exact = exact_step(case, x, weight, gradient)
    assert_near(z, exact["z"], 2 * rounding)
    assert_near(statistics, kind.kernels.measure(z, norm_of(case.channels)), rounding)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert_near(norm.running_mean, exact["running_mean"], 1e-5)
    assert_near(norm.running_var, exact["running_var"], 1e-5)
    assert of_x is not None
    assert_alike(of_x.double() - added, exact["x"], case.activation, rounding)
    for name, found in of._asdict().items():
        assert_alike(found, exact[name.removeprefix("of_")], case.activation, rounding)
    assert alone is None
    assert all(torch.equal(one, other) for one, other in zip(of, same, strict=True))


@pytest.mark.parametrize("activation", range(1, len(ACTIVATIONS)))
@pytest.mark.parametrize(
    ("images", "pixels", "channels", "squeezed", "columns"),
    [(3, 70, 27, 5, 12), (8, 9, 64, 4, 24), (1, 1, 130, 9, 16), (2, 5000, 96, 4, 8)],
)
def test_squeeze_and_excitation_with_its_projection_is_that_of_exact_arithmetic(
    images: int, pixels: int, channels: int, squeezed: int, columns: int, activation: int,
    kind: Kind,
) -> None:  # fmt: skip
    module = SqueezeExcite(channels, squeezed, act="relu")
    for number, parameter in enumerate(module.parameters()):
        parameter.data.copy_(random(*parameter.shape, seed=number))
    excite, panels = Excite(module, activation, kind.kernels), kind.panels
    weight, rounding = kind.weight(random(columns, channels, 1, 1, seed=7) / 8), kind.rounding
    before, after = norm_of(channels), nn.BatchNorm2d(columns)
    z = random(images, pixels, 1, channels, seed=8).to(kind.maps)
    gradient = (random(images, pixels, 1, columns, seed=9) + 0.5).to(kind.maps)
    one, zero = torch.ones(columns), torch.zeros(columns)
    given = NormGradient(gradient, torch.stack((one, zero, zero)), one, zero)
    found: dict[Tensor, Tensor] = {}
    with torch.no_grad():
        normed = Normed(z, kind.kernels.measure(z, before), activation)
        (result, statistics), excited = panels.project_excited(normed, excite, weight, after)
        of_z = panels.project_excited_backward(
            given, result, normed, excited, excite, weight, found
        )
        of_map = kind.kernels.combine(of_z, z, torch.empty_like(z))
        assert_near(statistics, kind.kernels.measure(result, nn.BatchNorm2d(columns)), rounding)

    act = ACTIVATIONS[activation]()
    exact_z, exact_weight = z.double().requires_grad_(), weight.double().requires_grad_()
    exact_norm, exact_module = norm_of(channels).double(), copy.deepcopy(module).double()
    # With the statistics as they are: a norm of a single pixel has no gradient worth a comparison.
    mean, inverse = (part.double() for part in normed.statistics[:2])
    if images * pixels > 1:
        y = act(exact_norm(exact_z.permute(0, 3, 1, 2)))
    else:
        centred = (exact_z - mean) * inverse
        y = act(centred * exact_norm.weight + exact_norm.bias).permute(0, 3, 1, 2)
    pooled = y.mean(dim=(2, 3), keepdim=True)
    gate = exact_module.expand(act(exact_module.reduce(pooled))).sigmoid()
    exact = torch.conv2d(y * gate, exact_weight).permute(0, 2, 3, 1)
    assert_near(result, exact.detach(), 3 * rounding)
    assert_near(excited.gate, gate.detach().flatten(1), kind.rough)
    exact.backward(gradient.double())
    for parameter, other in zip(module.parameters(), exact_module.parameters(), strict=True):
        assert other.grad is not None
        assert_alike(found[parameter], other.grad, activation, rounding)
    assert exact_weight.grad is not None
    assert_alike(found[weight], exact_weight.grad, activation, rounding)
    assert exact_norm.bias.grad is not None
    assert_alike(of_z.of_shift, exact_norm.bias.grad, activation, rounding)
    if images * pixels > 1:
        assert exact_z.grad is not None
        assert_alike(of_map, exact_z.grad, activation, rounding)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize(("channels", "columns"), [(24, 8), (27, 16), (200, 40), (16, 33)])
@torch.no_grad()
def test_a_product_of_a_map_that_nobody_stored_is_that_of_the_stored_one(
    channels: int, columns: int, activation: int, gated: bool, kind: Kind
) -> None:
    z = random(3, 11, 7, channels, seed=0).to(kind.maps)
    statistics = random(4, channels, seed=1)
    weight = kind.weight(random(columns, channels, 1, 1, seed=2))
    gate = random(3, channels, seed=3).sigmoid() if gated else None
    hidden = Normed(z, statistics, activation)
    stored = kind.kernels.apply(hidden)
    if gate is not None:
        stored = kind.kernels.reweight(stored, gate)
    found, _ = kind.panels.project(hidden, gate, weight, None)
    exact = stored.double() @ weight.flatten(1).double().t()
    # What is stored is rounded before it is multiplied by a gate, and after.
    assert_near(found, exact, (2 if gated else 1) * kind.rounding)
