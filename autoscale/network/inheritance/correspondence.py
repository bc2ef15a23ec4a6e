"""Which layer of a network takes its weights from which layer of its source, and along which axes.

An `Axis` is a set of channels that several layers share: all projections into a residual stream
write it, all expansions read it. Channels are chosen once for an axis, so that layers keep
agreeing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import InvalidSetting
from autoscale.network.inheritance.anatomy import HIDDEN, SQUEEZED, Anatomy, Block, Role

#: The blocks that can give weights to each other: each filters channels one by one and mixes them
#: with 1x1 convolutions.
KINDRED = ("mbconv", "separable", "mobilenet-v3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Channels of a network, and those of its source that they come from.

    `free` axes join layers whose inputs are no neighbours in the source: their channels have no
    counterpart, and any choice is as good as another.
    """

    name: str
    width: int
    source: str
    source_width: int
    free: bool = False


#: For each channel of an axis the source's, or `NEW`.
Choices = Mapping[Axis, Tensor]
NEW = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A convolution or linear layer, and the source's layer that it takes its weights from."""

    layer: str
    source: str
    rows: Axis  # output channels
    columns: Axis | None = None  # input channels; None where all are kept: images, single channels
    # "identity": the block adds nothing at first; "gate": the source has no gate between the
    # depthwise convolution and this projection, the network has.
    start: Literal["as it is", "identity", "gate"] = "as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExpansion:
    """An expansion that the source's block lacks: its rows pass on single channels at first."""

    layer: str
    rows: Axis
    columns: Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """All that a network can take from its source; other layers stay as they are."""

    pairs: tuple[Pair, ...]
    expansions: tuple[NewExpansion, ...]
    gates: tuple[str, ...]  # last layers of squeeze-and-excitations that the source lacks

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Each axis once; streams come before what lies inside blocks."""
        ends = [(pair.rows, pair.columns) for pair in self.pairs]
        ends += [(new.rows, new.columns) for new in self.expansions]
        found = dict.fromkeys(axis for end in ends for axis in end if axis is not None)
        return tuple(sorted(found, key=lambda axis: axis.name.endswith((HIDDEN, SQUEEZED))))

    def readers(self, axis: Axis) -> list[Pair]:
        """The layers whose input channels lie along an axis."""
        return [pair for pair in self.pairs if pair.columns == axis]


def require_kindred(architecture: Architecture, whose: str) -> None:
    """Refuse designs that cannot give or take weights.

    Raises:
        InvalidSetting: naming the first stage whose blocks cannot, and those that could, or what
            the stem or the head has.
    """
    for number, stage in enumerate(architecture.stages, start=1):
        if not is_kindred(stage):
            known = kindred_in_words()
            raise InvalidSetting(
                f"stage {number} of the {whose} has {stage.block} blocks, and weights are "
                f"inherited between {known} blocks only; choose a design of those, or train from "
                "scratch"
            )
    stem, head = architecture.stem, architecture.head
    for part, kindred in (("stem", is_kindred(stem)), ("head", is_kindred(head))):
        if not kindred:
            raise InvalidSetting(
                f"the {part} of the {whose} has other layers, and weights are inherited between "
                "stems with an odd kernel and batch norm, and heads without layer norm; "
                "choose a design with such, or train from scratch"
            )


def is_kindred(part: Stem | Stage | Head) -> bool:
    """Whether a part of a design can give and take weights."""
    if isinstance(part, Stage):
        return part.block in KINDRED
    if isinstance(part, Stem):
        return part.kernel % 2 == 1 and part.norm == "batch"
    return part.norm != "layer"


def kindred_in_words() -> str:
    """The blocks that can give and take weights: a, b and c."""
    return f"{', '.join(KINDRED[:-1])} and {KINDRED[-1]}"


def matched_stages(source: Architecture, architecture: Architecture) -> list[int]:
    """For each stage of a network, the position of the stage of its source that it resembles.

    One to one where both have as many stages. Otherwise stages that work at one size of the map
    form a level: levels are matched in order, evenly spread, and so are the stages within them.
    """
    if len(source.stages) == len(architecture.stages):
        return list(range(len(source.stages)))
    levels, theirs = _levels(architecture), _levels(source)
    found = []
    for number, level in enumerate(levels):
        matched = theirs[evenly(len(theirs), len(levels))[number]]
        found += [matched[position] for position in evenly(len(matched), len(level))]
    return found


def evenly(width: int, count: int) -> list[int]:
    """`count` positions in 0..`width` - 1, evenly spaced, in order; some repeat if it is larger."""
    return [(2 * number + 1) * width // (2 * count) for number in range(count)]


def _levels(architecture: Architecture) -> list[list[int]]:
    levels: list[list[int]] = []
    for number, stage in enumerate(architecture.stages):
        if stage.stride > 1 or not levels:
            levels.append([])
        levels[-1].append(number)
    return levels


def correspondence(
    own: Mapping[str, Tensor],
    architecture: Architecture,
    theirs: Mapping[str, Tensor],
    source: Architecture,
) -> Correspondence:
    """What a network takes from its source, from both state dicts and designs.

    Block by block within matched stages. Blocks beyond the source's take the weights of its last
    one; they begin as the identity if their shortcut is.
    """
    return _Matching(Anatomy.of(own), Anatomy.of(theirs), architecture, source).result()


class _Matching:
    """Walks a network along its source and gathers pairs."""

    def __init__(
        self, own: Anatomy, theirs: Anatomy, architecture: Architecture, source: Architecture
    ) -> None:
        self._own, self._theirs = own, theirs
        self._architecture, self._source = architecture, source
        self._pairs: list[Pair] = []
        self._expansions: list[NewExpansion] = []
        self._gates: list[str] = []

    def result(self) -> Correspondence:
        stream = Axis(
            name="stem",
            width=self._own.widths["stem.0"],
            source="stem",
            source_width=self._theirs.widths["stem.0"],
        )
        self._pairs.append(Pair(layer="stem.0", source="stem.0", rows=stream))
        for block, counterpart, beyond in self._blocks():
            stream = self._block(block, counterpart, stream, beyond=beyond)
        self._head(stream)
        return Correspondence(
            pairs=tuple(self._pairs),
            expansions=tuple(self._expansions),
            gates=tuple(self._gates),
        )

    def _blocks(self) -> Iterator[tuple[Block, Block, bool]]:
        """Each block, its counterpart, and whether it adds a block that begins as the identity."""
        taken: dict[int, int] = {}  # blocks of each stage of the source
        matched = matched_stages(self._source, self._architecture)
        for stage, blocks, number in zip(
            self._architecture.stages, self._own.stages, matched, strict=True
        ):
            counterparts = self._theirs.stages[number]
            for block in blocks:
                position = taken.get(number, 0)
                taken[number] = position + 1
                beyond = position >= len(counterparts)
                counterpart = counterparts[min(position, len(counterparts) - 1)]
                yield block, counterpart, beyond and block.residual and stage.skip == "identity"

    def _block(self, block: Block, source: Block, entry: Axis, *, beyond: bool) -> Axis:
        """Pair the layers of a block; the stream that it writes."""
        stays = beyond or (source.residual and entry.source == source.entry)
        exit_ = (
            entry
            if block.residual and stays
            else Axis(
                name=block.prefix + "exit",
                width=block.width("project"),
                source=source.exit,
                source_width=source.width("project"),
            )
        )
        entry_width = self._stream_width(source, "depthwise")
        reads = self._joined(entry, source.entry, entry_width, block.prefix + "entry")
        hidden = reads
        if "expand" in block.layers:
            hidden = Axis(
                name=block.prefix + HIDDEN,
                width=block.width("expand"),
                source=source.hidden,
                source_width=source.width("depthwise"),
            )
            if "expand" in source.layers:
                self._pair("expand", block, source, rows=hidden, columns=reads)
            else:
                new = NewExpansion(layer=block.layers["expand"], rows=hidden, columns=reads)
                self._expansions.append(new)
        elif "expand" in source.layers:
            hidden = self._joined(
                entry, source.hidden, source.width("depthwise"), block.prefix + HIDDEN
            )
        self._pair("depthwise", block, source, rows=hidden)
        start: Literal["as it is", "identity", "gate"] = "as it is"
        if beyond:
            start = "identity"
        elif "reduce" in block.layers and "reduce" not in source.layers:
            start = "gate"
            self._gates.append(block.layers["restore"])
        self._excite(block, source, hidden)
        rows = self._joined(exit_, source.exit, source.width("project"), block.prefix + "exit")
        self._pair("project", block, source, rows=rows, columns=hidden, start=start)
        return exit_

    def _excite(self, block: Block, source: Block, hidden: Axis) -> None:
        if not ("reduce" in block.layers and "reduce" in source.layers):
            return
        squeezed = Axis(
            name=block.prefix + SQUEEZED,
            width=block.width("reduce"),
            source=source.prefix + SQUEEZED,
            source_width=source.width("reduce"),
        )
        self._pair("reduce", block, source, rows=squeezed, columns=hidden)
        self._pair("restore", block, source, rows=hidden, columns=squeezed)

    def _head(self, stream: Axis) -> None:
        last = "head.conv.0"
        if (last in self._own.widths) != (last in self._theirs.widths):
            return  # the classifier reads other things
        features = self._joined(
            stream,
            self._theirs.last,
            self._theirs.stages[-1][-1].width("project"),
            "head entry",
        )
        if last in self._own.widths:
            stream, features = (
                features,
                Axis(
                    name="features",
                    width=self._own.widths[last],
                    source="features",
                    source_width=self._theirs.widths[last],
                ),
            )
            self._pairs.append(Pair(layer=last, source=last, rows=features, columns=stream))
        if self._hidden(self._own) != self._hidden(self._theirs):
            return  # so does it here
        if hidden := self._hidden(self._own):
            read, features = (
                features,
                Axis(
                    name="hidden features",
                    width=self._own.widths[hidden],
                    source="hidden features",
                    source_width=self._theirs.widths[hidden],
                ),
            )
            self._pairs.append(Pair(layer=hidden, source=hidden, rows=features, columns=read))
        name = "head.classifier"
        if name in self._theirs.widths and not features.free:
            classes = Axis(
                name=CLASSES,
                width=self._own.widths[name],
                source=CLASSES,
                source_width=self._theirs.widths[name],
            )
            self._pairs.append(Pair(layer=name, source=name, rows=classes, columns=features))

    @staticmethod
    def _hidden(anatomy: Anatomy) -> str | None:
        """The convolution between pooling and classifier, if there is one."""
        names = ("head.hidden.0", "head.hidden.conv", "head.hidden")
        return next((name for name in names if name in anatomy.widths), None)

    def _stream_width(self, source: Block, role: Role) -> int:
        """Channels of the stream that a block of the source reads."""
        if "expand" not in source.layers:
            return source.width(role)
        streams = {block.exit: block for row in self._theirs.stages for block in row}
        if source.entry in streams:
            return streams[source.entry].width("project")
        return self._theirs.widths["stem.0"]

    def _pair(
        self,
        role: Role,
        block: Block,
        source: Block,
        *,
        rows: Axis,
        columns: Axis | None = None,
        start: Literal["as it is", "identity", "gate"] = "as it is",
    ) -> None:
        self._pairs.append(
            Pair(
                layer=block.layers[role],
                source=source.layers[role],
                rows=rows,
                columns=columns,
                start=start,
            )
        )

    @staticmethod
    def _joined(axis: Axis, source: str, source_width: int, name: str) -> Axis:
        """`axis` as it is if its channels come from `source`, else a free one of its width."""
        if axis.source == source:
            return axis
        return Axis(
            name=name, width=axis.width, source=source, source_width=source_width, free=True
        )


#: The axis of the classifier's rows.
CLASSES = "classes"
