"""The way through a network: every part, and every block of it, with the map that it is given.

Whatever is worked out block by block goes this way: costs, latency features, memory, modules,
exported source, and whether two designs are one network.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from autoscale.design.architecture import Architecture, Head, Sizes, Stage, Stem
from autoscale.design.blocks.layers import (
    Conv,
    GlobalPool,
    Layer,
    LayerNorm,
    Layout,
    Linear,
    MapSize,
    Pool,
    map_size,
    output_size,
)
from autoscale.design.numbers import Number


class Place(NamedTuple):
    """A stem, a stage or a head where it stands, `width` channels wide and `depth` blocks deep."""

    part: Stem | Stage | Head
    width_in: Number  # channels of the map that it is given
    size: MapSize  # of that map
    width: Number
    depth: Number = 1
    num_classes: int = 0  # of a head


# From all its fields in order. A search makes ten of them a design; this is the quickest way.
_place = partial(tuple.__new__, Place)


def place_of(
    part: Stem | Stage | Head, width_in: int, size: MapSize, num_classes: int = 0
) -> Place:
    """A part as wide and deep as it says, for a map of `width_in` channels."""
    depth = part.depth if isinstance(part, Stage) else 1
    return Place(part, width_in, size, part.width, depth, num_classes)


class BlockPlace(NamedTuple):
    """A block where it stands."""

    stage: int  # number of its stage, from 0
    number: int  # in its stage, from 0
    width_in: int  # channels of the map that it is given
    size: MapSize  # of that map
    layout: Layout


def places_of(architecture: Architecture, sizes: Sizes | None = None) -> list[Place]:
    """Stem, stages and head in order; `sizes` stand in for the architecture's own."""
    resolution, width, widths, depths, head_width = sizes or architecture.sizes
    stem, head = architecture.stem, architecture.head
    size = map_size(resolution, architecture.aspect)
    places: list[Place] = [_place((stem, architecture.channels, size, width, 1, 0))]
    size = stem_output_size(stem, size)
    for stage, width_out, depth in zip(architecture.stages, widths, depths, strict=True):
        places.append(_place((stage, width, size, width_out, depth, 0)))
        width, size = width_out, output_size(size, stage.stride)
    places.append(_place((head, width, size, head_width, 1, architecture.num_classes)))
    return places


def last_place(architecture: Architecture) -> Place:
    """Where the head stands."""
    return places_of(architecture)[-1]


def walk(architecture: Architecture) -> Iterator[BlockPlace]:
    """Every block in order."""
    for number, place in enumerate(places_of(architecture)[1:-1]):
        yield from walk_stage(place, number)


def walk_stage(place: Place, stage: int = 0) -> Iterator[BlockPlace]:
    """The blocks of one stage, of which `stage` is the number."""
    part, width, size = place.part, place.width_in, place.size
    assert isinstance(part, Stage)
    for number in range(place.depth):
        stride = 1 if number else part.stride
        yield BlockPlace(stage, number, width, size, part.layout(width, place.width, stride))
        width, size = place.width, output_size(size, stride)


def stem_output_size(stem: Stem, size: MapSize) -> MapSize:
    """The map after the stem, its pooling included, of images of `size`."""
    return output_size(output_size(size, stem.stride), 2 if stem.pool else 1)


def stem_layers(stem: Stem, width: Number) -> tuple[Layer, ...]:
    """The layers of a stem that is `width` channels wide."""
    act = None if stem.activation == "none" else stem.activation
    conv = Conv(width, stem.kernel, stem.stride, act=act, norm=stem.norm)
    return (conv, Pool("max", 3, 2)) if stem.pool else (conv,)


def head_layers(head: Head, width: Number, num_classes: int) -> tuple[Layer, ...]:
    """The layers of a head whose convolution is `width` channels wide."""
    layers: list[Layer] = [GlobalPool()]
    if head.width:
        layers = [Conv(width, act=head.activation, name="conv"), GlobalPool()]
    if head.hidden:
        norm = None if head.norm == "none" else head.norm
        layers.append(Conv(head.hidden, act=head.activation, name="hidden", norm=norm))
    elif head.norm == "layer":
        layers.append(LayerNorm())
    return (*layers, Linear(num_classes))
