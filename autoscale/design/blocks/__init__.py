"""The kinds of block, a file each. A new one is a file and its line in `KINDS`."""

from collections.abc import Mapping

from autoscale.design.blocks.basic import BASIC
from autoscale.design.blocks.bottleneck import BOTTLENECK
from autoscale.design.blocks.conv import CONV
from autoscale.design.blocks.convnext import CONVNEXT
from autoscale.design.blocks.fused_mbconv import FUSED_MBCONV
from autoscale.design.blocks.identity import IDENTITY
from autoscale.design.blocks.kind import BlockKind
from autoscale.design.blocks.mbconv import MBCONV
from autoscale.design.blocks.mobilenet_v3 import MOBILENET_V3
from autoscale.design.blocks.resnext import RESNEXT
from autoscale.design.blocks.separable import SEPARABLE
from autoscale.design.blocks.universal import UNIVERSAL

#: By name, in the order in which messages list them.
KINDS: Mapping[str, BlockKind] = {
    kind.name: kind
    for kind in (
        MBCONV,
        FUSED_MBCONV,
        SEPARABLE,
        CONV,
        BOTTLENECK,
        BASIC,
        IDENTITY,
        RESNEXT,
        MOBILENET_V3,
        UNIVERSAL,
        CONVNEXT,
    )
}
