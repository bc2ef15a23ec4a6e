"""Shared weights: every design of a space is a slice of them, and which one."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autoscale.design.architecture import Architecture
from autoscale.design.space import SearchSpace
from autoscale.jobs.search.spaces import load_space, space_names
from autoscale.network.build import build
from autoscale.network.shared.weights import SharedWeights, Slices, slice_of
from autoscale.training.nested.inner import Inner
from tests.strategies import designs_in_spaces

#: Spaces whose networks answer two images in some milliseconds.
SMALL = [name for name in space_names() if name != "mnasnet"]


def sliced_by_name(weights: SharedWeights, design: Architecture) -> dict[str, Tensor]:
    """A state for `build(design)`: its slices by the rule that the documentation tells, apart from
    the code that trains them."""
    names = Slices(weights.space).names(design)
    state = build(design).state_dict()
    for name, own in state.items():
        if name in names:
            held = weights.get_parameter(names[name]).detach()
            for axis, size in enumerate(own.shape):
                kernel = own.ndim == 4 and axis > 1
                start = (held.shape[axis] - size) // 2 if kernel else 0
                held = held.narrow(axis, start, size)
            state[name] = held
    return state


def inside(weights: SharedWeights, design: Architecture) -> Inner:
    slices = Slices(weights.space)
    names = slices.names(design)
    return Inner(
        slices.network(design),
        weights,
        resolution=design.resolution,
        called=lambda name: names.get(name, name),
        part=slice_of,
    )


def require_slice(weights: SharedWeights, design: Architecture) -> None:
    """The slice computes what a network by itself computes that holds the same numbers."""
    inner = inside(weights, design)
    names = Slices(weights.space).names(design).values()
    assert len(set(names)) == len(names), "two layers of a design would share their weights"
    inner.take()
    alone = build(design)
    alone.load_state_dict(sliced_by_name(weights, design))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, design.channels, *design.image_size, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(inner.network.eval()(x), alone.eval()(x), rtol=0, atol=0)


@settings(max_examples=30)
@given(designs_in_spaces())
def test_every_design_of_a_space_is_a_slice_of_its_shared_weights(
    drawn: tuple[SearchSpace, Architecture],
) -> None:
    space, design = drawn
    torch.manual_seed(0)
    require_slice(SharedWeights(space), design)


@lru_cache
def shared(name: str) -> SharedWeights:
    torch.manual_seed(0)
    return SharedWeights(load_space(name))


@settings(max_examples=12)
@given(st.sampled_from(SMALL), st.randoms(use_true_random=False))
def test_every_design_of_a_shipped_space_is_a_slice(name: str, rng: object) -> None:
    weights = shared(name)
    require_slice(weights, weights.space.sample(rng))  # type: ignore[arg-type]


def space_of(stage: str, more: str = "") -> SearchSpace:
    return SearchSpace.from_yaml(
        f"name: one\nresolution: 8\nstem: {{width: 8, stride: 1}}\nstages:\n  - {stage}\n"
        f"head: {{width: 8}}\nnum_classes: 3\n{more}"
    )


def names_of(space: SearchSpace) -> set[str]:
    return {name for name, _ in SharedWeights(space).named_parameters()}


def test_choices_of_sizes_are_slices_of_one_weight() -> None:
    space = space_of(
        "{block: mbconv, width: [8, 16], depth: [1, 2], kernel: [3, 5], expand_ratio: [2, 4], "
        "se_ratio: [0, 0.25]}"
    )
    shapes = {name: tuple(p.shape) for name, p in SharedWeights(space).named_parameters()}
    assert shapes["stages/0/0/mbconv/depthwise/0/weight"] == (32, 1, 5, 5)
    assert shapes["stages/0/0/mbconv/project/0/weight"] == (16, 32, 1, 1)
    assert shapes["stages/0/1/mbconv/expand/0/weight"] == (64, 16, 1, 1)
    assert {name.split("/")[3] for name in shapes if name.startswith("stages")} == {"mbconv"}
    assert "stages/0/1/mbconv/excite/reduce/weight" in shapes


def test_a_smaller_kernel_is_the_centre_of_the_larger_one() -> None:
    weight = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert slice_of(weight, torch.zeros(1, 1, 3, 3)).tolist() == [
        [[[6.0, 7.0, 8.0], [11.0, 12.0, 13.0], [16.0, 17.0, 18.0]]]
    ]


def test_kinds_of_block_stand_side_by_side() -> None:
    ops = "[{block: identity}, {block: mbconv, expand_ratio: 3, kernel: 3}, {block: mbconv, "
    space = space_of(f"{{op: {ops}expand_ratio: 6, kernel: 5}}], width: 16, stride: 2}}")
    keys = {name.split("/")[3] for name in names_of(space) if name.startswith("stages")}
    assert keys == {"identity", "mbconv-1", "mbconv-2"}


def test_alternatives_that_differ_in_one_number_are_slices() -> None:
    ops = "[{block: mbconv, expand_ratio: 2}, {block: mbconv, expand_ratio: 4}, {block: conv}]"
    space = space_of(f"{{op: {ops}, width: 8}}")
    keys = {name.split("/")[3] for name in names_of(space) if name.startswith("stages")}
    assert keys == {"mbconv", "conv"}


@pytest.mark.parametrize(
    ("stage", "kinds"),
    [
        # Without an expansion the first layer is another one.
        ("{block: mbconv, width: 8, expand_ratio: [1, 2]}", {"mbconv", "mbconv-plain"}),
        # Norms over channels, and groups, see all of a layer.
        (
            "{block: convnext, width: [8, 16], expand_ratio: 4}",
            {"convnext-8x8x1", "convnext-8x16x1"},
        ),
        ("{block: resnext, width: 16, groups: [1, 2]}", {"resnext", "resnext-8x16x2"}),
    ],
)
def test_what_has_no_slice_has_weights_of_its_own(stage: str, kinds: set[str]) -> None:
    names = names_of(space_of(stage))
    assert {name.split("/")[3] for name in names if name.startswith("stages/0/0")} == kinds


def test_activations_and_resolutions_share_all_weights() -> None:
    plain = space_of("{block: mbconv, width: 8, expand_ratio: 2}")
    several = space_of("{block: mbconv, width: 8, expand_ratio: 2}", "activation: [relu6, silu]\n")
    assert names_of(several) == names_of(plain)
    text = "name: one\nresolution: [8, 16]\nstem: {width: 8}\nstages: [{width: 8}]\nnum_classes: 3"
    assert len(names_of(SearchSpace.from_yaml(text))) > 0


def test_the_same_seed_gives_the_same_weights() -> None:
    space = load_space("mbconv-small")
    both = []
    for _ in range(2):
        torch.manual_seed(3)
        both.append(SharedWeights(space).state_dict())
    assert both[0].keys() == both[1].keys()
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


def test_a_last_norm_begins_at_zero_only_where_the_input_is_always_added() -> None:
    always = SharedWeights(space_of("{block: mbconv, width: 8, expand_ratio: 2}"))
    not_always = SharedWeights(space_of("{block: mbconv, width: [8, 16], expand_ratio: 2}"))
    name = "stages/0/0/mbconv/project/1/weight"
    assert not always.get_parameter(name).any()
    assert bool((not_always.get_parameter(name) == 1).all())
