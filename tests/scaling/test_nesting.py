"""Which designs of a family are parts of its largest, and why others are not."""

from dataclasses import replace

import pytest

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.published import published
from autoscale.design.rounding import Coefficients, rounding_policy
from autoscale.errors import RunConflict
from autoscale.scaling.family import Growths, network_at
from autoscale.scaling.nesting import NestedMember, between, outermost, why_not_nested
from autoscale.scaling.scalable import Design

SMALL = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, expand_ratio=1),
        Stage(width=16, expand_ratio=2, stride=2, depth=2, se_ratio=0.25),
    ),
    head=Head(width=16),
    num_classes=3,
)
BASE = Design(SMALL, rounding_policy("nearest,divisor=2"))
RULE = Growths(Coefficients(alpha=1.3, beta=1.15, gamma=1.15))


def members(*phis: float, base: Design = BASE, rule: Growths = RULE) -> list[NestedMember]:
    designs = {phi: network_at(base, rule, phi) for phi in phis}
    return [
        NestedMember(name=f"phi-{phi:g}", phi=phi, architecture=design)
        for phi, design in designs.items()
        if isinstance(design, Architecture)
    ]


def stages(design: Architecture, number: int, **changes: object) -> Architecture:
    own = list(design.stages)
    own[number] = replace(own[number], **changes)  # type: ignore[arg-type]
    return replace(design, stages=tuple(own))


def test_members_that_grow_in_every_dimension_nest_in_the_largest() -> None:
    family = members(2, 0, 3, 1, -1)
    assert outermost(family).name == "phi-3"
    designs = {member.phi: member.architecture for member in family}
    assert designs[-1].depth < designs[3].depth
    assert designs[-1].stem.width < designs[3].stem.width
    assert designs[-1].resolution < designs[3].resolution


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-lite0", "resnet-18"])
def test_published_families_nest_by_the_papers_rule(name: str) -> None:
    base = Design(published(name), rounding_policy("tf"))
    family = members(0, 1, 2, base=base, rule=Growths(Coefficients(alpha=1.2, beta=1.1, gamma=1.1)))
    assert outermost(family).name == "phi-2"


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        (stages(SMALL, 1, kernel=5), "they differ in more than sizes"),
        (replace(SMALL, stages=SMALL.stages[:1]), "they differ in more than sizes"),
        (stages(SMALL, 1, depth=3), "its stage 2 has a depth of 3, more than 2"),
        (replace(SMALL, head=Head(width=24)), "its head has a width of 24, more than 16"),
        (replace(SMALL, stem=Stem(width=10)), "its stem has a width of 10, more than 8"),
    ],
)
def test_what_keeps_a_design_from_nesting_is_named(inner: Architecture, why: str) -> None:
    assert why_not_nested(SMALL, SMALL) is None
    found = why_not_nested(inner, SMALL)
    assert found is not None
    assert found.startswith(why)


@pytest.mark.parametrize("name", ["convnext-tiny", "resnext-50-32x4d"])
def test_blocks_whose_channels_mix_otherwise_are_named(name: str) -> None:
    design = published(name)
    assert "cannot be sliced by channels" in str(why_not_nested(design, design))


def test_a_block_that_adds_its_input_in_one_design_alone_nests() -> None:
    assert why_not_nested(stages(SMALL, 0, width=6), SMALL) is None
    assert why_not_nested(SMALL, stages(SMALL, 0, width=12)) is None


def test_a_convolution_beside_a_block_that_the_larger_design_lacks_is_named() -> None:
    larger = replace(SMALL, stages=(Stage(block="basic", width=8),))
    smaller = replace(larger, stem=Stem(width=6))
    found = why_not_nested(smaller, larger)
    assert found is not None
    assert found.startswith("block 1 of stage 1 leads its input through a convolution in one of")


def test_every_member_that_does_not_nest_is_named() -> None:
    shrinking = Growths(Coefficients(alpha=1.0, beta=0.8, gamma=1.6))
    with pytest.raises(RunConflict) as refused:
        outermost(members(0, 1, 2, rule=shrinking))
    told = str(refused.value)
    assert "phi-0 does not nest in phi-2: its stem has a width of 8, more than" in told
    assert "phi-1 does not nest in phi-2: " in told
    assert told.endswith("without phi-0 and phi-1, or train the members one by one")


def test_a_family_of_one_is_refused() -> None:
    with pytest.raises(RunConflict, match="has at least 2 members, this one 1"):
        outermost(members(0))


def test_designs_between_members_go_from_the_largest_down_and_nest_in_it() -> None:
    family = members(0, 2)
    found = list(between(BASE, RULE, family))
    assert found[0] == family[1]
    assert found[-1].architecture == family[0].architecture
    assert len({one.architecture for one in found}) == len(found) > 4
    assert [one.phi for one in found[1:-1]] == sorted((o.phi for o in found[1:-1]), reverse=True)
    for one in found:
        assert why_not_nested(one.architecture, family[1].architecture) is None
