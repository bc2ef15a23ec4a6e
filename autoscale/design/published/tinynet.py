"""TinyNet (Han et al. 2020): EfficientNet-B0 made smaller, mostly in resolution and depth.

Source: Han et al. 2020, arXiv 2010.14819; huawei-noah/Efficient-AI-Backbones, tinynet_pytorch.
"""

from collections.abc import Mapping

from autoscale.design.published.efficientnet import EFFICIENTNET_B0, Multipliers, members

TINYNETS: Mapping[str, Multipliers] = {
    "tinynet-a": Multipliers(1.0, 1.2, 192, 0.2),
    "tinynet-b": Multipliers(0.75, 1.1, 188, 0.2),
    "tinynet-c": Multipliers(0.54, 0.85, 184, 0.2),
    "tinynet-d": Multipliers(0.54, 0.695, 152, 0.2),
    "tinynet-e": Multipliers(0.51, 0.6, 106, 0.2),
}

TINYNET = members(EFFICIENTNET_B0, TINYNETS, "tinynet")
