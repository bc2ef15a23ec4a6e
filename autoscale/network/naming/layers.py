"""The layers of our networks, told from their names, and how another library's are written down."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from autoscale.design.style import Style
from autoscale.errors import InvalidSetting

Names = dict[str, str]


class Renaming(Protocol):
    """From the names of one of our state dicts to a library's.

    Args:
        ours: all of them.
        theirs: those of the state dict that is read, if one is: the same blocks may be divided into
            other stages there.

    Raises:
        InvalidSetting: if the library has no such block or no such head.
    """

    def __call__(self, ours: Iterable[str], theirs: Iterable[str] = ()) -> Names: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a library names the parts of its networks."""

    owner: str  # as in "timm's names"
    network: str  # whose names they are, as in "timm's EfficientNet"
    holds: Callable[[Mapping[str, Any]], bool]  # whether a state dict has such names
    names: Renaming
    style: Callable[[Mapping[str, Any]], Style | None]  # None where the names cannot tell
    classifier: str = "classifier"  # the layer that gives the logits


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in one of our blocks."""

    stage: int
    block: int  # in the stage
    running: int  # the block's number through all stages
    parts: tuple[str, ...]  # of the block, in order
    layer: str  # such as "expand.0", "excite.reduce" or "shortcut.1"

    @property
    def part(self) -> str:
        return self.layer.partition(".")[0]

    @property
    def position(self) -> str:
        """Inside its part: 0 is the convolution, 1 the norm."""
        return self.layer.partition(".")[2]


_IN_A_BLOCK = re.compile(r"stages\.(\d+)\.(\d+)\.(?:block\.)?(?:branch\.)?(.+)\.(\w+)")
#: Parameters that are no layer's, but a block's own.
_BARE = frozenset({"gamma", "layer_scale"})
#: Places in the row that both libraries make of a ConvNeXt's smaller map.
DOWNSAMPLE = {"norm": 0, "conv": 1, "conv.conv": 1}


def renamed(
    ours: list[str],
    network: str,
    outside: Mapping[str, str],
    inside: Callable[[Layer], str | None],
) -> Names:
    """What `network` calls each of our names.

    Args:
        outside: the layers of stem and head.
        inside: gives those of blocks; None where it has no such layer.

    Raises:
        InvalidSetting: if it has nothing like one of them.
    """
    layers = layers_of(ours)
    found = {}
    for name in ours:
        place, _, leaf = name.rpartition(".")
        theirs = inside(layers[name]) if name in layers else outside.get(place)
        if theirs is None:
            raise InvalidSetting(f"{network} has nothing like {name}; use autoscale's own names")
        found[name] = theirs if theirs.rpartition(".")[2] in _BARE else f"{theirs}.{leaf}"
    return found


def layers_of(ours: Iterable[str]) -> dict[str, Layer]:
    """The layers in blocks, by their names."""
    places = {name: found for name in ours if (found := _IN_A_BLOCK.fullmatch(name))}
    parts: dict[tuple[int, int], dict[str, None]] = {}  # keys in the order of the names
    for found in places.values():
        of_block = parts.setdefault((int(found[1]), int(found[2])), {})
        of_block.setdefault(found[3].partition(".")[0])
    running = {block: number for number, block in enumerate(sorted(parts))}
    return {
        name: Layer(*block, running[block], tuple(parts[block]), found[3])
        for name, found in places.items()
        for block in [(int(found[1]), int(found[2]))]
    }


def blocks_of(layers: Iterable[Layer]) -> list[tuple[int, int]]:
    """Stage and number of each block, in order."""
    return sorted({(at.stage, at.block) for at in layers})
