"""When two designs are one network.

A search space counts points, a user pays for networks, and several points may be the same one: an
identity stage that changes nothing may stand anywhere in its row, a skip that does not fit is no
skip, and one stage of two blocks is two stages of one.
"""

from collections.abc import Hashable
from functools import lru_cache

from autoscale.design.architecture import Architecture, Stage
from autoscale.design.blocks.layers import Layout, Shortcut
from autoscale.design.walk import place_of, places_of, walk_stage

#: A block that is no layer at all.
_NOTHING = Layout((), Shortcut(True))


def network_of(architecture: Architecture) -> Hashable:
    """A value that two architectures share exactly if `network.build` makes one network of both.

    That is the image, the stem, each block with what it really does, the head and the classes.
    """
    return (
        *architecture.image_size,
        architecture.channels,
        architecture.stem,
        blocks_of(architecture),
        architecture.head,
        architecture.num_classes,
    )


def blocks_of(architecture: Architecture) -> tuple[Layout, ...]:
    """Every block that does something, in order."""
    found: list[Layout] = []
    for place in places_of(architecture):
        if isinstance(place.part, Stage):
            found += stage_blocks(place.part, place.width_in)
    return tuple(found)


@lru_cache(maxsize=1024)
def stage_blocks(stage: Stage, width_in: int) -> tuple[Layout, ...]:
    """Every block of `stage` that does something; none if the network is the same without it."""
    return _blocks(stage, width_in)


@lru_cache(maxsize=65536)
def stage_marks(stage: Stage, width_in: int) -> tuple[int, ...]:
    """The hashes of its `stage_blocks`.

    Of those many are kept: layouts are many small objects, and Python's garbage collector looks at
    each of them again and again.
    """
    return tuple([hash(block) for block in _blocks(stage, width_in)])


def _blocks(stage: Stage, width_in: int) -> tuple[Layout, ...]:
    place = place_of(stage, width_in, 1)  # of any size
    layouts = [block.layout for block in walk_stage(place)]
    return tuple([layout for layout in layouts if layout != _NOTHING])


def returns_input(stage: Stage, width_in: int, stride: int) -> bool:
    """Whether a block of `stage` adds its input, however changed, to its output."""
    return bool(stage.layout(width_in, stage.width, stride).shortcut.added)
