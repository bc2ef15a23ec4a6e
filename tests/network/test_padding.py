"""TensorFlow's "same" padding: where the odd row and column go, and that nothing else changes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.errors import InvalidSetting
from autoscale.network.blocks import ConvNormAct, SamePad, pad_same
from autoscale.network.build import build
from autoscale.network.fold import fold_norms
from autoscale.network.measuring.trace import traced_cost


def strided(network: nn.Module) -> list[nn.Conv2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]


@given(side=st.integers(1, 20), kernel=st.sampled_from([1, 3, 5, 7]), stride=st.integers(1, 3))
def test_an_output_pixel_is_centred_as_in_tensorflow(side: int, kernel: int, stride: int) -> None:
    """The tap that reads input pixel i is found by its weight; see tf.nn.convolution, "SAME"."""
    conv = nn.Sequential(SamePad(kernel, stride), nn.Conv2d(1, 1, kernel, stride, bias=False))
    nn.init.ones_(conv[1].weight)
    out_side = -(-side // stride)
    before = max((out_side - 1) * stride + kernel - side, 0) // 2
    image = torch.arange(1.0, side * side + 1).reshape(1, 1, side, side)
    with torch.no_grad():
        out = conv(image)
    assert out.shape[-2:] == (out_side, out_side)
    for row in range(out_side):
        for column in range(out_side):
            top, left = row * stride - before, column * stride - before
            window = image[
                ..., max(top, 0) : max(top + kernel, 0), max(left, 0) : max(left + kernel, 0)
            ]
            assert out[0, 0, row, column] == window.sum()


def test_on_even_maps_the_two_paddings_see_shifted_windows() -> None:
    image = torch.randn(1, 3, 8, 8)
    layer = ConvNormAct(3, 2, 3, stride=2).eval()
    symmetric = layer(image)
    pad_same(layer)
    with torch.no_grad():
        weight = layer.get_submodule("0").weight
        shifted = functional.conv2d(functional.pad(image, (0, 1, 0, 1)), weight, stride=2)
        assert torch.allclose(layer(image), layer.get_submodule("1")(shifted), atol=1e-6)
        assert not torch.allclose(layer(image), symmetric, atol=1e-3)


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-b1", "resnet-18"])
def test_padding_changes_neither_names_nor_counts(name: str) -> None:
    design = published(name)
    same = build(design, padding="same").eval()
    plain = build(design).eval()
    assert [type(conv) for conv in strided(same)] == [nn.Conv2d] * len(strided(plain))
    assert sum(isinstance(m, SamePad) for m in same.modules()) == len(strided(plain))
    assert {k: v.shape for k, v in same.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    found = traced_cost(same, resolution=design.resolution, aspect=design.aspect)
    expected = cost(design)
    assert (found.macs, found.params) == (expected.macs, expected.params)


def test_other_tools_find_only_layers_of_torchs_own_types() -> None:
    """Counters and quantisers look for exact types, so that a subclass would be passed over."""
    for name in ("efficientnet-b0", "efficientnetv2-s", "resnet-18"):
        with torch.device("meta"):
            network = build(published(name), padding="same")
        kinds = {
            type(module)
            for module in network.modules()
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
            or "Pool" in type(module).__name__
        }
        pools = {nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d}
        assert kinds - pools == {nn.Conv2d, nn.BatchNorm2d, nn.Linear}


def test_a_padded_network_folds_its_norms() -> None:
    network = build(published("efficientnet-b0"), padding="same").eval()
    folded = fold_norms(network)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(folded(image), network(image), atol=1e-5)


def test_the_same_seed_gives_both_paddings_the_same_weights() -> None:
    torch.manual_seed(0)
    same = build(published("efficientnet-b0"), padding="same").state_dict()
    torch.manual_seed(0)
    plain = build(published("efficientnet-b0")).state_dict()
    differing = [name for name in plain if not torch.equal(same[name], plain[name])]
    assert differing == []


def test_another_padding_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="padding must be one of symmetric, same"):
        build(published("efficientnet-b0"), padding="valid")  # type: ignore[arg-type]
