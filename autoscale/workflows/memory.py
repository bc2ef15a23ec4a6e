"""How much memory a training takes, foretold from counts."""

from collections.abc import Mapping

from autoscale.design.budget import BYTES
from autoscale.design.scalable import Network, cost_of
from autoscale.training.recipe import Recipe

#: Numbers kept for the backward pass, as a multiple of a batch's convolution outputs, and numbers
#: beside every parameter, itself included (gradient, optimiser, average). Fitted to peaks of eight
#: networks on a CPU; see experiments/benchmarks/memory.
KEPT: Mapping[str, tuple[float, float]] = {
    "native": (2.7, 4.85),
    "torch": (2.7, 4.85),
    "none": (3.6, 2.85),
}


def training_bytes(network: Network, recipe: Recipe, *, kernels: str = "none") -> int:
    """Peak memory of training `network` by `recipe` in float32, images and libraries left out.

    Right to about a fifth on the networks it was fitted to.
    """
    found = cost_of(network)
    outputs, numbers = KEPT[kernels]
    kept = outputs * recipe.batch_size * found.activations + numbers * found.params
    return round(BYTES * kept)
