"""A network of any kind as a module with fresh weights."""

from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.design.style import Style
from autoscale.models.user_model import make
from autoscale.network.build import build
from autoscale.scaling.scalable import Network


def realise(
    network: Network, *, norm_momentum: float = 0.1, style: Style | None = None
) -> nn.Module:
    """A network with weights from torch's global generator.

    Args:
        style: of a design; a user's network is as it was written.

    Raises:
        InvalidSetting: if a function of the user's fails or its answer does not fit.
    """
    if isinstance(network, Architecture):
        return build(network, norm_momentum=norm_momentum, **(style or Style()).options)
    return make(network)
