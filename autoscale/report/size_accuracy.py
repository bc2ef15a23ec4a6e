"""The picture of EfficientNet's announcement: model size against accuracy.

Every point is labelled where it stands, so there is no legend to look up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from autoscale.design.published.accuracy import ACCURACIES, RIVALS
from autoscale.errors import InvalidSetting
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Tone
from autoscale.report.charts.plot import SHEET, Mark, Path, Plot
from autoscale.report.document import each_row

TITLE = "Model size and accuracy"
NOTE = (
    "Accuracies as their sources print them (one crop); grey: networks for comparison, and members "
    "of a family trained with more than the rest."
)
#: With more families than these, the other networks are left out: they would hide each other.
MOST_AMONG_RIVALS = 3
#: Tones of the families, in their order.
TONES: tuple[Tone, ...] = ("pick", "main", "good", "other", "ochre", "teal", "bad")


@dataclass(frozen=True, slots=True)
class Point:
    """One network: parameters in millions, top-1 accuracy in percent."""

    label: str
    params: float
    top1: float

    def mark(self, tone: Tone) -> Mark:
        """What stands for it in the chart."""
        tip = f"{self.label}: {self.params:.4g}M parameters, {self.top1:g}%"
        return Mark(x=self.params, y=self.top1, tip=tip, tone=tone, label=self.label)


@dataclass(frozen=True, slots=True)
class Line:
    """Networks that belong together, joined from the smallest to the largest."""

    name: str
    points: tuple[Point, ...]


def size_chart(table: pd.DataFrame) -> Plot:
    """The networks of a comparison among those that EfficientNet was announced against.

    With many families only these are shown. Networks without a published accuracy are left out.
    Those trained with more than the rest of their family, such as other images, are not joined to
    it and say so.

    Args:
        table: as `compare` gives it; needs family, network, params and top1.

    Raises:
        InvalidSetting: if none has a published accuracy.
    """
    known = table[table.top1.notna()]
    if known.empty:
        raise InvalidSetting("nothing to plot: none of these networks has a published accuracy")
    recipes = {found.network: found.recipe for found in ACCURACIES}
    extra = known.network.map(recipes).fillna("") != ""
    lines = list(_lines(known[~extra]))
    others = [
        Point(f"{row.network} ({recipes[row.network]})", row.params / 1e6, row.top1)
        for row in each_row(known[extra])
    ]
    if len(lines) <= MOST_AMONG_RIVALS:
        named = set(known.network)
        others += [
            Point(rival.network, rival.params, rival.top1)
            for rival in RIVALS
            if rival.network.lower() not in named
        ]
    return _plot(lines, others)


def _lines(known: pd.DataFrame) -> Iterator[Line]:
    """The families in their order; a network without one stands alone."""
    for family, members in known.groupby("family", sort=False):
        points = sorted(
            (
                Point(_short(row.network, str(family)), row.params / 1e6, row.top1)
                for row in each_row(members)
            ),
            key=lambda point: point.params,
        )
        if family:
            yield Line(str(family), tuple(points))
        else:
            yield from (Line(point.label, (point,)) for point in points)


def _short(network: str, family: str) -> str:
    """A member's name without its family's, which is written at the line."""
    if not family:
        return network
    return "1.0" if network == family else network.removeprefix(f"{family}-").upper()


def _plot(lines: Sequence[Line], others: Sequence[Point]) -> Plot:
    """The first family lies above all others, and its labels choose first."""
    toned = [(line, TONES[number % len(TONES)]) for number, line in enumerate(lines)][::-1]
    points = [*others, *(point for line in lines for point in line.points)]
    params = [point.params for point in points]
    return Plot(
        x=Axis(
            title="Parameters (millions, logarithmic)",
            low=min(params) * 0.8,
            high=max(params) * 1.45,  # room for labels
            logarithmic=True,
            text="{:g}M".format,
        ),
        y=Axis.around(
            [point.top1 for point in points],
            title="ImageNet top-1 accuracy",
            text="{:g}%".format,
            limits=(0, 100),
        ),
        marks=(
            *(point.mark("quiet") for point in others),
            *(point.mark(tone) for line, tone in toned for point in line.points),
        ),
        paths=tuple(
            Path(
                points=tuple((point.params, point.top1) for point in line.points),
                tone=tone,
                label=line.name if len(line.points) > 1 else "",
            )
            for line, tone in toned
        ),
        frame=SHEET,
    )
