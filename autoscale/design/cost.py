"""What a design costs, in closed form and exactly.

Every formula is plain arithmetic, so it takes whole numbers and numpy arrays of them alike; a
block is a sum of layers, a stage a sum of blocks, a network a sum of stages.

"FLOPs" means several things. Here `macs` are multiply-adds of convolutions and linear layers,
biases, batch norm, activations and pooling left out: the papers' FLOPs. `CONVENTIONS` names the
others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache, reduce
from operator import attrgetter

from autoscale.design.architecture import Architecture, Sizes, Stage, Stem
from autoscale.design.numbers import Number, larger


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
    params: Number = 0  # trainable numbers, batch norm's scales and shifts included
    activations: Number = 0  # outputs of all convolutions and of the classifier
    bias_adds: Number = 0  # additions of biases
    norm_inputs: Number = 0  # numbers that pass through batch norm
    pool_inputs: Number = 0  # numbers that global average pooling reads
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
            self.peak * (times > 0),
        )


_FIELDS_OF = attrgetter(*[column.name for column in fields(Cost)])


def _together(*parts: Cost) -> Cost:
    """What `+` says of all `parts`, in one step: this is what a search calls most."""
    *sums, peaks = zip(*map(_FIELDS_OF, parts), strict=True)
    return Cost(*[*map(sum, sums), reduce(larger, peaks)])


#: Named answers to "how many FLOPs?", each a function of a `Cost`.
CONVENTIONS: Mapping[str, Callable[[Cost], Number]] = {
    # Multiply-adds of convolutions and linear layers: the papers' FLOPs, and NAS-Bench-Macro's.
    "paper": lambda cost: cost.macs,
    # The same and one for each added bias.
    "biases": lambda cost: cost.macs + cost.bias_adds,
    # What fvcore's FlopCountAnalysis reports by default for a network in evaluation mode.
    "fvcore": lambda cost: cost.macs + 2 * cost.norm_inputs + cost.pool_inputs,
    # A multiplication and an addition are two operations.
    "two-flops": lambda cost: 2 * cost.macs,
}


def cost(architecture: Architecture) -> Cost:
    """The cost of the whole network for one image of its resolution."""
    return _together(*_in_order(architecture, None))


def part_costs(architecture: Architecture, sizes: Sizes | None = None) -> list[tuple[str, Cost]]:
    """The cost of each part in order: `stem`, `stage 1`, ..., `head`.

    `sizes` stand in for the architecture's own; where they are arrays, so are the costs.
    """
    stages = [f"stage {number}" for number in range(1, len(architecture.stages) + 1)]
    costs = _in_order(architecture, sizes)
    return list(zip(["stem", *stages, "head"], costs, strict=True))


def _in_order(architecture: Architecture, sizes: Sizes | None) -> list[Cost]:
    stem_of, row_of, head_of = _REMEMBERED if sizes is None else _FORMULAS
    resolution, width, widths, depths, head_width = sizes or architecture.sizes
    costs = [stem_of(architecture.stem, width, resolution)]
    size = stem_output_size(architecture.stem, resolution)
    for stage, width_out, depth in zip(architecture.stages, widths, depths, strict=True):
        costs.append(row_of(stage, width, width_out, depth, size))
        width, size = width_out, -(-size // stage.stride)
    costs.append(head_of(width, head_width, size, architecture.num_classes))
    return costs


def output_size(size: Number, stride: Number) -> Number:
    """Pixels per side after a layer of `stride`: the size divided by it, rounded up."""
    return -(-size // stride)


def stem_output_size(stem: Stem, resolution: Number) -> Number:
    """Pixels per side after the stem, its pooling included."""
    return output_size(output_size(resolution, stem.stride), 2 if stem.pool else 1)


def stem_cost(stem: Stem, width: Number, resolution: Number) -> Cost:
    """The cost of a stem that has `width` channels, for images of `resolution` pixels per side."""
    size = output_size(resolution, stem.stride)
    conv = conv_cost(3, width, stem.kernel, size, beside=3 * resolution * resolution)
    after = stem_output_size(stem, resolution)
    return conv + Cost(peak=width * size * size + width * after * after) * stem.pool


def stage_cost(stage: Stage, width_in: int, size: int) -> Cost:
    """The cost of a stage whose input has `width_in` channels and `size` pixels per side."""
    return _REMEMBERED[1](stage, width_in, stage.width, stage.depth, size)


def row_cost(stage: Stage, width_in: Number, width: Number, depth: Number, size: Number) -> Cost:
    """The cost of `depth` blocks like those of `stage`, but `width` channels wide."""
    first = _block_cost(stage, width_in, width, size, stage.stride)
    if isinstance(depth, int) and depth == 1:
        return first
    other = _block_cost(stage, width, width, output_size(size, stage.stride), 1)
    return first + other * (depth - 1)


def _block_cost(stage: Stage, width_in: Number, width: Number, size: Number, stride: int) -> Cost:
    return BLOCK_COSTS[stage.block](
        width_in,
        width,
        size,
        stride=stride,
        kernel=stage.kernel,
        expand_ratio=stage.expand_ratio,
        squeeze=stage.squeeze(width_in),
        skip=stage.skip,
    )


# Layers. `size` is the output's pixels per side; `beside` counts the numbers that are alive next to
# the layer's output: its input and what is kept for later.


def conv_cost(
    width_in: Number, width_out: Number, kernel: Number, size: Number, *, beside: Number = 0
) -> Cost:
    """A convolution without bias and its batch norm."""
    weights = kernel * kernel * width_in * width_out
    outputs = width_out * size * size
    return Cost(
        macs=weights * size * size,
        params=weights + 2 * width_out,
        activations=outputs,
        norm_inputs=outputs,
        peak=outputs + beside,
    )


def depthwise_cost(width: Number, kernel: Number, size: Number, *, beside: Number = 0) -> Cost:
    """A convolution of each channel by itself and its batch norm."""
    return conv_cost(1, width, kernel, size, beside=beside)


def squeeze_excite_cost(
    width: Number, squeeze: Number, size: Number, *, beside: Number = 0
) -> Cost:
    """Pool, two 1x1 convolutions with biases, re-weight; nothing if `squeeze` is 0.

    Here `beside` is what is alive next to the map that is re-weighted. Source: Hu et al. 2018.
    """
    weights = 2 * width * squeeze
    outputs = width + squeeze
    pixels = width * size * size
    cost = Cost(
        macs=weights,
        params=weights + outputs,
        activations=outputs,
        bias_adds=outputs,
        pool_inputs=pixels,
        peak=pixels + outputs + beside,
    )
    return cost * (squeeze > 0)


def head_cost(width_in: Number, width: Number, size: Number, num_classes: Number) -> Cost:
    """A 1x1 convolution to `width` channels (none if 0), global pooling, a linear classifier."""
    features = width + width_in * (width == 0)
    pixels = features * size * size
    classifier = Cost(
        macs=features * num_classes,
        params=(features + 1) * num_classes,
        activations=num_classes,
        bias_adds=num_classes,
        pool_inputs=pixels,
        peak=features + larger(pixels, num_classes),
    )
    return conv_cost(width_in, width, 1, size, beside=width_in * size * size) + classifier


# Blocks. `size` is the input's pixels per side.


def _mbconv(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    expanded = expand_ratio > 1
    hidden = width_in * expand_ratio
    small = output_size(size, stride)
    pixels, hidden_pixels = width_in * size * size, hidden * small * small
    kept = pixels * _returns(skip, width_in, width, stride)
    return _together(
        conv_cost(width_in, hidden, 1, size, beside=pixels) * expanded,
        depthwise_cost(hidden, kernel, small, beside=hidden * size * size + kept * expanded),
        squeeze_excite_cost(hidden, squeeze, small, beside=kept),
        conv_cost(hidden, width, 1, small, beside=hidden_pixels + kept),
        _pooled(skip, width, small, kept),
    )


def _fused_mbconv(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    expanded = expand_ratio > 1
    hidden = width_in * expand_ratio * expanded + width * (1 - expanded)
    small = output_size(size, stride)
    pixels, hidden_pixels = width_in * size * size, hidden * small * small
    kept = pixels * _returns(skip, width_in, width, stride)
    return _together(
        conv_cost(width_in, hidden, kernel, small, beside=pixels),
        squeeze_excite_cost(hidden, squeeze, small, beside=kept),
        conv_cost(hidden, width, 1, small, beside=hidden_pixels + kept) * expanded,
        _pooled(skip, width, small, kept),
    )


def _separable(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    small = output_size(size, stride)
    pixels, filtered = width_in * size * size, width_in * small * small
    kept = pixels * _returns(skip, width_in, width, stride)
    return _together(
        depthwise_cost(width_in, kernel, small, beside=pixels),
        squeeze_excite_cost(width_in, squeeze, small, beside=kept),
        conv_cost(width_in, width, 1, small, beside=filtered + kept),
        _pooled(skip, width, small, kept),
    )


def _conv(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    small = output_size(size, stride)
    pixels = width_in * size * size
    kept = pixels * _returns(skip, width_in, width, stride)
    return _together(
        conv_cost(width_in, width, kernel, small, beside=pixels),
        squeeze_excite_cost(width, squeeze, small, beside=kept),
        _pooled(skip, width, small, kept),
    )


def _bottleneck(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    hidden = width // 4
    small = output_size(size, stride)
    kept, outputs = width_in * size * size, width * small * small
    return _together(
        conv_cost(width_in, hidden, 1, size, beside=kept),
        conv_cost(hidden, hidden, kernel, small, beside=hidden * size * size + kept),
        conv_cost(hidden, width, 1, small, beside=hidden * small * small + kept),
        _match(width_in, width, stride, small, beside=kept + outputs),
    )


def _basic(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    small = output_size(size, stride)
    kept, outputs = width_in * size * size, width * small * small
    return _together(
        conv_cost(width_in, width, kernel, small, beside=kept),
        conv_cost(width, width, kernel, small, beside=outputs + kept),
        _match(width_in, width, stride, small, beside=kept + outputs),
    )


def _identity(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number, skip: str = "identity",
) -> Cost:  # fmt: skip
    return _match(width_in, width, stride, output_size(size, stride), beside=width_in * size * size)


def _match(
    width_in: Number, width: Number, stride: Number, size: Number, *, beside: Number
) -> Cost:
    """The 1x1 convolution that matches a shortcut to a changed size or width."""
    changed = (stride != 1) | (width_in != width)
    return conv_cost(width_in, width, 1, size, beside=beside) * changed


def _returns(skip: str, width_in: Number, width: Number, stride: Number) -> Number:
    """Whether a block's input is added to its output, so that it must be kept until then."""
    if skip == "none":
        return False
    return (width_in == width) & ((stride == 1) | (skip == "pool"))


def _pooled(skip: str, width: Number, size: Number, kept: Number) -> Cost:
    """The pooling of a "pool" shortcut: what was kept, the branch's result and its own."""
    return Cost(peak=(kept + 2 * width * size * size) * ((skip == "pool") & (kept > 0)))


BLOCK_COSTS: Mapping[str, Callable[..., Cost]] = {
    "mbconv": _mbconv,
    "fused-mbconv": _fused_mbconv,
    "separable": _separable,
    "conv": _conv,
    "bottleneck": _bottleneck,
    "basic": _basic,
    "identity": _identity,
}

# Single designs repeat their parts, so those are remembered; arrays cannot be.
_FORMULAS: tuple[Callable[..., Cost], ...] = (stem_cost, row_cost, head_cost)
_REMEMBERED: tuple[Callable[..., Cost], ...] = tuple(map(lru_cache(maxsize=65536), _FORMULAS))
