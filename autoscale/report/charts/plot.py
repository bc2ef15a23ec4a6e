"""Points and lines between two axes."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from autoscale.report.charts.axis import Axis
from autoscale.report.charts.labels import Box, Label, along, place_labels
from autoscale.report.charts.marks import RADIUS, Shape, Tone, symbol
from autoscale.report.charts.svg import Drawing, element, joined, line, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One thing that was measured or counted."""

    x: float
    y: float
    tip: str  # what it is, lines of text
    tone: Tone = "main"
    shape: Shape = "dot"
    low: float | None = None  # ends of an interval in y
    high: float | None = None
    label: str = ""  # written beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Points joined by a line."""

    points: tuple[tuple[float, float], ...]
    tone: Tone = "main"
    dashed: bool = False
    label: str = ""  # of the whole line, written at its last point


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """A limit across the chart."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a plot is drawn."""

    width: float
    height: float
    area: Box  # between the axes
    ticks: int  # at most so many on each axis


#: 400 units wide, so that letters can be read on a phone; a wide page sets two side by side.
PAGE = Frame(width=400, height=300, area=Box(46, 30, 388, 252), ticks=6)
SHEET = Frame(width=960, height=570, area=Box(70, 24, 930, 510), ticks=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A chart of points and lines; what comes later lies above, and its label chooses first."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    paths: tuple[Path, ...] = ()
    guides: tuple[Guide, ...] = ()
    frame: Frame = PAGE

    def draw(self, title: str) -> Drawing:
        """The picture; readers that see nothing hear the title."""
        body = joined(
            [
                *self._axes(),
                *(self._guide(guide) for guide in self.guides),
                *(self._path(path) for path in self.paths),
                *(self._whisker(mark) for mark in self.marks if mark.low is not None),
                *(
                    symbol(mark.shape, *self._place(mark.x, mark.y), tone=mark.tone, tip=mark.tip)
                    for mark in self.marks
                ),
                *self._labels(),
            ]
        )
        return Drawing(width=self.frame.width, height=self.frame.height, title=title, body=body)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        area = self.frame.area
        return (
            area.left + self.x.share(x) * (area.right - area.left),
            area.bottom - self.y.share(y) * (area.bottom - area.top),
        )

    def _axes(self) -> Iterator[Markup]:
        area = self.frame.area
        for value in self.y.ticks(self.frame.ticks):
            _, y = self._place(self.x.low, value)
            yield line("grid", area.left, y, area.right, y)
            yield text(area.left - 6, y + 4, self.y.text(value), kind="tick", anchor="end")
        for value in self.x.ticks(self.frame.ticks):
            x, _ = self._place(value, self.y.low)
            yield line("grid", x, area.top, x, area.bottom)
            yield text(x, area.bottom + 16, self.x.text(value), kind="tick", anchor="middle")
        yield line("axis", area.left, area.bottom, area.right, area.bottom)
        middle = (area.left + area.right) / 2
        yield text(middle, area.bottom + 38, self.x.title, kind="axis-title", anchor="middle")
        yield text(area.left - 42, area.top - 14, self.y.title, kind="axis-title")

    def _guide(self, guide: Guide) -> Markup:
        area = self.frame.area
        x, _ = self._place(guide.x, self.y.low)
        beside, anchor = (4, "start") if x < area.right - 90 else (-4, "end")
        named = text(x + beside, area.bottom - 6, guide.label, kind="guide-label", anchor=anchor)
        return line("guide", x, area.top, x, area.bottom) + named

    def _path(self, path: Path) -> Markup:
        kind = f"line {path.tone}{' dashed' if path.dashed else ''}"
        places = (self._place(*point) for point in path.points)
        return element(
            "polyline", class_=kind, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        )

    def _whisker(self, mark: Mark) -> Markup:
        low, high = mark.low, mark.high
        assert low is not None
        assert high is not None
        x, bottom = self._place(mark.x, low)
        return line(f"whisker {mark.tone}", x, bottom, x, self._place(mark.x, high)[1])

    def _labels(self) -> Iterator[Markup]:
        names = [
            Label(at=self._place(*path.points[-1]), words=path.label, kind=f"series {path.tone}",
                  size=14)
            for path in reversed(self.paths)
            if path.label
        ]  # fmt: skip
        names += [
            Label(at=self._place(mark.x, mark.y), words=mark.label, kind=mark.tone)
            for mark in reversed(self.marks)
            if mark.label
        ]
        taken = [Box.around(*self._place(mark.x, mark.y), RADIUS + 1) for mark in self.marks]
        lines = [path.points for path in self.paths]
        lines += [
            ((mark.x, mark.low), (mark.x, mark.high))
            for mark in self.marks
            if mark.low is not None and mark.high is not None
        ]
        for points in lines:
            taken += along([self._place(*point) for point in points])
        return place_labels(names, taken, self.frame.area)
