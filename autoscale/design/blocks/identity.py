"""Nothing, or what is left of it where size or width change (Su et al. 2021)."""

from autoscale.design.blocks.kind import BlockKind, BlockSettings
from autoscale.design.blocks.layers import Layout, projected
from autoscale.design.numbers import Number


def _layout(block: BlockSettings, width_in: Number, width: Number, stride: int) -> Layout:
    """The input, by a 1x1 convolution where size or width change."""
    return Layout((), projected(width_in, width, stride))


IDENTITY = BlockKind(name="identity", fields=frozenset(), layout=_layout, deepens=False)
