"""When two designs are one network, and the quick reading of points."""

import random
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.network.build import build
from autoscale.search.designs import Designs
from autoscale.search.identity import blocks_of, network_of
from autoscale.search.model.design_facts import FactReader

SPACES = {
    path.stem: SearchSpace.from_yaml(path.read_text())
    for path in (Path(__file__).parents[2] / "search_spaces").glob("*.yaml")
}
SPACES["wide"] = replace(SPACES["mbconv-small"], aspect=Fraction(4, 3))
MACRO = SPACES["nas-bench-macro"]


def network(*stages, width=8):
    return Architecture(
        resolution=16, stem=Stem(width=width), stages=stages, head=Head(), num_classes=3
    )


def outputs(architecture):
    """What the network says, with weights drawn in the order of its parameters."""
    torch.manual_seed(0)
    built = build(architecture).eval()
    for weight in built.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.1)
    with torch.no_grad():
        return built(torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)).numpy()


IDLE = Stage(block="identity", width=8)
CONV = Stage(block="conv", width=8)
ONE = Stage(block="mbconv", width=16, expand_ratio=2, stride=2)

SAME = {
    "an identity may stand anywhere": ((IDLE, CONV, IDLE), (CONV,)),
    "a stage of two is two stages of one": (
        (replace(ONE, depth=2),),
        (ONE, replace(ONE, stride=1)),
    ),
    "a skip that does not fit is none": ((ONE,), (replace(ONE, skip="none"),)),
    "a pool that does not fit is none": ((replace(ONE, skip="pool"),), (ONE,)),
}
DIFFERENT = {
    "an identity with a stride": ((CONV, replace(IDLE, stride=2)), (CONV,)),
    "a skip that fits": ((CONV,), (replace(CONV, skip="none"),)),
    "a pool that fits": ((replace(CONV, stride=2, skip="pool"),), (replace(CONV, stride=2),)),
    "another kernel": ((CONV,), (replace(CONV, kernel=5),)),
}


@pytest.mark.parametrize("name", SAME)
def test_one_network_under_two_names(name):
    one, other = (network(*stages) for stages in SAME[name])
    assert network_of(one) == network_of(other)
    np.testing.assert_array_equal(outputs(one), outputs(other))


@pytest.mark.parametrize("name", DIFFERENT)
def test_two_networks(name):
    one, other = (network(*stages) for stages in DIFFERENT[name])
    assert network_of(one) != network_of(other)
    assert not np.array_equal(outputs(one), outputs(other))


def test_nas_bench_macro_has_3969_networks():
    assert len({network_of(architecture) for architecture in MACRO.enumerate()}) == 3969


def test_points_of_one_network_of_nas_bench_macro_have_one_normal_form():
    reader = FactReader(MACRO)
    normal, identity = {}, {}
    for point in product(range(3), repeat=8):
        reading = reader.read(point)
        assert normal.setdefault(reading.network, reading.normal) == reading.normal
        assert identity.setdefault(reading.network, reading.identity) == reading.identity
    assert len(set(normal.values())) == len(set(identity.values())) == len(normal)


@given(st.sampled_from(sorted(SPACES)), st.integers(0, 10**9))
def test_a_quick_reading_says_what_the_slow_way_says(name, seed):
    space = SPACES[name]
    rng = random.Random(seed)
    point = tuple(rng.randrange(len(p.options)) for p in space.parameters)
    reading = FactReader(space).read(point)
    architecture = space.architecture_at(point)
    assert reading.design == architecture
    assert reading.network == network_of(architecture)
    assert network_of(space.architecture_at(reading.normal)) == network_of(architecture)
    total = cost(architecture)
    expected = [log(v + 1) for v in (total.macs, total.params, total.activations)]
    np.testing.assert_allclose(reading.features, [*expected, len(blocks_of(architecture))])


def test_the_product_of_two_codes_is_the_share_of_equal_choices():
    designs = Designs.of_space(SPACES["tiny"])
    assert designs.axes[0].ordered is False  # two levels have no order to speak of
    points = [(0,) * 6, (0, 0, 0, 0, 1, 1), (1,) * 6]
    agreement = designs.codes(points) @ designs.codes(points).T
    np.testing.assert_allclose(agreement[0], [1, 4 / 6, 0], atol=1e-12)


def test_near_levels_of_ordered_choices_agree_in_part():
    designs = Designs.of_space(SPACES["mnasnet"])
    place = next(i for i, axis in enumerate(designs.axes) if axis.name == "stage2.width")
    start = (0,) * len(designs.axes)
    points = [(*start[:place], level, *start[place + 1 :]) for level in range(3)]
    lost = 1 - (designs.codes(points) @ designs.codes(points).T)[0]
    np.testing.assert_allclose(lost * len(designs.axes), [0, 0.5, 1], atol=1e-9)
