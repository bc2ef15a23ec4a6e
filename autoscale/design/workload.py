"""What a framework runs for one image, by kind of operation: what a latency is predicted from.

The numbers are those of eager torch with the batch norms folded into the convolutions before them.
They are worked out from the design alone, as costs are, because a search asks for thousands.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from autoscale.design.architecture import Activation, Architecture, Stage, Stem
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Conv,
    Gate,
    GlobalPool,
    Layer,
    LayerNorm,
    LayerScale,
    Layout,
    MapSize,
    Pool,
    SqueezeExcite,
    Step,
    area,
    flow,
    sides,
)
from autoscale.design.walk import Place, head_layers, places_of, stem_layers, walk_stage

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
    "gelu": "gelu",
}

GATES: Mapping[Gate, str] = {"sigmoid": "sigmoid", "hsigmoid": "hardsigmoid"}


def workload(architecture: Architecture) -> Workload:
    """The work of one pass of one image."""
    total: Counter[Feature] = Counter()
    for place in places_of(architecture):
        total.update(work_at(place))
    return total


@lru_cache(maxsize=65536)
def work_at(place: Place) -> Workload:
    """The work of one part."""
    part, width, size = place.part, place.width_in, place.size
    found = _Work()
    if isinstance(part, Stage):
        for block in walk_stage(place):
            found.block(block.layout, block.width_in, block.size)
    elif isinstance(part, Stem):
        found.layers(stem_layers(part, place.width), width, size)
    else:
        found.layers(head_layers(part, place.width, place.num_classes), width, size)
    return found.total


class _Work:
    """Adds up what layers run."""

    def __init__(self) -> None:
        self.total: Counter[Feature] = Counter()

    def add(self, kind: str, **amounts: int) -> None:
        """One call of an operation."""
        self.total.update({(kind, what): amount for what, amount in amounts.items()})
        self.total[kind, "calls"] += 1
        self.total[kind, "numbers"] += 0

    def block(self, layout: Layout, width: int, size: MapSize) -> None:
        """One block, its shortcut included."""
        shortcut = layout.shortcut
        width, size = self.layers(layout.entry, width, size)
        width_out, size_out = self.layers(layout.branch, width, size)
        if shortcut.layer is not None:
            width_out, size_out = self.layers([shortcut.layer], width, size)
        numbers = width_out * area(size_out)
        if layout.branch and shortcut.added:
            self.add("add", numbers=3 * numbers)
        if layout.act is not None:
            self.add(ACTIVATIONS[layout.act], numbers=2 * numbers)

    def layers(self, layers: Iterable[Layer], width: int, size: MapSize) -> tuple[int, MapSize]:
        """Layers one after another; gives the width and the size of the last map."""
        for step in flow(layers, width, size):
            self.layer(step)
            width, size = step.width_out, step.size_out
        return width, size

    def layer(self, step: Step) -> None:
        layer, width = step.layer, step.width
        read = width * area(step.size)
        written = step.width_out * area(step.size_out)
        if isinstance(layer, Conv):
            if layer.patches and any(side % layer.stride for side in sides(step.size)):
                filled = step.width * area(step.size_out) * layer.stride**2
                self.add("constant_pad_nd", numbers=read + filled)
                read = filled
            self.conv(layer, step, read + written)
            if layer.norm == "layer":
                self.layer_norm(layer.width, step.size_out)
            if layer.act is not None:
                self.add(ACTIVATIONS[layer.act], numbers=2 * written)
        elif isinstance(layer, SqueezeExcite):
            self.add("mean", numbers=read + width)
            self.layers([Conv(layer.squeeze, act=layer.act), Conv(width)], width, 1)
            self.add(GATES[layer.gate], numbers=2 * width)
            self.add("mul", numbers=2 * read + width)
        elif isinstance(layer, LayerNorm):
            self.layer_norm(width, step.size)
        elif isinstance(layer, LayerScale):
            self.add("mul", numbers=2 * read + width)
        elif isinstance(layer, Pool) and layer.kind == "max":  # it writes where the largest stood
            self.add("max_pool2d_with_indices", numbers=read + 2 * written)
        elif isinstance(layer, Pool):
            self.add("avg_pool2d", numbers=read + written)
        elif isinstance(layer, GlobalPool):
            self.add("mean", numbers=read + width)
        else:
            self.add("linear", weights=width * layer.width)

    def layer_norm(self, width: int, size: MapSize) -> None:
        """It takes a scale and a shift, and gives the means and the deviations too."""
        pixels = area(size)
        self.add("native_layer_norm", numbers=2 * width * pixels + 2 * width + 2 * pixels)

    def conv(self, layer: Conv, step: Step, numbers: int) -> None:
        depthwise = layer.groups == DEPTHWISE and step.width > 1
        seen = step.width // layer.groups if layer.groups else 1
        after = max(sides(step.size_out))
        before = after * layer.stride if layer.patches else max(sides(step.size))
        weights = layer.width * seen * layer.kernel * layer.kernel
        self.add(
            kind_of_conv(layer.kernel, before, after, depthwise=depthwise, groups=layer.groups),
            macs=weights * area(step.size_out),
            weights=weights,
            numbers=numbers,
        )


def kind_of_conv(kernel: int, before: int, after: int, *, depthwise: bool, groups: int = 1) -> str:
    """The kind of a convolution that makes a map of `after` pixels along its longer side of one of
    `before`.

    Kernels differ in speed by form, kernel and stride, and by whether a map is left at all.
    """
    grouped = groups > 1 and not depthwise
    if kernel == 1 and not depthwise and not grouped:
        return "pointwise" if after > 1 else "squeeze"
    form = "depthwise" if depthwise else "grouped" if grouped else "full"
    return f"{form} {kernel}x{kernel}, stride {-(-before // after)}"
