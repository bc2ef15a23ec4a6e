"""A network's parts from its input to its classifier: which learn, how fast, and what they drop.

A network tells its parts by an attribute `parts`, a mapping of names to sequences of modules, in
the order in which they work. Of a network that does not, there are two: all but the last linear
layer, and that one.
"""

from __future__ import annotations

from torch import nn

from autoscale.errors import InvalidSetting


def parts_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each part, from the input to the classifier."""
    told = getattr(network, "parts", None)
    if told is not None:
        return [[p for module in part for p in module.parameters()] for part in told.values()]
    last = [p for module in linear_layers(network)[-1:] for p in module.parameters()]
    apart = {id(parameter) for parameter in last}
    return [[p for p in network.parameters() if id(p) not in apart], last]


def shares_of_rate(network: nn.Module, layer_decay: float) -> dict[nn.Parameter, float]:
    """What each parameter's learning rate is of the classifier's.

    Source: the layer-wise decay of Clark et al. 2020 (ELECTRA) and Bao et al. 2022 (BEiT), by parts
    of the network instead of single layers.
    """
    parts = parts_of(network)
    return {
        parameter: layer_decay ** (len(parts) - 1 - place)
        for place, part in enumerate(parts)
        for parameter in part
    }


def to_learn(network: nn.Module) -> None:
    """Training mode, but for modules none of whose weights learns: they stay as they are in use.

    Their norms keep their statistics, and they drop nothing.
    """
    network.train()
    for module in network.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.eval()


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """All linear layers, in the order in which the network holds them."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def classifier_of(network: nn.Module) -> nn.Linear:
    """The last linear layer.

    Raises:
        InvalidSetting: if there is none.
    """
    layers = linear_layers(network)
    if not layers:
        raise InvalidSetting(
            "the network has no linear layer at its end, so its classifier cannot be told from its "
            "features"
        )
    return layers[-1]


class DropRates:
    """The rates of all modules of a network that drop something while it is trained.

    These are modules with a number `p` in (0, 1): torch's dropout, torchvision's stochastic depth
    and ours.
    """

    def __init__(self, network: nn.Module) -> None:
        found = ((module, getattr(module, "p", None)) for module in network.modules())
        self._rates = [(m, p) for m, p in found if isinstance(p, float) and 0 < p < 1]

    def scale(self, share: float) -> None:
        """Let each module drop at `share` of its rate; 1 restores it."""
        for module, rate in self._rates:
            module.p = share * rate  # type: ignore[assignment]
