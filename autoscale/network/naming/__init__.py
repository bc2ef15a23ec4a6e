"""What other libraries call the parts of our networks, told from names alone, one file a library.

A naming is an entry in its library's list; what reads weights looks through all of them.
"""

from collections.abc import Mapping
from typing import Any

from autoscale.network.naming import efficientnet_pytorch, timm, torchvision, transformers
from autoscale.network.naming.efficientnet_pytorch import lukemelas_names as lukemelas_names
from autoscale.network.naming.layers import Naming as Naming
from autoscale.network.naming.timm import has_timm_names as has_timm_names
from autoscale.network.naming.timm import timm_names as timm_names
from autoscale.network.naming.torchvision import mobilenet_v2_names as mobilenet_v2_names
from autoscale.network.naming.torchvision import resnet_names as resnet_names
from autoscale.network.naming.torchvision import torchvision_names as torchvision_names

NAMINGS = (
    *timm.NAMINGS,
    *efficientnet_pytorch.NAMINGS,
    *torchvision.NAMINGS,
    *transformers.NAMINGS,
)
#: The libraries, as messages name them.
LIBRARIES = tuple(dict.fromkeys(n.owner.removesuffix("s").removesuffix("'") for n in NAMINGS))


def naming_of(state: Mapping[str, Any]) -> Naming | None:
    """The library whose names a state dict has; None for ours and for unknown ones."""
    return next((naming for naming in NAMINGS if naming.holds(state)), None)
