"""What hypothesis draws for the whole suite: designs, spaces and their points, coefficients."""

from __future__ import annotations

import string
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st

from autoscale.aspect import SQUARE
from autoscale.design.architecture import (
    Activation,
    Architecture,
    Block,
    Head,
    Skip,
    Stage,
    Stem,
)
from autoscale.design.blocks import KINDS
from autoscale.design.blocks.layers import NormKind
from autoscale.design.choices import HeadChoices, Op, StageChoices, StemChoices
from autoscale.design.rounding import ROUNDINGS, Coefficients
from autoscale.design.space import SearchSpace

# A law does not become false because the machine is busy.
settings.register_profile("autoscale", deadline=None)
settings.load_profile("autoscale")

BLOCKS: tuple[Block, ...] = get_args(Block)

# Small values, so that every design also builds and runs in milliseconds.
widths = st.integers(4, 24)  # a bottleneck has at least 4
depths = st.integers(1, 3)
strides = st.sampled_from([1, 2])
activations = st.sampled_from(get_args(Activation))
block_fields: dict[str, st.SearchStrategy[Any]] = {
    "kernel": st.sampled_from([1, 3, 5, 7]),
    "expand_ratio": st.integers(1, 4),
    "se_ratio": st.sampled_from([0.0, 0.05, 0.25, 0.5, 1.0]),
    "skip": st.sampled_from(get_args(Skip)),
    "activation": activations,
    "groups": st.sampled_from([1, 2, 4]),
    "start_kernel": st.sampled_from([0, 3, 5]),
}
channels = st.sampled_from([3, 1])
#: As often of a square as not.
aspects = st.just(SQUARE) | st.sampled_from([Fraction(4, 3), Fraction(3, 4), Fraction(5, 2)])
norms: st.SearchStrategy[NormKind] = st.sampled_from(get_args(NormKind))


@st.composite
def _stems(draw: st.DrawFn) -> Stem:
    sizes = [*product((1, 3, 5), (1, 2)), (2, 2), (4, 4)]
    kernel, stride = draw(st.sampled_from(sizes))
    return Stem(
        width=draw(widths),
        kernel=kernel,
        stride=stride,
        activation=draw(st.just("none") | activations),
        pool=draw(st.booleans()),
        norm=draw(norms),
    )


@st.composite
def _heads(draw: st.DrawFn) -> Head:
    hidden = draw(st.sampled_from([0, 0, 12]))
    plain = st.sampled_from(["none", "layer"])
    return Head(
        width=draw(st.integers(0, 32)),
        activation=draw(activations),
        hidden=hidden,
        norm=draw(plain | norms if hidden else plain),
    )


stems, heads = _stems(), _heads()


def _settings_of(block: Block) -> st.SearchStrategy[dict[str, Any]]:
    kind, known = KINDS[block], dict(block_fields)
    if kind.kernel_or_none:
        known["kernel"] = st.sampled_from([0, 1, 3, 5])
    if not kind.whole_ratio:
        known["expand_ratio"] = st.sampled_from([1, 2, 2.5, 3.67])
    return st.fixed_dictionaries({name: known[name] for name in sorted(kind.fields)})


@st.composite
def stages(draw: st.DrawFn, blocks: tuple[Block, ...] = BLOCKS) -> Stage:
    block = draw(st.sampled_from(blocks))
    return Stage(
        block=block,
        width=draw(widths),
        depth=draw(depths),
        stride=draw(strides),
        **draw(_settings_of(block)),
    )


def architectures() -> st.SearchStrategy[Architecture]:
    """Designs of one to four stages over all blocks, for odd and even images from one pixel on."""
    return st.builds(
        Architecture,
        resolution=st.integers(1, 40),
        channels=channels,
        aspect=aspects,
        stem=stems,
        stages=st.lists(stages(), min_size=1, max_size=4).map(tuple),
        head=heads,
        num_classes=st.integers(1, 12),
    )


def _options(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def _complete_ops(draw: st.DrawFn) -> Op:
    """An op that sets every field its block listens to."""
    block = draw(st.sampled_from(BLOCKS))
    return Op(block=block, **draw(_settings_of(block)))


@st.composite
def _stage_choices(draw: st.DrawFn) -> StageChoices:
    common = {"width": draw(_options(widths)), "depth": draw(_options(depths))}
    if draw(st.booleans()):
        ops = draw(st.lists(_complete_ops(), min_size=1, max_size=3, unique_by=str))
        return StageChoices(op=tuple(ops), stride=draw(strides), **common)
    return StageChoices(
        block=draw(_options(st.sampled_from(BLOCKS))),
        kernel=draw(_options(block_fields["kernel"])),
        se_ratio=draw(_options(block_fields["se_ratio"])),
        stride=draw(strides),
        **common,
    )


def spaces(largest: int = 100) -> st.SearchStrategy[SearchSpace]:
    """Spaces of one or two stages and at most `largest` points, by fields and by ops; some choose
    the activation for all parts at once."""
    return st.builds(_activated, _spaces(), st.just(()) | _options(activations)).filter(
        lambda space: space.size <= largest
    )


def _activated(space: SearchSpace, activation: tuple[Activation, ...]) -> SearchSpace:
    """The space with these activations for all parts, unless an op chooses its own."""
    own = any(op.activation is not None for stage in space.stages for op in stage.op)
    return space if own else replace(space, activation=activation)


def _spaces() -> st.SearchStrategy[SearchSpace]:
    return st.builds(
        SearchSpace,
        name=st.text(string.ascii_lowercase, min_size=1, max_size=8),
        resolution=_options(st.integers(4, 40)),
        channels=channels,
        aspect=aspects,
        stem=st.builds(StemChoices, width=_options(widths), stride=strides, pool=st.booleans()),
        stages=st.lists(_stage_choices(), min_size=1, max_size=2).map(tuple),
        head=st.builds(HeadChoices, width=_options(st.integers(0, 32))),
        num_classes=st.integers(1, 12),
    )


def points(space: SearchSpace) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, len(p.options) - 1) for p in space.parameters))


@st.composite
def designs_in_spaces(draw: st.DrawFn) -> tuple[SearchSpace, Architecture]:
    """A space and the architecture of one of its points."""
    space = draw(spaces())
    return space, space.architecture_at(draw(points(space)))


multipliers = st.floats(1, 4)
coefficients = st.builds(
    Coefficients, alpha=st.floats(1, 2), beta=st.floats(1, 1.6), gamma=st.floats(1, 1.6)
)
roundings = st.sampled_from(list(ROUNDINGS.values()))
