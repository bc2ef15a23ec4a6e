"""Networks inside a larger one: the first blocks of its stages, the first channels of its layers.

Along a rule of scaling designs differ in sizes alone, so that one set of weights serves them all.
Sources: Yu & Huang 2019 (universally slimmable networks) for channels, Yu et al. 2020 (BigNAS) for
depth and resolution too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autoscale.design.architecture import Architecture
from autoscale.design.blocks.layers import DEPTHWISE, Conv, Layer, LayerNorm, LayerScale, Layout
from autoscale.design.cost import cost
from autoscale.design.walk import head_layers, stem_layers, walk
from autoscale.errors import RunConflict
from autoscale.scaling.family import Growths, network_at
from autoscale.scaling.scalable import Design

#: Sizes that are tried between two members, a step of phi.
_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedMember:
    """A design of a family whose members share their weights."""

    name: str
    phi: float  # its size; that of the base is 0
    architecture: Architecture


def why_not_nested(inner: Architecture, outer: Architecture) -> str | None:
    """Why a design is not the first blocks and channels of another one; None if it is.

    Nested designs are alike but for sizes: pixels, which may be any, and blocks of each stage and
    channels, of which the inner one has no more. Channels must be sliceable: dense and depthwise
    convolutions with batch norm are. Whether a block adds its input depends on widths, too; where
    it does in one design alone, its weights nest all the same.

    Returns:
        What differs, as it goes on after "it does not nest in X: ".
    """
    if len(inner.stages) != len(outer.stages) or outer.resized(inner.sizes) != inner:
        return "they differ in more than sizes"
    if (layer := _unsliceable(outer)) is not None:
        return f"{layer} cannot be sliced by channels"
    for part, own, most in _sizes(inner, outer):
        if own > most:
            return f"{part} {own}, more than {most}"
    theirs = {(block.stage, block.number): block.layout for block in walk(outer)}
    for block in walk(inner):
        other = theirs[block.stage, block.number]
        if _has_more(block.layout, other) or bool(block.layout.enters) != bool(other.enters):
            return (
                f"block {block.number + 1} of stage {block.stage + 1} leads its input through a "
                "convolution in one of them alone, since widths that are equal in one differ in "
                "the other"
            )
    return None


def _has_more(inner: Layout, outer: Layout) -> bool:
    """Whether a block's shortcut has a convolution and the other one's has none."""
    own, other = (
        isinstance(shortcut.layer, Conv) and bool(shortcut.passes)
        for shortcut in (inner.shortcut, outer.shortcut)
    )
    return own and not other


def _sizes(inner: Architecture, outer: Architecture) -> Iterator[tuple[str, int, int]]:
    """What must not be larger inside: what it is, the inner design's and the outer one's."""
    yield "its stem has a width of", inner.stem.width, outer.stem.width
    for number, (own, most) in enumerate(zip(inner.stages, outer.stages, strict=True), start=1):
        yield f"its stage {number} has a width of", own.width, most.width
        yield f"its stage {number} has a depth of", own.depth, most.depth
    yield "its head has a width of", inner.head.width, outer.head.width


def _unsliceable(design: Architecture) -> str | None:
    """The first part of a design whose first channels are no network of its kind."""
    parts: list[tuple[str, Sequence[Layer]]] = [
        ("its stem", stem_layers(design.stem, design.stem.width))
    ]
    for block in walk(design):
        layout = block.layout
        beside = (layout.shortcut.layer,) if layout.shortcut.layer is not None else ()
        place = f"stage {block.stage + 1}, of {design.stages[block.stage].block} blocks,"
        parts.append((place, (*layout.entry, *layout.branch, *beside)))
    features = design.stages[-1].width
    head = head_layers(design.head, design.head.width or features, design.num_classes)
    parts.append(("its head", head))
    return next((name for name, layers in parts if not all(map(_is_sliceable, layers))), None)


def _is_sliceable(layer: Layer) -> bool:
    if isinstance(layer, Conv):
        return layer.groups in (1, DEPTHWISE)
    return not isinstance(layer, LayerNorm | LayerScale)


def outermost(members: Sequence[NestedMember]) -> NestedMember:
    """The member in which all others nest.

    Raises:
        RunConflict: naming the members that do not, and why; or if there are fewer than two.
    """
    if len(members) < 2:
        raise RunConflict(
            f"a family that is trained together has at least 2 members, this one {len(members)}; "
            "write more with autoscale family --phi 0..3, or train that one alone"
        )
    largest = max(members, key=lambda member: (cost(member.architecture).macs, member.phi))
    found = {
        member.name: why
        for member in members
        if (why := why_not_nested(member.architecture, largest.architecture)) is not None
    }
    if found:
        told = "; ".join(
            f"{name} does not nest in {largest.name}: {w}" for name, w in found.items()
        )
        raise RunConflict(
            f"{told}; write a family without {' and '.join(found)}, or train the members one by one"
        )
    return largest


def between(
    base: Design, growths: Growths, members: Sequence[NestedMember]
) -> Iterator[NestedMember]:
    """The designs along the rule from the largest member to the smallest that nest in the largest.

    In steps of a hundredth of phi, largest phi first; each design once. One that is a member's
    bears its name, another that of its size. The classes are the members'.
    """
    largest = outermost(members)
    own = {member.architecture: member for member in members}
    sizes = [round(member.phi * _STEPS) for member in members]
    seen = set()
    for size in range(max(sizes), min(sizes) - 1, -1):
        phi = size / _STEPS
        design = network_at(base, growths, phi)
        assert isinstance(design, Architecture)
        design = replace(design, num_classes=largest.architecture.num_classes)
        if design not in seen and why_not_nested(design, largest.architecture) is None:
            seen.add(design)
            yield own.get(design) or NestedMember(name=f"phi-{phi:g}", phi=phi, architecture=design)
