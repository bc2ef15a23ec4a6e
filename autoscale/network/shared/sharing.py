"""Which blocks of a space's designs may be slices of the same weights.

A space with shared weights holds each part once, as large as any design has it; a design takes the
first channels, the first hidden channels, the first blocks of a stage and the centre of a kernel.
What a slice of would be no network of its kind has weights of its own, side by side with the
others, and is told apart by its *key*. Sources: Guo et al. 2020 (SPOS) for kinds of block side by
side, Yu et al. 2020 (BigNAS) for slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import DEPTHWISE, Conv, Layer, LayerNorm, LayerScale, Layout
from autoscale.design.choices import Op, StageChoices, fits
from autoscale.design.space import SearchSpace
from autoscale.design.walk import head_layers, stem_layers, walk

#: Fields in which alternatives of `op` are slices of each other, if they differ in one of them.
_SLICED = ("expand_ratio", "kernel", "se_ratio", "skip", "start_kernel")


class SharedBlock(NamedTuple):
    """A block that designs of a space may have, and whose weights it takes."""

    stage: int  # number of its stage, from 0
    number: int  # in its stage, from 0
    key: str  # blocks of one place and one key share their weights
    layout: Layout
    width_in: int


class Sharing:
    """What the designs of one space share.

    All activations of a choice are served by the same weights, and so are all resolutions.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._stages = space.variants[0].stages  # activations have no weights
        self._kinds = [_groups(choices) for choices in self._stages]

    def stem_key(self, stem: Stem) -> str:
        """Of a stem's weights: patches and odd kernels have no common centre."""
        layers = stem_layers(stem, stem.width)
        kind = "patches" if layers[0].patches else "conv"  # type: ignore[union-attr]
        return kind + _sizes(layers, stem.width)

    def block_key(self, stage: int, part: Stage, layout: Layout, width_in: int) -> str:
        """Of a block's weights, at its place."""
        group = next((g for op, g in self._kinds[stage].items() if fits(op, part)), "")
        ratio = "expand_ratio" in part.kind.fields and part.expand_ratio == 1
        beside = () if layout.shortcut.layer is None else (layout.shortcut.layer,)
        sizes = _sizes((*layout.entry, *layout.branch, *beside), width_in, part.width, part.groups)
        return f"{part.block}{group}{'-plain' if ratio else ''}{sizes}"

    def head_key(self, head: Head, width_in: int) -> str:
        """Of a head's weights: with and without its layers its classifier sees other features."""
        layers = head_layers(head, head.width or width_in, 1)
        kind = ("conv" if head.width else "bare") + ("-hidden" if head.hidden else "")
        return kind + _sizes(layers, width_in, head.width)

    def blocks_of(self, design: Architecture) -> Iterator[SharedBlock]:
        """The blocks of a design, in order."""
        for place in walk(design):
            part = design.stages[place.stage]
            key = self.block_key(place.stage, part, place.layout, place.width_in)
            yield SharedBlock(place.stage, place.number, key, place.layout, place.width_in)

    @cached_property
    def blocks(self) -> tuple[SharedBlock, ...]:
        """Blocks of which every block of every design is a slice, each once."""
        found: dict[SharedBlock, None] = {}
        widths: set[int] = set(self.space.stem.width)
        for number, choices in enumerate(self._stages):
            parts = {replace(part, depth=1) for part in choices.parts()}
            for block in range(max(choices.depth)):
                stride = 1 if block else choices.stride
                for width_in in sorted(widths):
                    found |= dict.fromkeys(
                        self._largest(number, block, stride, width_in, parts, later=block > 0)
                    )
                widths = set(choices.width)
        return tuple(found)

    def _largest(
        self,
        stage: int,
        block: int,
        stride: int,
        width_in: int,
        parts: set[Stage],
        *,
        later: bool,
    ) -> Iterator[SharedBlock]:
        """Of blocks with one key, input and output the one with the largest of all else."""
        groups: dict[tuple[str, int, str], list[Stage]] = {}
        for part in parts:
            if later and part.width != width_in:
                continue
            layout = part.layout(width_in, part.width, stride)
            key = self.block_key(stage, part, layout, width_in)
            groups.setdefault((key, part.width, part.skip), []).append(part)
        for (key, width, _), alike in sorted(groups.items()):
            most = {
                name: max(getattr(part, name) for part in alike)
                for name in ("kernel", "expand_ratio", "se_ratio", "start_kernel")
            }
            part = replace(alike[0], activation=min(p.activation for p in alike), **most)
            layout = part.layout(width_in, width, stride)
            yield SharedBlock(stage, block, key, layout, width_in)

    @cached_property
    def stems(self) -> tuple[Stem, ...]:
        """Stems of which every stem is a slice."""
        found: dict[tuple[str, int, int], Stem] = {}
        for stem in self.space.variants[0].stem.parts():
            found[self.stem_key(stem), stem.width, stem.kernel] = stem
        return tuple(found[key] for key in sorted(found))

    @cached_property
    def heads(self) -> tuple[tuple[Head, int], ...]:
        """Heads of which every head is a slice, each with the width that it is given."""
        found = {
            (self.head_key(head, width), head.width, head.hidden, width): (head, width)
            for head in self.space.variants[0].head.parts()
            for width in self._stages[-1].width
        }
        return tuple(found[key] for key in sorted(found))


def _groups(choices: StageChoices) -> dict[Op, str]:
    """For each alternative of a stage's `op` which weights of its kind it takes.

    Those that differ in one number are slices of each other; what differs in several stands side by
    side.
    """
    groups: list[list[Op]] = []
    for op in choices.op:
        near = [group for group in groups if any(_are_slices(op, other) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(one for group in near for one in group), op])
    several = {op.block for op in choices.op if sum(g[0].block == op.block for g in groups) > 1}
    return {
        op: f"-{number}" if op.block in several else ""
        for number, group in enumerate(groups)
        for op in group
    }


def _are_slices(one: Op, other: Op) -> bool:
    if one.block != other.block or one.groups != other.groups:
        return False
    return sum(getattr(one, name) != getattr(other, name) for name in _SLICED) <= 1


def _sizes(layers: tuple[Layer, ...], *numbers: int) -> str:
    """Sizes by which weights are told apart, if one of the layers has no first channels."""
    if all(map(_has_first_channels, layers)):
        return ""
    return "-" + "x".join(map(str, numbers))


def _has_first_channels(layer: Layer) -> bool:
    """Whether the first channels of a layer are a layer of its kind: groups and norms over channels
    see all of them together."""
    if isinstance(layer, Conv):
        return layer.groups in (1, DEPTHWISE) and layer.norm != "layer"
    return not isinstance(layer, LayerNorm | LayerScale)
