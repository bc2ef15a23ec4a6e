"""The surface of equal cost: where growth goes, in a triangle.

Networks of one cost share out its growth among depth, width and resolution. The shares are the
logarithms of what each became (of width and resolution squared, since cost grows with their
squares), so every network has a place in a triangle whose corners are "depth only", "width only"
and "resolution only".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi, sin, sqrt

from markupsafe import Markup

from autoscale.report.charts.labels import Box, Label, along, place_labels
from autoscale.report.charts.marks import RADIUS, Shape, Tone, symbol
from autoscale.report.charts.svg import Drawing, element, joined, light_colours, text

CORNERS = ("depth only", "width only", "resolution only")
Growth = tuple[float, float, float]  # factors of depth, width and resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A network."""

    growth: Growth
    tip: str
    tone: Tone
    shape: Shape
    radius: float = RADIUS
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangleFrame:
    """Where the triangle is drawn."""

    width: float
    height: float
    top: float  # of its upper corner
    side: float

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """Places of depth, width and resolution only; the sides are equally long."""
        left, bottom = (self.width - self.side) / 2, self.top + self.side * sqrt(3) / 2
        return ((self.width / 2, self.top), (left, bottom), (left + self.side, bottom))

    def place(self, growth: Growth) -> tuple[float, float]:
        """Where a growth lies."""
        shares = shares_of(growth)
        return (
            sum(share * x for share, (x, _) in zip(shares, self.corners, strict=True)),
            sum(share * y for share, (_, y) in zip(shares, self.corners, strict=True)),
        )


PAGE = TriangleFrame(width=400, height=356, top=38, side=324)
SHEET = TriangleFrame(width=960, height=640, top=38, side=640)


def shares_of(growth: Growth) -> Growth:
    """What part of the growth of cost depth, width and resolution bring; thirds if nothing grew."""
    depth, width, resolution = growth
    logs = (log(depth), 2 * log(width), 2 * log(resolution))
    total = sum(logs)
    if abs(total) <= 1e-9:
        return (1 / 3, 1 / 3, 1 / 3)
    return (logs[0] / total, logs[1] / total, logs[2] / total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangle:
    """A chart of the surface of equal cost; spots that come later lie above."""

    tiles: tuple[tuple[Growth, float], ...]  # a growth and its value
    step: float  # distance of neighbouring tiles / side of the triangle
    spots: tuple[Spot, ...]
    quantity: str  # what the shade shows
    ends: tuple[str, str]  # the least and the largest value, as they are written
    frame: TriangleFrame = PAGE

    def draw(self, title: str) -> Drawing:
        """The picture; readers that see nothing hear the title."""
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.frame.corners)
        body = [
            *self._tiles(),
            element("polygon", class_="axis", points=outline),
            *self._shades(),
            *(
                symbol(spot.shape, *self.frame.place(spot.growth), tone=spot.tone, tip=spot.tip,
                       radius=spot.radius)
                for spot in self.spots
            ),
            *self._labels(),
        ]  # fmt: skip
        frame = self.frame
        return Drawing(width=frame.width, height=frame.height, title=title, body=joined(body))

    @property
    def _radius(self) -> float:
        """Of a tile, a little more than what makes neighbours touch."""
        return 1.02 * self.step * self.frame.side / sqrt(3)

    def _tiles(self) -> Iterator[Markup]:
        """Hexagons that touch."""
        values = [value for _, value in self.tiles]
        low, high = min(values, default=0), max(values, default=0)
        radius = self._radius
        turns = [(sin(k * pi / 3), -sin(pi / 2 - k * pi / 3)) for k in range(6)]
        for growth, value in self.tiles:
            x, y = self.frame.place(growth)
            points = " ".join(f"{x + radius * dx:.1f},{y + radius * dy:.1f}" for dx, dy in turns)
            share = (value - low) / (high - low) if high > low else 0.5
            yield element("polygon", points=points, **_shade(share))

    def _shades(self) -> Iterator[Markup]:
        """What the shades mean, in the upper right corner."""
        right, steps = self.frame.corners[2][0] + 34, 20
        yield text(right, 14, self.quantity, kind="tick", anchor="end")
        for number in range(steps):
            yield element(
                "rect", x=right - 100 + 5 * number, y=20, width=5.5, height=12,
                **_shade(number / (steps - 1)),
            )  # fmt: skip
        yield text(right - 100, 46, self.ends[0], kind="tick")
        yield text(right, 46, self.ends[1], kind="tick", anchor="end")

    def _labels(self) -> Iterator[Markup]:
        (top_x, top_y), (left_x, left_y), (right_x, right_y) = self.frame.corners
        beyond = max(self._radius, RADIUS)
        yield text(top_x, top_y - beyond - 6, CORNERS[0], kind="label corner", anchor="middle")
        yield text(left_x - 30, left_y + beyond + 14, CORNERS[1], kind="label corner")
        yield text(
            right_x + 30, right_y + beyond + 14, CORNERS[2], kind="label corner", anchor="end"
        )
        names = [
            Label(at=self.frame.place(spot.growth), words=spot.label, kind=spot.tone)
            for spot in reversed(self.spots)
            if spot.label
        ]
        taken = [Box.around(*self.frame.place(s.growth), s.radius + 3) for s in self.spots]
        taken += along([*self.frame.corners, self.frame.corners[0]])
        area = Box(4, top_y - 4, self.frame.width - 4, left_y + 8)
        yield from place_labels(names, taken, area)


def _shade(share: float) -> dict[str, str]:
    """Attributes of a tile: the page's style sheet mixes its own colours by the share."""
    ends = (light_colours()[name].removeprefix("#") for name in ("pale", "deep"))
    pale, deep = (bytes.fromhex(end) for end in ends)
    mixed = bytes(round(p + share * (d - p)) for p, d in zip(pale, deep, strict=True))
    return {"class_": "tile", "fill": f"#{mixed.hex()}", "style": f"--share:{share:.0%}"}
