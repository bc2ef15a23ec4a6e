from __future__ import annotations

import random
from dataclasses import astuple
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from autoscale.design.architecture import (
    BLOCK_FIELDS,
    Activation,
    Architecture,
    Block,
    Head,
    Skip,
    Stage,
    Stem,
)
from autoscale.design.blocks.layers import NormKind
from autoscale.design.cost import CONVENTIONS, Cost, cost, part_costs
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.measuring.second_count import fvcore_count
from autoscale.network.measuring.trace import (
    FREE,
    OPERATIONS,
    traced_cost,
    traced_part_costs,
)

BLOCKS: tuple[Block, ...] = get_args(Block)


def random_design(rng: random.Random) -> Architecture:
    """One to three stages over all blocks, for images of 1 to 40 pixels, odd ones included."""
    fields: dict[str, tuple[Any, ...]] = {
        "kernel": (1, 3, 5, 7),
        "expand_ratio": (1, 2, 3, 6),
        "se_ratio": (0.0, 0.05, 0.25, 1.0),
        "skip": get_args(Skip),
        "activation": get_args(Activation),
        "groups": (1, 2, 4),
        "start_kernel": (0, 3, 5),
    }
    stages = []
    for _ in range(rng.randint(1, 3)):
        block = rng.choice(BLOCKS)
        stages.append(
            Stage(
                block=block,
                width=rng.choice((4, 7, 8, 12)),  # few, so that skips are not rare
                depth=rng.randint(1, 3),
                stride=rng.choice((1, 2)),
                **{name: rng.choice(fields[name]) for name in sorted(BLOCK_FIELDS[block])},
            )
        )
    kernel, stride = rng.choice(((1, 1), (3, 1), (5, 1), (1, 2), (3, 2), (5, 2), (2, 2), (4, 4)))
    hidden = rng.choice((0, 0, 12))
    return Architecture(
        resolution=rng.randint(1, 40),
        stem=Stem(
            width=rng.choice((4, 8)),
            kernel=kernel,
            stride=stride,
            pool=rng.random() < 0.3,
            norm=rng.choice(get_args(NormKind)),
        ),
        stages=tuple(stages),
        head=Head(
            width=rng.choice((0, 16)),
            hidden=hidden,
            norm=rng.choice(("none", "layer", "batch") if hidden else ("none", "layer")),
        ),
        num_classes=rng.randint(1, 12),
    )


def designs(count: int, seed: int) -> list[Architecture]:
    rng = random.Random(seed)
    return [random_design(rng) for _ in range(count)]


def on_meta(design: Architecture) -> nn.Module:
    with torch.device("meta"):
        return build(design)


# Agreement: closed form, trace, and fvcore


@pytest.mark.parametrize(
    "count",
    [150, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
    ids=lambda count: f"{count} designs",
)
def test_the_closed_form_is_what_a_trace_counts_in_every_field(count: int) -> None:
    # Multiply-adds, parameters of the built module, outputs of convolutions and classifier, bias
    # additions, inputs of norms and global pooling, and the most numbers alive at once.
    drawn = designs(count, seed=3)
    assert {stage.block for design in drawn for stage in design.stages} == set(BLOCKS)
    for design in drawn:  # built and run in truth, which is quicker than on the meta device
        traced = traced_cost(build(design), resolution=design.resolution)
        assert astuple(traced) == astuple(cost(design)), design


@pytest.mark.parametrize(
    "count",
    [25, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
    ids=lambda count: f"{count} designs",
)
def test_the_closed_form_is_what_fvcore_counts(count: int) -> None:
    for design in designs(count, seed=4):
        network = build(design)
        counted = fvcore_count(network, resolution=design.resolution)
        expected = cost(design)
        assert counted["conv"] + counted["linear"] == expected.macs, design
        assert counted.total() == CONVENTIONS["fvcore"](expected), design
        assert sum(p.numel() for p in network.parameters()) == expected.params, design


def test_the_peak_of_a_part_is_the_largest_layer_with_what_its_block_keeps() -> None:
    design = Architecture(
        resolution=8,
        stem=Stem(width=4, stride=1),
        stages=(Stage(width=4, expand_ratio=6, se_ratio=0.25),),
        num_classes=2,
    )
    peaks = {name: part.peak for name, part in part_costs(design)}
    assert peaks["stem"] == 3 * 64 + 4 * 64  # image and first map
    assert peaks["stage 1"] == 2 * 24 * 64 + 4 * 64  # depthwise: in, out, and the kept shortcut
    assert peaks["head"] == 4 * 64 + 4  # pooling
    assert cost(design).peak == peaks["stage 1"]


def test_peaks_combine_by_the_largest_and_sums_by_addition() -> None:
    one, other = Cost(macs=1, peak=5), Cost(macs=2, peak=3)
    assert astuple(one + other) == astuple(Cost(macs=3, peak=5))
    assert (one * 3).peak == 5
    assert (one * False).peak == 0


def test_parts_of_a_trace_are_the_children_and_sum_to_the_whole() -> None:
    (design,) = designs(1, seed=8)
    network = on_meta(design)
    parts = traced_part_costs(network, resolution=design.resolution)
    assert [name for name, _ in parts] == ["stem", "stages", "head"]
    total = sum((part for _, part in parts), Cost())
    assert astuple(total) == astuple(cost(design))


# Modules that nobody built from a design


class Attention(nn.Module):
    """Single-head self-attention over pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.project(tokens).chunk(3, dim=-1)
        return torch.softmax(query @ key.transpose(1, 2), dim=-1) @ value


def test_products_of_matrices_are_multiply_adds() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), Attention(8))
    counted = traced_cost(network, resolution=4)
    pixels = 16
    assert counted.macs == pixels * 3 * 8 + pixels * 8 * 24 + 2 * pixels * pixels * 8


def test_an_attention_layer_is_its_four_projections_and_two_products() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(12, 2, 24, batch_first=True)

        def forward(self, image: Tensor) -> Tensor:
            out: Tensor = self.layer(image.reshape(1, -1, 12))  # 16 tokens of 12 numbers
            return out

    before = torch.backends.mha.get_fastpath_enabled()
    assert traced_cost(Tokens(), resolution=8).macs == (
        16 * 12 * 12 * 4 + 2 * 16 * 16 * 12 + 2 * 16 * 12 * 24
    )
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_fused_attention_is_two_products() -> None:
    class Fused(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)[:, None]
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    assert traced_cost(Fused(), resolution=4).macs == 2 * 16 * 16 * 3


def test_groups_dilation_and_transposition_are_counted() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=2, dilation=2, groups=3),
        nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2),
    )
    counted = traced_cost(network, resolution=5)
    assert counted.macs == 25 * 6 * 9 + 25 * 6 * (4 // 2) * 4
    assert counted.activations == 25 * 6 + 100 * 4
    assert counted.bias_adds == counted.activations


class Mix(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


def test_an_unknown_operation_is_named_with_its_module_and_the_way_out() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), Mix()))
    with pytest.raises(InvalidSetting, match=r"aten::cumsum in 1\.1 .*handles=\{\"aten::cumsum\""):
        traced_cost(network, resolution=4)


def test_a_given_cost_replaces_the_unknown_one() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), Mix())

    def handle(inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> int:
        assert inputs == outputs == [(1, 4, 4, 4)]
        return 7

    counted = traced_cost(network, resolution=4, handles={"aten::cumsum": handle})
    assert counted.macs == 16 * 12 + 7


def test_a_custom_operation_of_another_library_is_unknown_too() -> None:
    library = torch.library.Library("counting_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x * 2, "CompositeExplicitAutograd")

    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return torch.ops.counting_test.twice(x)

    with pytest.raises(InvalidSetting, match="counting_test::twice in the network itself"):
        traced_cost(Twice(), resolution=2)


def test_what_is_free_and_what_has_a_cost_do_not_overlap() -> None:
    assert not FREE & OPERATIONS.keys()


def test_a_module_without_parameters_has_none() -> None:
    assert traced_cost(nn.ReLU(), resolution=2) == Cost()
