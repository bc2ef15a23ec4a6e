"""Parts of a network that are not trained."""

from torch import nn

from autoscale.errors import InvalidSetting
from autoscale.network.build import Network


def freeze(
    network: Network, *, stages: int | None = None, features: bool = False, norms: bool = False
) -> None:
    """Let weights of a network take no gradient, so that a training leaves them alone.

    A module none of whose weights learns is trained in eval mode (`training.parts.to_learn`), so
    frozen batch norms keep their statistics.

    Args:
        stages: so many, with the stem; 0 freezes the stem alone.
        features: all but the classifier.
        norms: all norms too, wherever they are.

    Raises:
        InvalidSetting: if the network has fewer stages.
    """
    if stages is not None and stages > len(network.stages):
        raise InvalidSetting(
            f"the network has {len(network.stages)} stages, and {stages} are to be frozen; freeze "
            "fewer, or features for all but the classifier"
        )
    *before, _ = network.parts.values()
    leading = before if features else before[: 0 if stages is None else 1 + stages]
    for part in leading:
        for module in part:
            module.requires_grad_(False)
    if norms:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.requires_grad_(False)
