"""What a framework runs for one image, by kind of operation: what a latency is predicted from.

The numbers are those of eager torch with the batch norms folded into the convolutions before them.
They are worked out from the design alone, as costs are, because a search asks for thousands.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from autoscale.design.architecture import Activation, Architecture, Head, Stage, Stem
from autoscale.design.cost import output_size, stem_output_size

#: A kind of operation, and what of it takes time: "calls", "macs", "numbers" (read and written,
#: weights aside) or "weights".
Feature = tuple[str, str]
Workload = Mapping[Feature, float]

#: What torch calls them.
ACTIVATIONS: Mapping[Activation, str] = {
    "relu": "relu",
    "relu6": "hardtanh",
    "silu": "silu",
    "hswish": "hardswish",
}


class Place(NamedTuple):
    """A stem, a stage or a head, and the map that it is given."""

    part: Stem | Stage | Head
    width: int  # channels of the map
    size: int  # pixels per side
    num_classes: int = 0  # of a head


def workload(architecture: Architecture) -> Workload:
    """The work of one pass of one image."""
    total: Counter[Feature] = Counter()
    for place in places_of(architecture):
        total.update(work_at(place))
    return total


def places_of(architecture: Architecture) -> list[Place]:
    """The parts of a design in order; their work adds up to its own."""
    places = [Place(architecture.stem, 3, architecture.resolution)]
    width = architecture.stem.width
    size = stem_output_size(architecture.stem, architecture.resolution)
    for stage in architecture.stages:
        places.append(Place(stage, width, size))
        width, size = stage.width, output_size(size, stage.stride)
    return [*places, Place(architecture.head, width, size, architecture.num_classes)]


@lru_cache(maxsize=65536)
def work_at(place: Place) -> Workload:
    """The work of one part."""
    part, one = place.part, _Pass(place.width, place.size)
    if isinstance(part, Stem):
        one.conv(part.width, part.kernel, stride=part.stride, act=part.activation)
        if part.pool:
            one.pool("max_pool2d_with_indices", stride=2, written=2)
    elif isinstance(part, Stage):
        for number in range(part.depth):
            one.block(part, part.stride if number == 0 else 1)
    else:
        if part.width:
            one.conv(part.width, act=part.activation)
        one.simple("mean", one.numbers + one.width)
        one.add("linear", weights=one.width * place.num_classes)
    return one.work


class _Pass:
    """Follows one image through layers and adds up what they run.

    The map that it holds has `width` channels and `size` pixels per side.
    """

    def __init__(self, width: int, size: int) -> None:
        self.width = width
        self.size = size
        self.work: Counter[Feature] = Counter()

    @property
    def numbers(self) -> int:
        """How many numbers the map has."""
        return self.width * self.size * self.size

    def add(self, kind: str, **amounts: int) -> None:
        """One call of an operation."""
        self.work.update({(kind, what): amount for what, amount in amounts.items()})
        self.work[kind, "calls"] += 1
        self.work[kind, "numbers"] += 0

    def simple(self, kind: str, numbers: int) -> None:
        """An operation without weights."""
        self.add(kind, numbers=numbers)

    def activate(self, act: Activation) -> None:
        self.simple(ACTIVATIONS[act], 2 * self.numbers)

    def conv(
        self,
        width: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        act: Activation | None = None,
    ) -> None:
        """A convolution to `width` channels, and its activation."""
        depthwise = depthwise and self.width > 1
        read, before = self.numbers, self.size
        weights = width * (1 if depthwise else self.width) * kernel * kernel
        self.width, self.size = width, output_size(before, stride)
        self.add(
            kind_of_conv(kernel, before, self.size, depthwise=depthwise),
            macs=weights * self.size * self.size,
            weights=weights,
            numbers=read + self.numbers,
        )
        if act is not None:
            self.activate(act)

    def pool(self, kind: str, *, stride: int, written: int = 1) -> None:
        read = self.numbers
        self.size = output_size(self.size, stride)
        self.simple(kind, read + written * self.numbers)

    def excite(self, squeeze: int, act: Activation) -> None:
        """Squeeze-and-excitation with `squeeze` channels within; none if that is 0."""
        if not squeeze:
            return
        self.simple("mean", self.numbers + self.width)
        small = _Pass(self.width, 1)
        small.conv(squeeze, act=act)
        small.conv(self.width)
        small.simple("sigmoid", 2 * self.width)
        self.work.update(small.work)
        self.simple("mul", 2 * self.numbers + self.width)

    def match(self, width: int, stride: int) -> None:
        """A 1x1 convolution where size or width change."""
        if stride > 1 or width != self.width:
            self.conv(width, stride=stride)

    def block(self, stage: Stage, stride: int) -> None:
        """One block of `stage`, its shortcut included."""
        if stage.block == "identity":
            self.match(stage.width, stride)
            return
        side = _Pass(self.width, self.size)
        added = True
        if stage.block in ("bottleneck", "basic"):
            self.residual(stage, stride)
            side.match(stage.width, stride)
        else:
            self.branch(stage, stride)
            if stage.skip == "pool" and side.width == stage.width:
                side.pool("avg_pool2d", stride=stride)
            else:
                added = stage.skip == "identity" and stride == 1 and side.width == stage.width
        self.work.update(side.work)
        if added:
            self.simple("add", 3 * self.numbers)
        if stage.block in ("bottleneck", "basic"):
            self.activate(stage.activation)

    def residual(self, stage: Stage, stride: int) -> None:
        """The branch of a ResNet's block."""
        act = stage.activation
        if stage.block == "bottleneck":
            self.conv(stage.width // 4, act=act)
            self.conv(stage.width // 4, stage.kernel, stride=stride, act=act)
            self.conv(stage.width)
        else:
            self.conv(stage.width, stage.kernel, stride=stride, act=act)
            self.conv(stage.width, stage.kernel)

    def branch(self, stage: Stage, stride: int) -> None:
        """The branch of a block with squeeze-and-excitation."""
        act, kernel, ratio = stage.activation, stage.kernel, stage.expand_ratio
        squeeze, hidden = stage.squeeze(self.width), self.width * ratio
        if stage.block == "mbconv":
            if ratio > 1:
                self.conv(hidden, act=act)
            self.conv(hidden, kernel, stride=stride, depthwise=True, act=act)
            self.excite(squeeze, act)
            self.conv(stage.width)
        elif stage.block == "fused-mbconv":
            self.conv(hidden if ratio > 1 else stage.width, kernel, stride=stride, act=act)
            self.excite(squeeze, act)
            if ratio > 1:
                self.conv(stage.width)
        elif stage.block == "separable":
            self.conv(self.width, kernel, stride=stride, depthwise=True, act=act)
            self.excite(squeeze, act)
            self.conv(stage.width, act=act)
        else:
            self.conv(stage.width, kernel, stride=stride, act=act)
            self.excite(squeeze, act)


def kind_of_conv(kernel: int, before: int, after: int, *, depthwise: bool) -> str:
    """The kind of a convolution that makes a map of `after` pixels per side of one of `before`.

    Kernels differ in speed by form, kernel and stride, and by whether a map is left at all.
    """
    if kernel == 1 and not depthwise:
        return "pointwise" if after > 1 else "squeeze"
    form = "depthwise" if depthwise else "full"
    return f"{form} {kernel}x{kernel}, stride {-(-before // after)}"
