"""What goes on between an inverted bottleneck's maps in bfloat16, against single operations."""

import pytest
import torch
from torch import Tensor

from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.blocks import SqueezeExcite
from autoscale.network.kernels.compiled import NativeKernels, Normed
from autoscale.network.kernels.kernels import ACTIVATIONS
from autoscale.network.kernels.layers import Excite
from autoscale.network.kernels.library import compiler
from autoscale.network.kernels.panels import Panels
from autoscale.network.kernels.precision import multiplies_bfloat16

pytestmark = pytest.mark.skipif(
    compiler() is None or not multiplies_bfloat16(),
    reason="there is no C++ compiler here, or the processor does not multiply bfloat16",
)

#: Of the largest number: the sigmoid of bfloat16 kernels is 1e-4 off, a map 2^-8.
ROUGH, ROUNDING = 3e-4, 2.0**-8


def narrow() -> NativeKernels:
    kernels = load_kernels(BFLOAT16_KERNELS)
    assert isinstance(kernels, NativeKernels)
    return kernels


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    off = (found.double() - expected.double()).abs().max()
    assert off <= tolerance * expected.double().abs().max(), off


@pytest.mark.parametrize("activation", range(1, len(ACTIVATIONS)))
@pytest.mark.parametrize(("images", "channels", "squeezed"), [(3, 27, 5), (8, 64, 4), (1, 130, 9)])
@torch.no_grad()
def test_the_two_small_layers_are_those_of_torch(
    images: int, channels: int, squeezed: int, activation: int
) -> None:
    module = SqueezeExcite(channels, squeezed, act="relu")
    for number, parameter in enumerate(module.parameters()):
        parameter.copy_(random(*parameter.shape, seed=number))
    excite, panels = Excite(module, activation, narrow()), Panels(narrow().products)
    pooled, of_gate = random(images, channels, seed=7), random(images, channels, seed=8)
    tape: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    gate = excite.gate(pooled, tape)
    expected: dict[Tensor, Tensor] = {}
    of_pooled = excite.gate_backward(of_gate * (1 - gate), tape[0], expected)
    kept = panels.excite(pooled, excite)
    found: dict[Tensor, Tensor] = {}
    assert_near(panels.excite_backward(of_gate.clone(), kept, excite, found), of_pooled, ROUGH)
    for one, other in zip(kept, tape[0], strict=True):
        assert_near(one, other, ROUGH)
    for parameter in module.parameters():
        assert_near(found[parameter], expected[parameter], ROUGH)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize(("channels", "columns"), [(24, 8), (27, 16), (200, 40), (16, 33)])
@torch.no_grad()
def test_a_product_of_a_map_that_nobody_stored_is_that_of_the_stored_one(
    channels: int, columns: int, activation: int, gated: bool
) -> None:
    kernels = narrow()
    z = random(3, 11, 7, channels, seed=0).bfloat16()
    statistics = random(4, channels, seed=1)
    weight = random(columns, channels, 1, 1, seed=2)
    gate = random(3, channels, seed=3).sigmoid() if gated else None
    hidden = Normed(z, statistics, activation)
    stored = kernels.apply(hidden)
    if gate is not None:
        stored = kernels.apply_gated(hidden, gate, torch.empty_like(z))
    found, _ = Panels(kernels.products).project(hidden, gate, weight, None)
    exact = stored.double() @ weight.flatten(1).bfloat16().double().t()
    assert_near(found, exact, ROUNDING)
