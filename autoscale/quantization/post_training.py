"""From a graph and some training images to its int8 form, without any training."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import WEIGHT
from autoscale.quantization.calibration import Method, observe, ranges, reaches
from autoscale.quantization.equalise import STRENGTH, equalised
from autoscale.quantization.quantized import QuantizedGraph, quantized


def after_training(
    graph: g.Graph,
    batches: Sequence[Tensor],
    *,
    method: Method = "mse",
    together: bool = True,
    strength: float = STRENGTH,
    most: int = WEIGHT,
) -> tuple[g.Graph, QuantizedGraph]:
    """The graph in int8, and the float graph that it stands for: the given one, equalised.

    Args:
        batches: pixels (N, C, H, W), bytes, of a few hundred training images.
        method: how the range of a map is chosen.
        together: round the weights of an output together, not each by itself.
        strength: of equalising; 0 leaves it out.
        most: the largest magnitude of a weight.
    """
    if strength:
        graph = equalised(graph, reaches(graph, batches), strength)
    seen = observe(graph, batches, moments=together)
    chosen = ranges(graph, seen.maps, method)
    return graph, quantized(graph, chosen, seen.moments, most=most)
