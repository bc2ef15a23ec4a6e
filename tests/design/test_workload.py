"""The work of a design, worked out from it and read off what torch runs."""

import random
from dataclasses import replace
from fractions import Fraction
from typing import get_args

import pytest

from autoscale.aspect import SQUARE
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
from autoscale.design.published import published
from autoscale.design.walk import Place, places_of
from autoscale.design.workload import work_at, workload
from autoscale.jobs.search.spaces import load_space
from tests.design.traced_operations import operations


@pytest.mark.parametrize("space", ["tiny", "mbconv-small", "mnasnet", "nas-bench-macro"])
def test_designs_of_a_space_run_what_torch_runs(space: str) -> None:
    rng = random.Random(0)
    for _ in range(4):
        design = load_space(space).sample(rng)
        assert workload(design) == operations(design)


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "efficientnetv2-b0", "resnet-50", "mobilenet-v1", "mobilenet-v2"]
)
def test_published_networks_run_what_torch_runs(name: str) -> None:
    assert workload(published(name)) == operations(published(name))


@pytest.mark.parametrize("block", get_args(Block))
@pytest.mark.parametrize("skip", get_args(Skip))
def test_every_block_runs_what_torch_runs(block: Block, skip: Skip) -> None:
    rng = random.Random(f"{block}/{skip}")
    settings = {
        "kernel": 5,
        "expand_ratio": 3,
        "se_ratio": 0.25,
        "skip": skip,
        "activation": rng.choice(get_args(Activation)),
        "groups": 4,
        "start_kernel": 3,
    }
    heard = {name: value for name, value in settings.items() if name in BLOCK_FIELDS[block]}
    for resolution, stride, width in ((17, 1, 16), (9, 2, 16), (4, 2, 24), (2, 2, 16), (1, 2, 16)):
        aspect = rng.choice([SQUARE, Fraction(4, 3), Fraction(3, 4), Fraction(3)])
        stage = Stage(block=block, width=width, depth=2, stride=stride, **heard)
        design = Architecture(
            resolution=resolution,
            aspect=aspect,
            stem=Stem(width=16, stride=1, activation="relu6"),
            stages=(stage, stage),
            head=Head(width=0),
            num_classes=3,
        )
        assert workload(design) == operations(design)
        with_pool = replace(design, stem=Stem(width=16, pool=True), head=Head(width=32))
        assert workload(with_pool) == operations(with_pool)


@pytest.mark.parametrize("resolution", [32, 33])
@pytest.mark.parametrize(
    ("stem", "head"),
    [
        (Stem(width=8, kernel=4, stride=4, norm="layer", activation="none"), Head(norm="layer")),
        (Stem(width=8, kernel=2, stride=2, activation="gelu"), Head(width=16, hidden=24)),
        (Stem(width=8, norm="layer"), Head(hidden=24, norm="batch", activation="hswish")),
    ],
    ids=["ConvNeXt", "MobileNetV3", "MobileNetV4"],
)
def test_every_kind_of_stem_and_head_runs_what_torch_runs(
    stem: Stem, head: Head, resolution: int
) -> None:
    design = Architecture(
        resolution=resolution, stem=stem, stages=(Stage(width=8),), head=head, num_classes=3
    )
    wide = replace(design, aspect=Fraction(4, 3))
    assert workload(design) == operations(design)
    assert workload(wide) == operations(wide)


def test_the_parts_of_a_design_add_up_to_it() -> None:
    design = published("efficientnet-b0")
    places = places_of(design)
    assert len(places) == len(design.stages) + 2
    assert places[1] == Place(design.stages[0], 32, 112, 16)
    whole = workload(design)
    assert whole == {f: sum(work_at(place).get(f, 0) for place in places) for f in whole}
