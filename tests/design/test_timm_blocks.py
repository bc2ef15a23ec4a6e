"""timm's notation: the published strings, and a reason for every design that has none."""

from dataclasses import replace
from typing import Any

import pytest

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.published import NETWORKS, published
from autoscale.design.timm_blocks import timm_definition
from autoscale.errors import InvalidArchitecture

B0 = published("efficientnet-b0")


def with_stage(**fields: Any) -> Architecture:
    return replace(B0, stages=(Stage(**{"width": 32, "activation": "silu", **fields}),))


def test_b0_is_written_as_timm_writes_it() -> None:
    found = timm_definition(B0)
    # timm/models/efficientnet.py, _gen_efficientnet
    assert found.blocks == (
        "ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k3_s2_e6_c24_se0.25", "ir_r2_k5_s2_e6_c40_se0.25",
        "ir_r3_k3_s2_e6_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25", "ir_r4_k5_s2_e6_c192_se0.25",
        "ir_r1_k3_s1_e6_c320_se0.25",
    )  # fmt: skip
    assert (found.stem_size, found.num_features, found.output_stride) == (32, 1280, 32)


def test_efficientnetv2_s_is_written_as_timm_writes_it() -> None:
    # timm/models/efficientnet.py, _gen_efficientnetv2_s
    assert timm_definition(published("efficientnetv2-s")).blocks == (
        "cn_r2_k3_s1_c24_skip", "er_r4_k3_s2_e4_c48", "er_r4_k3_s2_e4_c64",
        "ir_r6_k3_s2_e4_c128_se0.25", "ir_r9_k3_s1_e6_c160_se0.25", "ir_r15_k3_s2_e6_c256_se0.25",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"expand_ratio": 3, "skip": "none"}, "ir_r1_k3_s1_e3_c32_noskip"),
        ({"expand_ratio": 3, "activation": "relu"}, "ir_r1_k3_s1_e3_c32_nre"),
        ({"expand_ratio": 3, "activation": "hswish", "kernel": 7}, "ir_r1_k7_s1_e3_c32_nhs"),
        ({"block": "separable", "skip": "none", "depth": 2}, "dsa_r2_k3_s1_c32"),
        ({"block": "conv", "skip": "none", "kernel": 5, "stride": 2}, "cn_r1_k5_s2_c32"),
    ],
)
def test_what_a_stage_says_is_in_its_string(fields: dict[str, Any], text: str) -> None:
    assert timm_definition(with_stage(**fields)).blocks == (text,)


@pytest.mark.parametrize(
    ("design", "reason"),
    [
        (published("resnet-50"), "its stem is one 3x3 convolution"),
        (replace(B0, head=Head(width=0)), "it has a head convolution"),
        (replace(B0, head=Head(width=64, activation="relu")), "share one activation"),
        (with_stage(block="basic"), "it has no basic blocks"),
        (with_stage(expand_ratio=2, skip="pool"), "no block pools its shortcut"),
        (with_stage(block="separable"), "have no shortcut"),
        (with_stage(block="conv", se_ratio=0.25), "plain convolutions have no squeeze"),
        (
            replace(with_stage(expand_ratio=3), stem=Stem(width=12)),
            "multiples of 8, and 36 is none",
        ),
        (
            replace(with_stage(expand_ratio=4, se_ratio=0.25), stem=Stem(width=30)),
            "it squeezes 30 input channels to 8, this design to 7",
        ),
    ],
)
def test_a_design_that_timm_cannot_be_is_refused_with_the_reason(
    design: Architecture, reason: str
) -> None:
    with pytest.raises(InvalidArchitecture, match=reason):
        timm_definition(design)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "efficientnet" in name])
def test_every_published_efficientnet_has_strings(name: str) -> None:
    assert len(timm_definition(NETWORKS[name]).blocks) == len(NETWORKS[name].stages)
