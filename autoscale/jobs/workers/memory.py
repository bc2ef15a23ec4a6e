"""How much memory a training takes, foretold from the maps that its layers keep."""

from collections.abc import Mapping
from itertools import accumulate

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.budget import BYTES
from autoscale.design.cost import output_size, part_costs
from autoscale.design.style import Padding
from autoscale.design.workload import ACTIVATIONS, Place, places_of, work_at
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
}


def training_bytes(
    network: Network, batch_size: int, *, kernels: str = "none", padding: Padding = "symmetric"
) -> int:
    """Peak memory of training `network` in float32, images and libraries left out.

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
    passing = [float(found.peak) for _, found in part_costs(network)]
    kept = accumulate(_kept_by_part(network, kernels, padding))
    return 3 * network.resolution**2 + max(map(sum, zip(kept, passing, strict=True)))


def numbers_kept(architecture: Architecture, kernels: str, padding: Padding = "symmetric") -> float:
    """What one image leaves for the backward pass, itself included."""
    return sum(_kept_by_part(architecture, kernels, padding))


def _kept_by_part(architecture: Architecture, kernels: str, padding: Padding) -> list[float]:
    image = 3 * architecture.resolution**2
    parts = zip(places_of(architecture), part_costs(architecture), strict=True)
    found = [_kept(place, float(cost.activations), kernels) for place, (_, cost) in parts]
    if padding == "same":
        padded = [_kept_by_padding(place, kernels) for place in places_of(architecture)]
        found = [each + more for each, more in zip(found, padded, strict=True)]
    return [image + found[0], *found[1:]]


def _kept(place: Place, outputs: float, kernels: str) -> float:
    """Of one part: `outputs` of its convolutions, and what is made of these."""
    part, work = place.part, work_at(place)
    block = part.block if isinstance(part, Stage) else ""
    after = output_size(place.size, part.stride) ** 2 if isinstance(part, Stage) else 0
    if kernels == "native" and isinstance(part, Stage) and block in ("mbconv", "separable"):
        # `network.native.inverted`: every map before its norm, and those that `project` reads and
        # that the block gives.
        ratio = part.expand_ratio if block == "mbconv" else 1
        read = (place.width + (part.depth - 1) * part.width) * ratio * after
        return outputs + read + part.depth * part.width * after

    def numbers(kind: str) -> float:
        return work.get((kind, "numbers"), 0.0)

    # Maps of convolutions, those behind their norms, and products with a gate.
    kept = 2 * outputs + numbers("mul") / 2
    if block in ("basic", "bottleneck"):
        kernels = "none"  # torch's autograd does them
    if kernels == "torch" and isinstance(part, Stage) and block == "mbconv":
        # `network.native.widening`: of an expansion its narrow input, not what it gives.
        narrow = place.width * place.size**2 + (part.depth - 1) * part.width * after
        kept -= (part.expand_ratio - 1) * narrow if part.expand_ratio >= FACTOR else 0
    if kernels != "native":  # whose backward pass makes again what was before an activation
        before = sum(numbers(kind) for kind in ACTIVATIONS.values()) / 2
        # Torch's own gradient of a ReLU needs only what is behind it.
        kept += before - (numbers("relu") / 2 if kernels == "none" else 0.0)
    return kept


def _kept_by_padding(place: Place, kernels: str) -> float:
    """What TensorFlow's padding adds: padded copies of the maps that strided convolutions read.

    A native block with such a convolution is computed layer by layer and stores its hidden maps.
    """
    part, size = place.part, place.size
    if isinstance(part, Head) or part.stride == 1:
        return 0.0
    after = output_size(size, part.stride)

    # Torch's autograd keeps a copy in place of the map, unless a sum or a ReLU keeps that too.
    instead = kernels == "none" and not (
        isinstance(part, Stage) and part.block in ("basic", "bottleneck")
    )

    def copied(width: int, kernel: int) -> float:
        side = max(size, (after - 1) * part.stride + kernel)
        return float(width * (side**2 - size**2 * instead))

    if isinstance(part, Stem):
        return copied(place.width, part.kernel)
    if part.block == "identity":
        return copied(place.width, 1)
    if part.block in ("basic", "bottleneck"):
        filtered = place.width if part.block == "basic" else part.width // 4
        return copied(filtered, part.kernel) + copied(place.width, 1)
    hidden = place.width * (part.expand_ratio if part.block == "mbconv" else 1)
    found = copied(hidden, part.kernel)
    if kernels == "native" and part.block in ("mbconv", "separable"):
        found += hidden * size**2 if hidden > place.width else 0
        found += hidden * after**2 if part.se_ratio > 0 else 0
    return found
