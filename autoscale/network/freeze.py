"""Parts of a network that are not trained."""

from torch import nn

from autoscale.errors import InvalidSetting
from autoscale.network.build import Network

#: All but the classifier, as the number of leading parts that are frozen.
FEATURES = -1


def freeze(network: Network, *, parts: int = 0, norms: bool = False) -> None:
    """Let weights of a network take no gradient, so that a training leaves them alone.

    A module none of whose weights learns is trained in eval mode (`training.parts.to_learn`), so
    frozen batch norms keep their statistics.

    Args:
        parts: so many leading parts, see `Network.parts`: the stem is the first, then come the
            stages; `FEATURES` is all but the classifier.
        norms: all norms too, wherever they are.

    Raises:
        InvalidSetting: if the network has fewer stages.
    """
    rows = list(network.parts.values())
    if parts > len(network.stages) + 1:
        raise InvalidSetting(
            f"the network has {len(network.stages)} stages, and {parts - 1} are to be frozen; "
            "freeze fewer, or features for all but the classifier"
        )
    for part in rows[:parts]:
        for module in part:
            module.requires_grad_(False)
    if norms:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.requires_grad_(False)
