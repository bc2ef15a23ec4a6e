"""Families scaled in one dimension and in all three: Tables 3 and 7 of Tan & Le 2019, recounted.

Each row is built from the multipliers that the paper prints, so its counted multiply-adds can be
held against the paper's own figure.
"""

from dataclasses import dataclass

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.published.efficientnet import EFFICIENTNET_B0
from autoscale.design.published.mobilenet import MOBILENET_V1, MOBILENET_V2
from autoscale.design.published.resnet import RESNET_50
from autoscale.design.rounding import ROUNDINGS, scale

#: A row agrees if count and paper differ by at most this many billions of multiply-adds.
TOLERANCE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledRow:
    """One row of a table: a base, its multipliers, and what the paper says of it."""

    table: int
    base: str
    depth: float = 1.0
    width: float = 1.0
    resolution: int = 224  # pixels
    published: float  # billions of multiply-adds
    top1: float  # percent
    note: str = ""  # why the figure is not what the construction gives

    @property
    def architecture(self) -> Architecture:
        """The network of this row."""
        base, rounding = BASES[self.base]
        return scale(
            base,
            depth=self.depth,
            width=self.width,
            resolution=self.resolution,
            rounding=ROUNDINGS[rounding],
        )

    @property
    def counted(self) -> float:
        """Billions of multiply-adds."""
        return float(cost(self.architecture).macs / 1e9)

    @property
    def agrees(self) -> bool:
        """Whether the paper's figure is what its construction gives."""
        return abs(self.counted - self.published) <= TOLERANCE


#: Each base with the rounding policy of its released code.
BASES = {
    "mobilenet-v1": (MOBILENET_V1, "int"),
    "mobilenet-v2": (MOBILENET_V2, "mobilenet-v2"),
    "resnet-50": (RESNET_50, "int"),
    "efficientnet-b0": (EFFICIENTNET_B0, "tf"),
}

_SWAPPED = "looks swapped with the row of the other dimension"
_NOT_GIVEN = "coefficients not given in the paper; those of MobileNetV1 are assumed"
_UNMATCHED = "below the paper's figure: this rival is cheaper than the compound model"

#: Sources: Tan & Le 2019 (arXiv 1905.11946v5), Tables 3 and 7. A resolution of r = 1.3 is 291
#: pixels; MobileNetV1's figure is that of 288.
SCALED_ROWS = (
    ScaledRow(table=3, base="mobilenet-v1", published=0.6, top1=70.6),
    ScaledRow(table=3, base="mobilenet-v1", width=2, published=2.2, top1=74.2),
    ScaledRow(table=3, base="mobilenet-v1", resolution=448, published=2.2, top1=72.7),
    ScaledRow(
        table=3, base="mobilenet-v1", depth=1.4, width=1.2, resolution=288,
        published=2.3, top1=75.6,
    ),
    ScaledRow(table=3, base="mobilenet-v2", published=0.3, top1=72.0),
    ScaledRow(table=3, base="mobilenet-v2", depth=4, published=1.2, top1=76.8),
    ScaledRow(table=3, base="mobilenet-v2", width=2, published=1.1, top1=76.4),
    ScaledRow(table=3, base="mobilenet-v2", resolution=448, published=1.2, top1=74.8),
    ScaledRow(
        table=3, base="mobilenet-v2", depth=1.4, width=1.2, resolution=291,
        published=1.3, top1=77.4, note=_NOT_GIVEN,
    ),
    ScaledRow(table=3, base="resnet-50", published=4.1, top1=76.0),
    ScaledRow(table=3, base="resnet-50", depth=4, published=16.2, top1=78.1, note=_SWAPPED),
    ScaledRow(table=3, base="resnet-50", width=2, published=14.7, top1=77.7, note=_SWAPPED),
    ScaledRow(table=3, base="resnet-50", resolution=448, published=16.4, top1=77.5),
    ScaledRow(
        table=3, base="resnet-50", depth=1.4, width=1.2, resolution=291,
        published=16.7, top1=78.8, note=_NOT_GIVEN,
    ),
    ScaledRow(table=7, base="efficientnet-b0", published=0.4, top1=77.3),
    ScaledRow(
        table=7, base="efficientnet-b0", depth=4, published=1.8, top1=79.0, note=_UNMATCHED
    ),
    ScaledRow(
        table=7, base="efficientnet-b0", width=2, published=1.8, top1=78.9, note=_UNMATCHED
    ),
    ScaledRow(
        table=7, base="efficientnet-b0", resolution=448, published=1.9, top1=79.1, note=_UNMATCHED
    ),
    ScaledRow(
        table=7, base="efficientnet-b0", depth=1.4, width=1.2, resolution=291,
        published=1.8, top1=81.1,
    ),
)  # fmt: skip
