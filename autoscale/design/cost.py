"""What a design costs, in closed form and exactly.

Every formula is plain arithmetic, so it takes whole numbers and numpy arrays of them alike. Only
layers have formulas: a block is a sum of layers, a stage a sum of blocks, a network a sum of
stages.

"FLOPs" means several things. Here `macs` are multiply-adds of convolutions and linear layers,
biases, batch norm, activations and pooling left out: the papers' FLOPs. `CONVENTIONS` names the
others.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce

from autoscale.design.architecture import Architecture, Head, Sizes, Stage, Stem
from autoscale.design.blocks.layers import (
    Conv,
    GlobalPool,
    Layer,
    LayerNorm,
    LayerScale,
    Layout,
    MapSize,
    Pool,
    SqueezeExcite,
    area,
    output_size,
)
from autoscale.design.numbers import Number, larger
from autoscale.design.walk import Place, head_layers, place_of, places_of, stem_layers


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs in one network, or in a part of one.

    All are sums over layers but `peak`: the most numbers that are alive at once while one image
    passes in evaluation mode. At each convolution, pooling and classifier these are its inputs, its
    outputs, and what its block still needs afterwards: the block's input until its shortcut,
    computed last, has read it (then also the branch's result); in squeeze-and-excitation, the map
    to re-weight. Norms, activations, re-weighting and additions work in place; weights are not
    counted. In float32 a number is 4 bytes.
    """

    macs: Number = 0  # multiply-adds of convolutions and linear layers
    params: Number = 0  # trainable numbers, the norms' scales and shifts included
    activations: Number = 0  # outputs of all convolutions and of the classifier
    bias_adds: Number = 0  # additions of biases
    norm_inputs: Number = 0  # numbers that pass through batch norm
    pool_inputs: Number = 0  # numbers that global average pooling reads
    layer_norm_inputs: Number = 0  # numbers that pass through layer or group norm
    # Numbers alive at once. Not compared: a layer's depends on what it stands beside.
    peak: Number = field(default=0, compare=False)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            self.activations + other.activations,
            self.bias_adds + other.bias_adds,
            self.norm_inputs + other.norm_inputs,
            self.pool_inputs + other.pool_inputs,
            self.layer_norm_inputs + other.layer_norm_inputs,
            larger(self.peak, other.peak),
        )

    def __mul__(self, times: Number) -> "Cost":
        """`times` copies one after the other; a truth value keeps the cost or drops it."""
        return Cost(
            self.macs * times,
            self.params * times,
            self.activations * times,
            self.bias_adds * times,
            self.norm_inputs * times,
            self.pool_inputs * times,
            self.layer_norm_inputs * times,
            self.peak * (times > 0),
        )


#: Named answers to "how many FLOPs?", each a function of a `Cost`.
CONVENTIONS: Mapping[str, Callable[[Cost], Number]] = {
    # Multiply-adds of convolutions and linear layers: the papers' FLOPs, and NAS-Bench-Macro's.
    "paper": lambda cost: cost.macs,
    # The same and one for each added bias.
    "biases": lambda cost: cost.macs + cost.bias_adds,
    # What fvcore's FlopCountAnalysis reports by default for a network in evaluation mode.
    "fvcore": lambda cost: (
        cost.macs + 2 * cost.norm_inputs + cost.pool_inputs + 5 * cost.layer_norm_inputs
    ),
    # A multiplication and an addition are two operations.
    "two-flops": lambda cost: 2 * cost.macs,
}


#: The fields of a `Cost` in order; sums of these are what a search asks for most.
Row = tuple[Number, ...]


def cost(architecture: Architecture) -> Cost:
    """The cost of the whole network for one image of its resolution."""
    return Cost(*_together(map(row_of, places_of(architecture)), largest=max))


def part_costs(architecture: Architecture, sizes: Sizes | None = None) -> list[tuple[str, Cost]]:
    """The cost of each part in order: `stem`, `stage 1`, ..., `head`.

    `sizes` stand in for the architecture's own; where they are arrays, so are the costs.
    """
    stages = [f"stage {number}" for number in range(1, len(architecture.stages) + 1)]
    of_place = row_of if sizes is None else _row
    rows = [of_place(place) for place in places_of(architecture, sizes)]
    return [(name, Cost(*row)) for name, row in zip(["stem", *stages, "head"], rows, strict=True)]


def stem_cost(stem: Stem, size: MapSize, channels: int = 3) -> Cost:
    """The cost of a stem, for images of `channels` and of `size`."""
    return Cost(*row_of(place_of(stem, channels, size)))


def stage_cost(stage: Stage, width_in: int, size: MapSize) -> Cost:
    """The cost of a stage whose input has `width_in` channels and that size."""
    return Cost(*row_of(place_of(stage, width_in, size)))


def block_macs(stage: Stage, width_in: int, size: MapSize, *, stride: int) -> int:
    """Multiply-adds of one block of a stage, for a map of `width_in` channels.

    Args:
        size: of its input.
        stride: the stage's for its first block, 1 for the others.
    """
    macs: int = _block(stage, width_in, stage.width, size, stride)[0]
    return macs


def head_cost(head: Head, width_in: int, size: MapSize, num_classes: int) -> Cost:
    """The cost of a head whose input has `width_in` channels and that size."""
    return Cost(*row_of(place_of(head, width_in, size, num_classes)))


def block_cost(layout: Layout, width_in: Number, width: Number, size: MapSize) -> Cost:
    """The cost of one block that makes `width` channels of `width_in`.

    Args:
        size: of its input.
    """
    return Cost(*_together(_block_rows(layout, width_in, width, size)))


def layers_cost(layers: Iterable[Layer], width_in: Number, size: MapSize) -> Cost:
    """The cost of layers one after another, for a map of `width_in` channels."""
    return Cost(*_together(_rows(layers, width_in, size)[0]))


def _row(place: Place) -> Row:
    part, width_in, size, width, depth, num_classes = place
    if isinstance(part, Stage):
        first = _block(part, width_in, width, size, part.stride)
        if isinstance(depth, int) and depth == 1:
            return first
        other = _block(part, width, width, output_size(size, part.stride), 1)
        return _together([first, _times(other, depth - 1)])
    if isinstance(part, Stem):
        return _together(_rows(stem_layers(part, width), width_in, size)[0])
    return _together(_rows(head_layers(part, width, num_classes), width_in, size)[0])


def _block(stage: Stage, width_in: Number, width: Number, size: MapSize, stride: int) -> Row:
    layout = stage.layout(width_in, width, stride)
    return _together(_block_rows(layout, width_in, width, size))


# Single designs repeat their parts, so those are remembered; arrays cannot be.
#: The fields of the cost of one part.
row_of = lru_cache(maxsize=65536)(_row)


def _largest(values: Sequence[Number]) -> Number:
    return reduce(larger, values)


def _together(rows: Iterable[Row], largest: Callable[[Sequence[Number]], Number] = _largest) -> Row:
    """What `+` says of several costs, in one step; of single numbers `max` is the largest too."""
    *sums, peaks = zip(*rows, strict=True)
    return (*map(sum, sums), largest(peaks))


def _times(row: Row, times: Number) -> Row:
    """What `*` says of a cost."""
    *sums, peak = row
    return (*[each * times for each in sums], peak * (times > 0))


def _block_rows(layout: Layout, width_in: Number, width: Number, size: MapSize) -> Sequence[Row]:
    branch, (added, layer, passes), _, entry, enters = layout
    before: list[Row] = []
    if entry:
        before, size = _rows(entry, width_in, size)
        before, width_in = [_times(row, enters) for row in before], width
    # The input stays alive until the shortcut, which is computed last, has read it.
    rows, small = _rows(branch, width_in, size, kept=width_in * area(size) * added)
    if layer is not None:
        small = output_size(size, layer.stride)
        result = width * area(small) if branch else 0
        through, _ = _rows((layer,), width_in, size, beside=result)
        rows += [_times(row, added & passes) for row in through]
    return before + rows or [_NOTHING]


_NOTHING: Row = (0, 0, 0, 0, 0, 0, 0, 0)


def _rows(
    layers: Iterable[Layer], width: Number, size: MapSize, *, kept: Number = 0, beside: Number = 0
) -> tuple[list[Row], MapSize]:
    """The costs of layers one after another, and the size of the last map.

    Args:
        kept: numbers of the first layer's input that stay alive until the last layer.
        beside: numbers that stay alive besides.
    """
    rows: list[Row] = []
    pixels = area(size)
    held = beside  # next to the input and the output of a layer
    for layer in layers:
        before = width * pixels + held
        if isinstance(layer, Conv):
            width_out, kernel, stride, groups, _, _, norm = layer
            if stride > 1:
                size = output_size(size, stride)
                pixels = area(size)
                if kernel == stride:  # patches, of a map that these fill
                    before = width * pixels * stride * stride + held
            seen = width // groups if groups else 1
            weights = kernel * kernel * seen * width_out
            width, outputs = width_out, width_out * pixels
            macs, peak = weights * pixels, before + outputs
            if norm == "batch":
                rows.append((macs, weights + 2 * width, outputs, 0, outputs, 0, 0, peak))
            elif norm == "layer":
                rows.append((macs, weights + 3 * width, outputs, outputs, 0, 0, outputs, peak))
            else:
                rows.append((macs, weights + width, outputs, outputs, 0, 0, 0, peak))
        elif isinstance(layer, SqueezeExcite):
            weights, outputs = 2 * width * layer.squeeze, width + layer.squeeze
            params, inputs = weights + outputs, width * pixels
            rows.append((weights, params, outputs, outputs, 0, inputs, 0, before + outputs))
        elif isinstance(layer, LayerNorm):
            rows.append((0, 2 * width, 0, 0, 0, 0, width * pixels, 0))
        elif isinstance(layer, LayerScale):
            rows.append((0, width, 0, 0, 0, 0, 0, 0))
        elif isinstance(layer, Pool):
            size = output_size(size, layer.stride)
            pixels = area(size)
            rows.append((0, 0, 0, 0, 0, 0, 0, before + width * pixels))
        elif isinstance(layer, GlobalPool):
            rows.append((0, 0, 0, 0, 0, width * pixels, 0, before + width))
            size = pixels = 1
        else:
            outputs = layer.width
            weights = width * outputs
            rows.append((weights, weights + outputs, outputs, outputs, 0, 0, 0, before + outputs))
            width = outputs
        held = beside + kept
    return rows, size
