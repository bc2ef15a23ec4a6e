"""The parts of a network, told from the names and shapes of its state dict alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Role = Literal["expand", "depthwise", "reduce", "restore", "project"]
_ROLES: Mapping[str, Role] = {
    "expand.0": "expand",
    "depthwise.0": "depthwise",
    "excite.reduce": "reduce",
    "excite.expand": "restore",
    "project.0": "project",
    "pointwise.0": "project",
}
_IN_A_BLOCK = re.compile(r"(stages\.(\d+)\.(\d+)\.(?:branch\.)?)(\w+\.\w+)\.weight")
#: What the channels inside a block are called, behind its prefix.
HIDDEN, SQUEEZED = "hidden", "squeezed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block as its state dict shows it."""

    prefix: str  # of the names of its layers
    layers: Mapping[Role, str]
    entry: str  # the stream that it reads
    exit: str  # the stream that it writes; the same one if it is residual
    widths: Mapping[str, int]  # output channels of every layer of the network

    @property
    def residual(self) -> bool:
        return self.entry == self.exit

    @property
    def hidden(self) -> str:
        """The channels that its depthwise convolution filters."""
        return self.prefix + HIDDEN if "expand" in self.layers else self.entry

    def width(self, role: Role) -> int:
        return self.widths[self.layers[role]]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A network's blocks by stages, and the widths of its layers and streams."""

    stages: list[list[Block]]
    widths: Mapping[str, int]

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "Anatomy":
        widths = {
            name.removesuffix(".weight"): value.shape[0]
            for name, value in state.items()
            if name.endswith(".weight")
        }
        layers: dict[tuple[int, int], tuple[str, dict[Role, str]]] = {}
        for name in state:
            if (at := _IN_A_BLOCK.fullmatch(name)) and at[4] in _ROLES:
                _, known = layers.setdefault((int(at[2]), int(at[3])), (at[1], {}))
                known[_ROLES[at[4]]] = name.removesuffix(".weight")
        stages: list[list[Block]] = []
        stream = "stem"
        for (stage, number), (prefix, known) in sorted(layers.items()):
            exit_ = stream if ".branch." in prefix else f"stage {stage + 1} block {number + 1}"
            block = Block(prefix=prefix, layers=known, entry=stream, exit=exit_, widths=widths)
            stages += [[]] if number == 0 else []
            stages[stage].append(block)
            stream = exit_
        return cls(stages, widths)

    @property
    def last(self) -> str:
        """The stream that reaches the head."""
        return self.stages[-1][-1].exit
