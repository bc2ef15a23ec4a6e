"""When two designs are one network.

A search space counts points, a user pays for networks, and several points may be the same one: an
identity stage that changes nothing may stand anywhere in its row, a skip that does not fit is no
skip, and one stage of two blocks is two stages of one.
"""

from collections.abc import Hashable
from functools import lru_cache

from autoscale.design.architecture import BLOCK_FIELDS, Architecture, Stage

Block = tuple[Hashable, ...]


def network_of(architecture: Architecture) -> Hashable:
    """A value that two architectures share exactly if `network.build` makes one network of both.

    That is the stem, each block with what it really does, the head and the classes.
    """
    return (
        architecture.resolution,
        architecture.stem,
        blocks_of(architecture),
        architecture.head,
        architecture.num_classes,
    )


def blocks_of(architecture: Architecture) -> tuple[Block, ...]:
    """Every block that does something, in order."""
    found: list[Block] = []
    width = architecture.stem.width
    for stage in architecture.stages:
        found += stage_blocks(stage, width)
        width = stage.width
    return tuple(found)


@lru_cache(maxsize=65536)
def stage_blocks(stage: Stage, width_in: int) -> tuple[Block, ...]:
    """Every block of `stage` that does something; none if the network is the same without it."""
    blocks = []
    for number in range(stage.depth):
        width = width_in if number == 0 else stage.width
        stride = stage.stride if number == 0 else 1
        if stage.block == "identity" and stride == 1 and width == stage.width:
            continue
        blocks.append(
            (
                stage.block,
                stage.kernel,
                stage.width,
                stride,
                stage.expand_ratio,
                stage.squeeze(width),
                effective_skip(stage, width, stride),
                stage.activation,
            )
        )
    return tuple(blocks)


def effective_skip(stage: Stage, width_in: int, stride: int) -> str:
    """What a block of `stage` adds to its output: its skip, or "none" where that does not fit."""
    if "skip" not in BLOCK_FIELDS[stage.block]:
        return "its own"
    fits = width_in == stage.width and (stride == 1 or stage.skip == "pool")
    return stage.skip if fits else "none"
