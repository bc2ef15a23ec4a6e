"""What a framework runs for one image, by kind of operation: what a latency is predicted from.

The numbers are those of eager torch with the batch norms folded into the convolutions before them.
They are worked out from the design alone, as costs are, because a search asks for thousands.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from autoscale.design.architecture import Activation, Architecture, Stage
from autoscale.design.cost import output_size, stem_output_size

#: A kind of operation, and what of it takes time: "calls", "macs", "numbers" (read and written,
#: weights aside) or "weights".
Feature = tuple[str, str]
Workload = Mapping[Feature, float]

_ACTIVATIONS: Mapping[Activation, str] = {
    "relu": "relu",
    "relu6": "hardtanh",
    "silu": "silu",
    "hswish": "hardswish",
}


def workload(architecture: Architecture) -> Workload:
    """The work of one pass of one image."""
    total: Counter[Feature] = Counter()
    for part in parts_of(architecture):
        total.update(part)
    return total


def parts_of(architecture: Architecture) -> list[Workload]:
    """The same for the stem, each stage and the head."""
    stem, head = architecture.stem, architecture.head
    first = _Pass(3, architecture.resolution)
    first.conv(stem.width, stem.kernel, stride=stem.stride, act=stem.activation)
    if stem.pool:
        first.pool("max_pool2d_with_indices", stride=2, written=2)
    parts: list[Workload] = [first.work]
    width, size = stem.width, stem_output_size(stem, architecture.resolution)
    for stage in architecture.stages:
        parts.append(stage_workload(stage, width, size))
        width, size = stage.width, output_size(size, stage.stride)
    last = _Pass(width, size)
    if head.width:
        last.conv(head.width, act=head.activation)
    last.simple("mean", last.numbers + last.width)
    last.add("linear", weights=last.width * architecture.num_classes)
    return [*parts, last.work]


@lru_cache(maxsize=65536)
def stage_workload(stage: Stage, width_in: int, size: int) -> Workload:
    """The work of a stage whose input has `width_in` channels and `size` pixels per side."""
    row = _Pass(width_in, size)
    for number in range(stage.depth):
        row.block(stage, stage.stride if number == 0 else 1)
    return row.work


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
        self.simple(_ACTIVATIONS[act], 2 * self.numbers)

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
