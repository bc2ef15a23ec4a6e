"""Weights under timm's names: the names and shapes are written down here a second time, from timm's
own block strings and rules, since timm itself is not a dependency."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.errors import InvalidSetting
from autoscale.network.blocks import SamePad
from autoscale.network.build import build
from autoscale.network.weights import STYLES, has_timm_names, load_weights, timm_names, to_timm

# timm/models/efficientnet.py, _gen_efficientnet
B0_STAGES = (
    "ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k3_s2_e6_c24_se0.25", "ir_r2_k5_s2_e6_c40_se0.25",
    "ir_r3_k3_s2_e6_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25", "ir_r4_k5_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c320_se0.25",
)  # fmt: skip
# (channel multiplier, depth multiplier), ibidem
MULTIPLIERS = {
    "b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8),
    "b5": (1.6, 2.2), "b6": (1.8, 2.6), "b7": (2.0, 3.1), "b8": (2.2, 3.6),
}  # fmt: skip


def timm_shapes(model: str, *, num_classes: int = 1000) -> dict[str, tuple[int, ...]]:
    """Every name of timm's state dict with its shape."""
    width, depth = MULTIPLIERS[model]
    shapes: dict[str, tuple[int, ...]] = {}

    def channels(count: int) -> int:
        rounded = max(8, int(count * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * count * width else rounded

    def norm(name: str, count: int) -> None:
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{leaf}"] = (count,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def squeeze(name: str, hidden: int, reduced: int) -> None:
        shapes[f"{name}.conv_reduce.weight"] = (reduced, hidden, 1, 1)
        shapes[f"{name}.conv_reduce.bias"] = (reduced,)
        shapes[f"{name}.conv_expand.weight"] = (hidden, reduced, 1, 1)
        shapes[f"{name}.conv_expand.bias"] = (hidden,)

    before = channels(32)
    shapes["conv_stem.weight"] = (before, 3, 3, 3)
    norm("bn1", before)
    for stage, text in enumerate(B0_STAGES):
        found = re.fullmatch(r"(ds|ir)_r(\d)_k(\d)_s\d_e(\d)_c(\d+)_se0.25", text)
        assert found is not None
        kind, repeats, kernel, ratio, count = found[1], *map(int, found.groups()[1:])
        out = channels(count)
        for block in range(math.ceil(repeats * depth)):
            name = f"blocks.{stage}.{block}"
            hidden = before * ratio
            if kind == "ir":
                shapes[f"{name}.conv_pw.weight"] = (hidden, before, 1, 1)
                norm(f"{name}.bn1", hidden)
            shapes[f"{name}.conv_dw.weight"] = (hidden, 1, kernel, kernel)
            norm(f"{name}.bn2" if kind == "ir" else f"{name}.bn1", hidden)
            squeeze(f"{name}.se", hidden, round(before * 0.25))
            last = ("conv_pwl", "bn3") if kind == "ir" else ("conv_pw", "bn2")
            shapes[f"{name}.{last[0]}.weight"] = (out, hidden, 1, 1)
            norm(f"{name}.{last[1]}", out)
            before = out
    features = channels(1280)
    shapes["conv_head.weight"] = (features, before, 1, 1)
    norm("bn2", features)
    shapes["classifier.weight"] = (num_classes, features)
    shapes["classifier.bias"] = (num_classes,)
    return shapes


def timm_state(model: str, **options: Any) -> dict[str, Tensor]:
    """A checkpoint as timm would write it, with random numbers."""
    generator = torch.Generator().manual_seed(0)

    def numbers(shape: tuple[int, ...]) -> Tensor:
        if len(shape) == 4:  # of a size that keeps the logits finite
            return torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
        return torch.rand(shape, generator=generator) + 0.5 if shape else torch.tensor(7)

    return {name: numbers(shape) for name, shape in timm_shapes(model, **options).items()}


def small(**changes: Any) -> Architecture:
    return replace(published("efficientnet-b0"), resolution=32, **changes)


def test_timms_b0_has_360_entries_and_5_288_548_parameters() -> None:
    shapes = timm_shapes("b0")
    assert len(shapes) == 360
    learned = {n: s for n, s in shapes.items() if not re.search("running|tracked", n)}
    assert sum(math.prod(shape) for shape in learned.values()) == 5_288_548


@pytest.mark.parametrize("model", MULTIPLIERS)
def test_names_and_shapes_are_timms_and_in_its_order(model: str) -> None:
    with torch.device("meta"):
        state = build(published(f"efficientnet-{model}")).state_dict()
    found = {name: tuple(value.shape) for name, value in to_timm(state).items()}
    assert found == timm_shapes(model)


@pytest.mark.parametrize("model", ["b0", "b4"])
@pytest.mark.parametrize("style", ["timm", "tf"])
def test_timms_weights_load_whole_and_come_back_as_they_were(model: str, style: str) -> None:
    theirs = timm_state(model)
    assert has_timm_names(theirs)
    network = build(published(f"efficientnet-{model}"), **STYLES[style].options)
    assert load_weights(network, theirs) == []
    back = to_timm(network.state_dict())
    assert list(back) == list(theirs)
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_the_styles_differ_in_padding_and_epsilon_and_so_in_logits() -> None:
    theirs = timm_state("b0")
    logits = {}
    for name, style in STYLES.items():
        network = build(small(), **style.options).eval()
        load_weights(network, theirs)
        with torch.no_grad():
            logits[name] = network(torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32))
        eps = {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
        assert eps == {style.norm_eps}
        same = [m for m in network.modules() if isinstance(m, SamePad)]
        assert len(same) == (5 if name == "tf" else 0)  # the stem and four stages
    assert all(found.isfinite().all() for found in logits.values())
    assert not torch.allclose(logits["tf"], logits["autoscale"], rtol=1e-3)  # padding
    assert not torch.allclose(logits["timm"], logits["autoscale"], rtol=1e-4)  # epsilon


def test_weights_of_half_precision_and_without_counters_load() -> None:
    theirs = {n: v.half() for n, v in timm_state("b0").items() if not n.endswith("tracked")}
    network = build(small())
    assert load_weights(network, theirs) == []
    stem = network.state_dict()["stem.0.weight"]
    assert stem.dtype == torch.float32
    assert torch.equal(stem, theirs["conv_stem.weight"].float())


def test_our_own_names_load_as_they_are() -> None:
    torch.manual_seed(0)
    one, other = build(small()), build(small())
    assert load_weights(other, one.state_dict()) == []
    assert all(torch.equal(v, one.state_dict()[n]) for n, v in other.state_dict().items())


def test_another_number_of_classes_gets_a_new_classifier_and_that_is_said() -> None:
    network = build(small(num_classes=3))
    before = network.head.classifier.weight.clone()
    (note,) = load_weights(network, timm_state("b0"))
    assert note.startswith("the weights know 1,000 classes and the network 3;")
    assert torch.equal(network.head.classifier.weight, before)
    assert torch.equal(network.state_dict()["stem.0.weight"], timm_state("b0")["conv_stem.weight"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("bn2.weight"), "missing head.conv.1.weight; left over nothing"),
        (lambda s: s.update({"extra.weight": s["bn1.bias"]}), "left over extra.weight"),
        (
            lambda s: s.update({"conv_stem.weight": torch.zeros(32, 3, 5, 5)}),
            r"stem.0.weight is \(32, 3, 5, 5\) there and \(32, 3, 3, 3\) here",
        ),
        (
            lambda s: s.update({"classifier.weight": torch.zeros(1000, 7)}),
            r"head.classifier.weight is \(1000, 7\) there",
        ),
        (
            lambda s: s.update({"bn1.running_var": torch.full((32,), 1e5).half()}),
            "stem.1.running_var holds NaN or infinity",
        ),
        (
            lambda s: s.update({"bn1.bias": s["bn1.bias"].double() + 1e300}),
            "stem.1.bias holds NaN or infinity",  # in our precision
        ),
        (lambda s: s.update({"bn1.bias": s["bn1.bias"].to("meta")}), "without its numbers"),
        (lambda s: s.update({"bn1.bias": s["bn1.bias"].to_sparse()}), "or sparse"),
    ],
)
def test_another_networks_weights_are_refused_and_change_nothing(spoil: Any, message: str) -> None:
    theirs = timm_state("b0")
    spoil(theirs)
    network = build(small())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InvalidSetting, match=message):
        load_weights(network, theirs)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_blocks_that_timm_has_in_other_families_are_named_as_there() -> None:
    with torch.device("meta"):
        names = timm_names(build(published("efficientnetv2-s")).state_dict())
    assert names["stages.0.0.branch.expand.0.weight"] == "blocks.0.0.conv.weight"
    assert names["stages.1.0.expand.0.weight"] == "blocks.1.0.conv_exp.weight"
    assert names["stages.1.0.project.1.bias"] == "blocks.1.0.bn2.bias"
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize("name", ["resnet-18", "mobilenet-v1"])
def test_a_network_that_no_efficientnet_of_timms_resembles_is_refused(name: str) -> None:
    with torch.device("meta"):
        network = build(published(name))
    with pytest.raises(InvalidSetting, match="timm's EfficientNet"):
        timm_names(network.state_dict())
