"""The picture of EfficientNet's announcement: model size against accuracy, as one SVG file.

Every point is labelled where it stands, so there is no legend to look up; the file needs no fonts,
scripts or styles from elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

import pandas as pd

from autoscale.design.published.accuracy import ACCURACIES, RIVALS
from autoscale.errors import InvalidSetting

WIDTH, HEIGHT = 960, 620
LEFT, RIGHT, TOP, BOTTOM = 70, 930, 70, 550  # the plotting area, pixels
LETTER = 6.6  # average width of a letter of size 11, pixels

#: With more families than these, the other networks are left out: they would hide each other.
MOST_AMONG_RIVALS = 3

#: Colours that colour-blind people tell apart (Okabe & Ito 2008); the first family gets the first.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#8C6D00", "#3A6EA5", "#5F5F5F")
GREY = "#8A8A8A"
INK = "#222222"


@dataclass(frozen=True, slots=True)
class Point:
    """One network: parameters in millions, top-1 accuracy in percent."""

    label: str
    params: float
    top1: float


@dataclass(frozen=True, slots=True)
class Line:
    """Networks that belong together, joined from the smallest to the largest."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "_Box") -> float:
        """Shared area, square pixels."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)


def picture(table: pd.DataFrame) -> str:
    """The networks of a comparison among those that EfficientNet was announced against, as SVG.

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
    lines: list[Line] = []
    others: list[Point] = []
    for family, members in known.groupby("family", sort=False):
        points = []
        for _, row in members.iterrows():
            recipe = recipes.get(row.network, "")
            params, short = row.params / 1e6, row.network.removeprefix(f"{family}-")
            if recipe:
                others.append(Point(f"{row.network} ({recipe})", params, row.top1))
            elif not family:
                lines.append(Line(row.network, (Point(row.network, params, row.top1),)))
            else:
                label = short.upper() if short != family else "1.0"
                points.append(Point(label, params, row.top1))
        if points:
            lines.append(Line(str(family), tuple(sorted(points, key=lambda p: p.params))))
    named = set(known.network)
    if len(lines) <= MOST_AMONG_RIVALS:
        others += [
            Point(rival.network, rival.params, rival.top1)
            for rival in RIVALS
            if rival.network.lower() not in named
        ]
    return draw(
        lines,
        others,
        title="Model size and accuracy",
        note="Accuracies as their sources print them (one crop); grey: networks for comparison, "
        "and members of a family trained with more than the rest.",
    )


def draw(lines: Sequence[Line], others: Sequence[Point] = (), *, title: str, note: str) -> str:
    """The picture as SVG text.

    Args:
        lines: families, in the order of their colours.
        others: single networks, in grey.
        note: a sentence below the picture, such as where the accuracies come from.
    """
    everything = [point for line in lines for point in line.points] + list(others)
    axes = _Axes.around(everything)
    body = list(_grid(axes))
    taken = [_around(axes, point, 5) for point in everything]
    for line in lines:  # a label should not lie on a line either
        for one, other in zip(line.points, line.points[1:], strict=False):
            taken += _along(axes, one, other)
    texts: list[str] = []
    for number, line in reversed(list(enumerate(lines))):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{axes.x(p.params):.1f},{axes.y(p.top1):.1f}" for p in line.points)
        body.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
            'stroke-linejoin="round"/>'
        )
        body += [_dot(axes, point, colour, 5) for point in line.points]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        if len(line.points) > 1:
            last = line.points[-1]
            name = Point(line.name, last.params, last.top1)
            texts.append(_text(axes, name, taken, colour, size=14, weight="bold"))
        for point in line.points:
            texts.append(_text(axes, point, taken, colour, size=11, weight="600"))
    body += [_dot(axes, point, GREY, 4) for point in others]
    texts += [_text(axes, point, taken, "#666666", size=11) for point in others]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<text x="{LEFT}" y="34" font-size="20" font-weight="bold" fill="{INK}">'
            f"{escape(title)}</text>",
            *body,
            *texts,
            f'<text x="{LEFT}" y="{HEIGHT - 14}" font-size="11" fill="#666666">'
            f"{escape(note)}</text>",
            "</svg>\n",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Axes:
    """Parameters on a logarithmic axis, accuracies on a linear one."""

    fewest: float
    most: float
    worst: float
    best: float
    step: float  # between ticks of accuracy

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_Axes":
        params = [point.params for point in points]
        accuracies = [point.top1 for point in points]
        span = max(accuracies) - min(accuracies)
        step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50) if span / step <= 9)
        worst = (min(accuracies) - step / 3) // step * step
        best = -(-(max(accuracies) + step / 3) // step) * step
        return cls(min(params) * 0.8, max(params) * 1.45, worst, best, step)

    def x(self, params: float) -> float:
        share = log10(params / self.fewest) / log10(self.most / self.fewest)
        return LEFT + share * (RIGHT - LEFT)

    def y(self, top1: float) -> float:
        return BOTTOM - (top1 - self.worst) / (self.best - self.worst) * (BOTTOM - TOP)


def _grid(axes: _Axes) -> Iterator[str]:
    top1 = axes.worst
    while top1 <= axes.best + 1e-9:
        y = axes.y(top1)
        yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#E6E6E6"/>'
        yield _tick(LEFT - 8, y + 4, f"{top1:g}%", "end")
        top1 += axes.step
    for params in (m * 10**e for e in range(-2, 5) for m in (1, 2, 5)):
        if axes.fewest <= params <= axes.most:
            x = axes.x(params)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}" stroke="#F2F2F2"/>'
            yield _tick(x, BOTTOM + 18, f"{params:g}M", "middle")
    yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}" stroke="{INK}"/>'
    yield _tick((LEFT + RIGHT) / 2, BOTTOM + 38, "Parameters (millions, logarithmic)", "middle")
    yield _tick(LEFT, TOP - 14, "ImageNet top-1 accuracy", "start")


def _tick(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="#555555" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _dot(axes: _Axes, point: Point, colour: str, radius: float) -> str:
    x, y = axes.x(point.params), axes.y(point.top1)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" stroke="white">'
        f"<title>{escape(point.label)}: {point.params:.4g}M parameters, {point.top1:g}%</title>"
        "</circle>"
    )


def _text(
    axes: _Axes, point: Point, taken: list[_Box], colour: str, *, size: int, weight: str = "normal"
) -> str:
    """The label of a point, at the free place nearest to it, with a halo."""
    box, anchor = min(
        _places(axes, point, size),
        key=lambda place: (
            sum(place[0].overlap(other) for other in taken) + 200 * _outside(place[0])
        ),
    )
    taken.append(box)
    x = {"start": box.left, "middle": (box.left + box.right) / 2, "end": box.right}[anchor]
    return (
        f'<text x="{x:.1f}" y="{box.bottom - 0.25 * size:.1f}" font-size="{size}" '
        f'font-weight="{weight}" fill="{colour}" text-anchor="{anchor}" stroke="white" '
        f'stroke-width="3" paint-order="stroke">{escape(point.label)}</text>'
    )


def _places(axes: _Axes, point: Point, size: int) -> Iterator[tuple[_Box, str]]:
    """Where a label may stand and how it is aligned, the best places first."""
    x, y = axes.x(point.params), axes.y(point.top1)
    width, height = LETTER * size / 11 * len(point.label), 1.2 * size
    for gap in (8, 16, 26):
        near, above, below = 0.7 * gap, y - 0.5 * gap - height, y + 0.5 * gap
        for left, top, anchor in (
            (x + gap, y - height / 2, "start"),
            (x - gap - width, y - height / 2, "end"),
            (x - width / 2, y - gap - height, "middle"),
            (x - width / 2, y + gap, "middle"),
            (x + near, below, "start"),
            (x - near - width, above, "end"),
            (x + near, above, "start"),
            (x - near - width, below, "end"),
        ):
            yield _Box(left, top, left + width, top + height), anchor


def _outside(box: _Box) -> float:
    """By how many pixels a label leaves the plotting area."""
    return (
        max(0.0, LEFT - box.left)
        + max(0.0, box.right - RIGHT)
        + max(0.0, TOP - box.top)
        + max(0.0, box.bottom - BOTTOM)
    )


def _around(axes: _Axes, point: Point, radius: float) -> _Box:
    x, y = axes.x(point.params), axes.y(point.top1)
    return _Box(x - radius, y - radius, x + radius, y + radius)


def _along(axes: _Axes, one: Point, other: Point) -> Iterable[_Box]:
    pieces = 24
    for piece in range(pieces + 1):
        share = piece / pieces
        x = axes.x(one.params) * (1 - share) + axes.x(other.params) * share
        y = axes.y(one.top1) * (1 - share) + axes.y(other.top1) * share
        yield _Box(x - 2, y - 2, x + 2, y + 2)
