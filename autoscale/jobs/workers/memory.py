"""How much memory a training takes, predicted from the maps that its layers keep."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from autoscale.design.amounts import BYTES
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Conv,
    Layer,
    Layout,
    MapSize,
    area,
    flow,
    is_inverted,
    sides,
)
from autoscale.design.cost import part_costs
from autoscale.design.style import Padding
from autoscale.design.walk import BlockPlace, Place, places_of, stem_layers, walk_stage
from autoscale.design.workload import ACTIVATIONS, work_at
from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.network.kernels.inverted import made_again
from autoscale.network.kernels.widening import FACTOR
from autoscale.scaling.scalable import Network, cost_of

#: By kernels: the peak / the numbers that layers keep, for the allocator leaves gaps and something
#: is always passing through; and numbers beside every parameter, itself included (gradient,
#: optimiser, average). Fitted to peaks of fourteen networks on a CPU, tested on ten others; see
#: experiments/benchmarks/memory.
HELD: Mapping[str, tuple[float, float]] = {
    "native": (1.21, 5.44),
    "torch": (1.16, 5.30),
    "none": (1.11, 5.74),
    BFLOAT16_KERNELS: (1.21, 5.44),
}
#: Of a number in a map by that of a float32, where it is another.
MAP_SIZES: Mapping[str, float] = {BFLOAT16_KERNELS: 0.5}
_NATIVE = ("native", BFLOAT16_KERNELS)


def training_bytes(
    network: Network, batch_size: int, *, kernels: str = "none", padding: Padding = "symmetric"
) -> int:
    """Peak memory of training `network`, images and libraries left out.

    Of a user's own network only convolutions and parameters are known; each convolution is taken to
    keep two maps, its own and the one behind its norm.
    """
    share, beside = HELD[kernels]
    each = share * numbers_held(network, kernels, padding)
    return round(BYTES * (batch_size * each + beside * cost_of(network).params))


def numbers_held(network: Network, kernels: str, padding: Padding = "symmetric") -> float:
    """The most that one image needs at once: what layers keep, and what passes through beside."""
    if not isinstance(network, Architecture):
        return 2.0 * float(network.cost.activations)
    size = MAP_SIZES.get(kernels, 1.0)
    passing = [float(found.peak) * size for _, found in part_costs(network)]
    kept = accumulate(_kept_by_part(network, kernels, padding))
    return _image(network) + max(map(sum, zip(kept, passing, strict=True)))


def numbers_kept(architecture: Architecture, kernels: str, padding: Padding = "symmetric") -> float:
    """What one image leaves for the backward pass, itself included."""
    return sum(_kept_by_part(architecture, kernels, padding))


def _kept_by_part(architecture: Architecture, kernels: str, padding: Padding) -> list[float]:
    image = _image(architecture)
    places = places_of(architecture)
    costs = [cost for _, cost in part_costs(architecture)]
    found = []
    for place, cost in zip(places, costs, strict=True):
        kept = _kept(place, float(cost.activations), kernels)
        found.append(kept + (_kept_by_padding(place, kernels) if padding == "same" else 0.0))
    found[0] += (image - _not_stored(places, kernels)) * MAP_SIZES.get(kernels, 1.0)
    return found


def _not_stored(places: Sequence[Place], kernels: str) -> int:
    """Numbers of the map behind a stem, where native kernels make it again as they read it: if it
    ends with a whole convolution, and the block behind it neither expands nor adds its input."""
    stem, block = places[0].part, next(walk_stage(places[1]))
    layout = block.layout
    if kernels not in _NATIVE or not isinstance(stem, Stem) or not is_inverted(layout):
        return 0
    *_, last = stem_layers(stem, places[0].width)
    whole = isinstance(last, Conv) and last.groups != DEPTHWISE and last.kernel > 1
    first = layout.branch[0]
    alone = isinstance(first, Conv) and first.groups == DEPTHWISE
    if not (whole and alone) or layout.shortcut.added or layout.entry:
        return 0
    return int(block.width_in * area(block.size))


def _image(architecture: Architecture) -> int:
    height, width = architecture.image_size
    return architecture.channels * height * width


def _kept(place: Place, outputs: float, kernels: str) -> float:
    """Of one part: `outputs` of its convolutions, and what is made of these."""
    work = work_at(place)
    blocks = list(walk_stage(place)) if isinstance(place.part, Stage) else []
    if kernels in _NATIVE and blocks and is_inverted(blocks[0].layout):
        # `network.kernels.inverted`: every map before its norm, and what the block gives.
        stored = outputs + sum(_given(block) - _made_again(block) for block in blocks)
        return stored * MAP_SIZES.get(kernels, 1.0)

    def numbers(kind: str) -> float:
        return work.get((kind, "numbers"), 0.0)

    # Maps of convolutions, those behind their norms, and products with a gate.
    kept = 2 * outputs + numbers("mul") / 2
    if blocks and not _is_accelerated(blocks[0].layout):
        kernels = "none"
    if kernels == "torch":
        # `network.kernels.widening`: of an expansion its narrow input, not what it gives.
        kept -= sum(_saved_by_widening(block) for block in blocks)
    if kernels not in _NATIVE:  # whose backward pass makes again what was before an activation
        before = sum(numbers(kind) for kind in ACTIVATIONS.values()) / 2
        # Torch's own gradient of a ReLU needs only what is behind it.
        kept += before - (numbers("relu") / 2 if kernels == "none" else 0.0)
    return kept * MAP_SIZES.get(kernels, 1.0)


def _is_accelerated(layout: Layout) -> bool:
    """Whether layers with their own backward pass do a block; else torch's autograd does."""
    convs = [layer for layer in layout.branch if isinstance(layer, Conv)]
    return layout.act is None and all(conv.norm == "batch" for conv in convs)


def _given(block: BlockPlace) -> int:
    """Numbers that the last layer of the branch gives."""
    *_, last = flow(block.layout.branch, block.width_in, block.size)
    return last.width_out * area(last.size)


def _made_again(block: BlockPlace) -> int:
    """Numbers of an expansion's map that is not stored, since the backward pass makes it again."""
    first = block.layout.branch[0] if block.layout.branch else None
    if not isinstance(first, Conv) or first.groups == DEPTHWISE:
        return 0
    pixels = area(block.size)
    return int(first.width * pixels) if made_again(int(pixels), block.width_in) else 0


def _saved_by_widening(block: BlockPlace) -> int:
    first = block.layout.branch[0] if block.layout.branch else None
    if not (isinstance(first, Conv) and is_inverted(block.layout)) or first.groups == DEPTHWISE:
        return 0
    widens = first.width >= FACTOR * block.width_in
    return int((first.width - block.width_in) * area(block.size)) if widens else 0


def _kept_by_padding(place: Place, kernels: str) -> float:
    """What TensorFlow's padding adds: padded copies of the maps that strided convolutions read.

    Native kernels that filter each channel by itself pad as they read.
    """
    part, width, size = place.part, place.width_in, place.size
    if isinstance(part, Head) or part.stride == 1:
        return 0.0
    # Torch's autograd keeps a copy in place of the map, unless a sum or a ReLU keeps that too.
    instead = kernels == "none"
    if isinstance(part, Stem):
        return _copied(stem_layers(part, place.width), width, size, kernels, instead)
    layout = next(walk_stage(place)).layout
    if kernels == BFLOAT16_KERNELS and not _is_accelerated(layout):
        kernels = "none"  # torch's autograd has the whole block in float32
    instead = instead and _is_accelerated(layout)
    found = _copied(layout.branch, width, size, kernels, instead)
    if isinstance(layout.shortcut.layer, Conv):
        found += _copied([layout.shortcut.layer], width, size, kernels, instead)
    return found


def _copied(
    layers: Iterable[Layer], width: int, size: MapSize, kernels: str, instead: bool
) -> float:
    """Numbers of the padded maps; where they stand `instead` of the maps, how many more."""
    found = 0.0
    for step in flow(layers, width, size):
        layer = step.layer
        if isinstance(layer, Conv) and layer.stride > 1:
            if kernels in _NATIVE and layer.groups == DEPTHWISE:
                continue
            pixels, padded = area(step.size), 1
            for side, out in zip(sides(step.size), sides(step.size_out), strict=True):
                padded *= max(side, (out - 1) * layer.stride + layer.kernel)
            if kernels == BFLOAT16_KERNELS:  # torch pads a copy in float32
                found += step.width * (1.5 * padded + pixels)
            else:
                found += step.width * (padded - pixels * instead)
    return found
