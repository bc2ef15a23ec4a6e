"""What a design costs, in closed form and exactly.

Every formula is plain arithmetic, so it takes whole numbers and numpy arrays of them alike; a
block is a sum of layers, a stage a sum of blocks, a network a sum of stages.

"FLOPs" means several things. Here `macs` are multiply-adds of convolutions and linear layers,
biases, batch norm, activations and pooling left out: the papers' FLOPs. `CONVENTIONS` names the
others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from autoscale.design.architecture import Architecture, Stage

Number = Any  # int, or an integer numpy array


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs in one network, or in a part of one."""

    macs: Number = 0  # multiply-adds of convolutions and linear layers
    params: Number = 0  # trainable numbers, batch norm's scales and shifts included
    activations: Number = 0  # outputs of all convolutions and of the classifier
    bias_adds: Number = 0  # additions of biases
    norm_inputs: Number = 0  # numbers that pass through batch norm
    pool_inputs: Number = 0  # numbers that global average pooling reads

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            self.activations + other.activations,
            self.bias_adds + other.bias_adds,
            self.norm_inputs + other.norm_inputs,
            self.pool_inputs + other.pool_inputs,
        )

    def __mul__(self, times: Number) -> "Cost":
        """`times` copies; a truth value keeps the cost or drops it."""
        return Cost(
            self.macs * times,
            self.params * times,
            self.activations * times,
            self.bias_adds * times,
            self.norm_inputs * times,
            self.pool_inputs * times,
        )


#: Named answers to "how many FLOPs?", each a function of a `Cost`.
CONVENTIONS: Mapping[str, Callable[[Cost], Number]] = {
    # Multiply-adds of convolutions and linear layers: the papers' FLOPs.
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
    total = Cost()
    for _, part in part_costs(architecture):
        total += part
    return total


def part_costs(architecture: Architecture) -> list[tuple[str, Cost]]:
    """The cost of each part in order: `stem`, `stage 1`, ..., `head`."""
    stem = architecture.stem
    size = output_size(architecture.resolution, stem.stride)
    parts = [("stem", conv_cost(3, stem.width, stem.kernel, size))]
    if stem.pool:
        size = output_size(size, 2)
    width = stem.width
    for number, stage in enumerate(architecture.stages, start=1):
        parts.append((f"stage {number}", stage_cost(stage, width, size)))
        width, size = stage.width, output_size(size, stage.stride)
    parts.append(
        ("head", head_cost(width, architecture.head.width, size, architecture.num_classes))
    )
    return parts


def output_size(size: Number, stride: Number) -> Number:
    """Pixels per side after a layer of `stride`: the size divided by it, rounded up."""
    return -(-size // stride)


@lru_cache(maxsize=65536)
def stage_cost(stage: Stage, width_in: int, size: int) -> Cost:
    """The cost of a stage whose input has `width_in` channels and `size` pixels per side."""
    block = BLOCK_COSTS[stage.block]
    total = block(
        width_in,
        stage.width,
        size,
        stride=stage.stride,
        kernel=stage.kernel,
        expand_ratio=stage.expand_ratio,
        squeeze=stage.squeeze(width_in),
    )
    if stage.depth == 1:
        return total
    repeated = block(
        stage.width,
        stage.width,
        output_size(size, stage.stride),
        stride=1,
        kernel=stage.kernel,
        expand_ratio=stage.expand_ratio,
        squeeze=stage.squeeze(stage.width),
    )
    return total + repeated * (stage.depth - 1)


# Layers. `size` is the output's pixels per side.


def conv_cost(width_in: Number, width_out: Number, kernel: Number, size: Number) -> Cost:
    """A convolution without bias and its batch norm."""
    weights = kernel * kernel * width_in * width_out
    outputs = width_out * size * size
    return Cost(
        macs=weights * size * size,
        params=weights + 2 * width_out,
        activations=outputs,
        norm_inputs=outputs,
    )


def depthwise_cost(width: Number, kernel: Number, size: Number) -> Cost:
    """A convolution of each channel by itself and its batch norm."""
    return conv_cost(1, width, kernel, size)


def squeeze_excite_cost(width: Number, squeeze: Number, size: Number) -> Cost:
    """Pool, two 1x1 convolutions with biases, re-weight; nothing if `squeeze` is 0.

    Source: Hu et al. 2018.
    """
    weights = 2 * width * squeeze
    outputs = width + squeeze
    cost = Cost(
        macs=weights,
        params=weights + outputs,
        activations=outputs,
        bias_adds=outputs,
        pool_inputs=width * size * size,
    )
    return cost * (squeeze > 0)


def head_cost(width_in: Number, width: Number, size: Number, num_classes: Number) -> Cost:
    """A 1x1 convolution to `width` channels (none if 0), global pooling, a linear classifier."""
    features = width + width_in * (width == 0)
    classifier = Cost(
        macs=features * num_classes,
        params=(features + 1) * num_classes,
        activations=num_classes,
        bias_adds=num_classes,
        pool_inputs=features * size * size,
    )
    return conv_cost(width_in, width, 1, size) + classifier


# Blocks. `size` is the input's pixels per side.


def _mbconv(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    hidden = width_in * expand_ratio
    small = output_size(size, stride)
    return (
        conv_cost(width_in, hidden, 1, size) * (expand_ratio > 1)
        + depthwise_cost(hidden, kernel, small)
        + squeeze_excite_cost(hidden, squeeze, small)
        + conv_cost(hidden, width, 1, small)
    )


def _fused_mbconv(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    expanded = expand_ratio > 1
    hidden = width_in * expand_ratio * expanded + width * (1 - expanded)
    small = output_size(size, stride)
    return (
        conv_cost(width_in, hidden, kernel, small)
        + squeeze_excite_cost(hidden, squeeze, small)
        + conv_cost(hidden, width, 1, small) * expanded
    )


def _separable(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    small = output_size(size, stride)
    return (
        depthwise_cost(width_in, kernel, small)
        + squeeze_excite_cost(width_in, squeeze, small)
        + conv_cost(width_in, width, 1, small)
    )


def _conv(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    small = output_size(size, stride)
    return conv_cost(width_in, width, kernel, small) + squeeze_excite_cost(width, squeeze, small)


def _bottleneck(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    hidden = width // 4
    small = output_size(size, stride)
    return (
        conv_cost(width_in, hidden, 1, size)
        + conv_cost(hidden, hidden, kernel, small)
        + conv_cost(hidden, width, 1, small)
        + _match(width_in, width, stride, small)
    )


def _basic(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    small = output_size(size, stride)
    return (
        conv_cost(width_in, width, kernel, small)
        + conv_cost(width, width, kernel, small)
        + _match(width_in, width, stride, small)
    )


def _identity(
    width_in: Number, width: Number, size: Number, *, stride: Number, kernel: Number,
    expand_ratio: Number, squeeze: Number,
) -> Cost:  # fmt: skip
    return _match(width_in, width, stride, output_size(size, stride))


def _match(width_in: Number, width: Number, stride: Number, size: Number) -> Cost:
    """The 1x1 convolution that matches a shortcut to a changed size or width."""
    return conv_cost(width_in, width, 1, size) * ((stride != 1) | (width_in != width))


BLOCK_COSTS: Mapping[str, Callable[..., Cost]] = {
    "mbconv": _mbconv,
    "fused-mbconv": _fused_mbconv,
    "separable": _separable,
    "conv": _conv,
    "bottleneck": _bottleneck,
    "basic": _basic,
    "identity": _identity,
}
