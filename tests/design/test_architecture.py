from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import BLOCK_FIELDS, Architecture, Head, Stage, Stem
from autoscale.design.blocks.kind import squeeze_width
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.errors import InvalidArchitecture
from tests.strategies import BLOCKS, architectures, block_fields, stages


def small(**changes: Any) -> Architecture:
    settings: dict[str, Any] = {
        "resolution": 32,
        "stem": Stem(width=8),
        "stages": (Stage(width=8),),
        "num_classes": 10,
    }
    return Architecture(**(settings | changes))


# The value


@given(architectures())
def test_equal_designs_hash_equally(design: Architecture) -> None:
    twin = replace(design)
    assert twin is not design
    assert twin == design
    assert hash(twin) == hash(design)
    assert replace(design, num_classes=design.num_classes + 1) != design


@pytest.mark.parametrize("part", [small(), Stem(width=8), Stage(width=8), Head()], ids=type)
def test_a_design_and_its_parts_cannot_be_changed(part: Any) -> None:
    for field in fields(part):
        with pytest.raises(FrozenInstanceError):
            setattr(part, field.name, 16)


def test_depth_counts_the_blocks_of_all_stages() -> None:
    assert EFFICIENTNET_B0.depth == 16


def test_the_reduction_multiplies_the_strides_of_stem_and_stages() -> None:
    assert EFFICIENTNET_B0.reduction == 32
    assert small(stem=Stem(width=8, stride=1)).reduction == 1
    assert small(stem=Stem(width=8, pool=True)).reduction == 4


def test_without_a_head_the_last_stage_reaches_the_classifier() -> None:
    assert small(stages=(Stage(width=24),)).features == 24
    assert small(stages=(Stage(width=24),), head=Head(width=96)).features == 96


@given(st.integers(1, 999), st.sampled_from([0.05, 0.25, 1.0]))
def test_the_squeeze_is_the_rounded_down_share_of_the_input_and_at_least_one(
    width_in: int, se_ratio: float
) -> None:
    assert squeeze_width(width_in, 0.0) == 0
    squeeze = squeeze_width(width_in, se_ratio)
    assert squeeze >= 1
    assert squeeze in (1, int(width_in * se_ratio))


# What the constructors refuse

NOT_A_COUNT = "must be a whole number of at least"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": 4}, "kernel must be odd, got 4"),
        ({"kernel": 0}, f"kernel {NOT_A_COUNT} 1, got 0"),
        ({"kernel": True}, f"kernel {NOT_A_COUNT} 1, got True"),
        ({"depth": 0}, f"depth {NOT_A_COUNT} 1, got 0"),
        ({"depth": 1.0}, f"depth {NOT_A_COUNT} 1, got 1.0"),
        ({"width": 0}, f"width {NOT_A_COUNT} 1, got 0"),
        ({"width": "8"}, f"width {NOT_A_COUNT} 1, got '8'"),
        ({"expand_ratio": 0}, f"expand_ratio {NOT_A_COUNT} 1, got 0"),
        ({"expand_ratio": 1.5}, f"expand_ratio {NOT_A_COUNT} 1, got 1.5"),
        ({"stride": 3}, "stride must be 1 or 2, got 3"),
        ({"se_ratio": -0.1}, "se_ratio must lie in 0..1, got -0.1"),
        ({"se_ratio": 1.1}, "se_ratio must lie in 0..1, got 1.1"),
        ({"se_ratio": float("nan")}, "se_ratio must lie in 0..1, got nan"),
        ({"se_ratio": None}, "se_ratio must lie in 0..1, got None"),
        ({"skip": "add"}, "skip must be one of identity, pool, none, got 'add'"),
        (
            {"activation": "tanh"},
            "activation must be one of relu, relu6, silu, hswish, gelu, got 'tanh'",
        ),
        ({"block": "mbcon"}, f"block must be one of {', '.join(BLOCKS)}, got 'mbcon'"),
        ({"block": "bottleneck", "width": 3}, "a bottleneck's width must be at least 4, got 3"),
    ],
    ids=str,
)
def test_a_stage_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArchitecture) as refusal:
        Stage(**({"width": 8} | settings))
    assert str(refusal.value) == message


def test_only_some_blocks_leave_out_a_kernel_or_expand_by_a_part_of_a_channel() -> None:
    stage = Stage(block="universal", width=8, kernel=0, start_kernel=3, expand_ratio=2.5)
    assert [layer.name for layer in stage.layout(8, 8, 2).branch] == ["start", "expand", "project"]
    with pytest.raises(InvalidArchitecture, match="expand_ratio must lie in 1"):
        Stage(block="universal", width=8, expand_ratio=0.5)
    with pytest.raises(InvalidArchitecture, match="start_kernel must be odd, got 4"):
        Stage(block="universal", width=8, start_kernel=4)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_refuses_exactly_the_fields_that_it_does_not_listen_to(block: Any) -> None:
    other = {
        "kernel": 5, "expand_ratio": 2, "se_ratio": 0.5, "skip": "pool", "activation": "relu",
        "groups": 2, "start_kernel": 3,
    }  # fmt: skip
    assert other.keys() == block_fields.keys()
    for name, value in other.items():
        settings: Any = {"block": block, "width": 8, name: value}
        if name in BLOCK_FIELDS[block]:
            assert getattr(Stage(**settings), name) == value
        else:
            with pytest.raises(InvalidArchitecture, match=f"^{block} blocks have no {name}; leave"):
                Stage(**settings)


def test_what_few_stems_and_heads_have_is_written_only_where_it_is() -> None:
    assert small().to_dict()["head"].keys() == {"width", "activation"}
    assert "norm" not in small().to_dict()["stem"]
    design = small(stem=Stem(width=8, norm="layer"), head=Head(hidden=12, norm="batch"))
    assert design.to_dict()["stem"]["norm"] == "layer"
    assert (design.to_dict()["head"]["hidden"], design.to_dict()["head"]["norm"]) == (12, "batch")
    assert Architecture.from_dict(design.to_dict()) == design


def test_patches_shrink_with_their_stride_and_become_a_convolution() -> None:
    stem = Stem(width=8, kernel=4, stride=4)
    assert stem.with_stride(2, pool=False) == Stem(width=8, kernel=2, stride=2)
    assert stem.with_stride(1, pool=False) == Stem(width=8, kernel=3, stride=1)
    assert Stem(width=8, kernel=5).with_stride(1, pool=False) == Stem(width=8, kernel=5, stride=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Head(norm="batch"), "a head's batch norm is that of its hidden layer"),
        (lambda: Head(hidden=-1), f"hidden {NOT_A_COUNT} 0, got -1"),
        (lambda: Stem(width=8, norm="none"), "norm must be one of batch, layer"),  # type: ignore[arg-type]
        (lambda: Stem(width=0), f"stem width {NOT_A_COUNT} 1, got 0"),
        (lambda: Stem(width=8, kernel=4), "kernel must be odd, got 4"),
        (lambda: Stem(width=8, stride=4), "stride must be 1 or 2, got 4"),
        (lambda: Stem(width=8, activation="tanh"), "activation must be one of"),  # type: ignore[arg-type]
        (lambda: Head(width=-1), f"head width {NOT_A_COUNT} 0, got -1"),
        (lambda: Head(width=8, activation=""), "activation must be one of"),  # type: ignore[arg-type]
        (lambda: small(resolution=0), f"resolution {NOT_A_COUNT} 1, got 0"),
        (lambda: small(resolution=True), f"resolution {NOT_A_COUNT} 1, got True"),
        (lambda: small(num_classes=0), f"num_classes {NOT_A_COUNT} 1, got 0"),
        (lambda: small(stages=()), "an architecture needs at least one stage"),
        (lambda: small(stages=[Stage(width=8)]), "stages must be a tuple, got "),
    ],
)
def test_the_other_parts_refuse(make: Any, message: str) -> None:
    with pytest.raises(InvalidArchitecture) as refusal:
        make()
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    "make",
    [
        lambda: small(stem=None),
        lambda: small(head=None),
        lambda: small(stages=(8,)),
        lambda: Stem(width=8, pool=3),  # type: ignore[arg-type]
        lambda: Stem(width=8, stride=1.0),  # type: ignore[arg-type]
        lambda: Stage(width=8, stride=True),
        lambda: Stage(width=8, se_ratio=True),
    ],
    ids=["no stem", "no head", "stage 8", "pool 3", "stride 1.0", "stride True", "se_ratio True"],
)
def test_a_part_of_the_wrong_type_is_refused(make: Any) -> None:
    with pytest.raises(InvalidArchitecture):
        make()


# To text and back


@given(architectures())
def test_yaml_and_dictionaries_give_the_design_back(design: Architecture) -> None:
    assert Architecture.from_yaml(design.to_yaml()) == design
    assert Architecture.from_dict(design.to_dict()) == design


@given(stages())
def test_a_written_stage_names_only_what_its_block_listens_to(stage: Stage) -> None:
    (written,) = small(stages=(stage,)).to_dict()["stages"]
    assert written.keys() == {"block", "width", "depth", "stride"} | BLOCK_FIELDS[stage.block]


def test_the_defaults_need_not_be_written() -> None:
    text = "{resolution: 32, stem: {width: 8}, stages: [{width: 8}], num_classes: 10}"
    assert Architecture.from_yaml(text) == small()


def test_a_mistake_in_a_dictionary_names_the_key() -> None:
    with pytest.raises(InvalidArchitecture, match=r"stem\.width: input should be a valid integer"):
        Architecture.from_dict(small().to_dict() | {"stem": {"width": "wide"}})


def test_a_dictionary_may_hold_tuples() -> None:
    data = small().to_dict()
    assert Architecture.from_dict(data | {"stages": tuple(data["stages"])}) == small()
