"""Counts of a built network, by tracing it: the second way to the numbers of `design.cost`."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from autoscale.design.cost import Cost


def traced_cost(network: nn.Module, *, resolution: int) -> Cost:
    """What one image of `resolution` pixels per side costs, traced by fvcore.

    Gives `macs`, `params` and `activations`; the network is left in the mode it had.
    """
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    image = torch.zeros(1, 3, resolution, resolution, device=device)
    outputs = Counter[str]()

    def record(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs["numbers"] += output.numel()

    with evaluating(network), torch.no_grad():
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        hooks = [layer.register_forward_hook(record) for layer in layers]
        try:
            network(image)
        finally:
            for hook in hooks:
                hook.remove()
        analysis = FlopCountAnalysis(network, image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = analysis.by_operator()
    return Cost(
        macs=int(operators["conv"] + operators["linear"]),
        params=sum(p.numel() for p in network.parameters()),
        activations=outputs["numbers"],
    )


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode inside, in the mode it had afterwards."""
    mode = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(mode)
