"""Named values under each other on one axis: one line a thing, its name above its value."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Shape, Tone, bar, symbol
from autoscale.report.charts.svg import Drawing, element, joined, line, text

WIDTH, LEFT, RIGHT, TOP = 400, 12, 388, 12
ROW = 34  # height of a row
LONGEST = 60  # letters of a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One named value on a common axis."""

    name: str
    value: float
    tip: str
    tone: Tone = "main"
    shape: Shape = "dot"
    low: float | None = None
    high: float | None = None
    from_zero: bool = False  # a bar from the axis instead of a mark
    limit: float | None = None  # a tick on this row alone
    more: tuple[float, ...] = ()  # single values behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A chart of named values; `zero` is marked across all rows."""

    axis: Axis
    rows: tuple[Row, ...]
    zero: float | None = None

    def draw(self, title: str) -> Drawing:
        """The picture; readers that see nothing hear the title."""
        bottom = TOP + ROW * len(self.rows) + 4
        body = [*self._axis(bottom)]
        for number, row in enumerate(self.rows):
            body += self._row(row, TOP + ROW * number)
        return Drawing(width=WIDTH, height=bottom + 44, title=title, body=joined(body))

    def _across(self, value: float) -> float:
        return LEFT + self.axis.share(value) * (RIGHT - LEFT)

    def _axis(self, bottom: float) -> Iterator[Markup]:
        for value in self.axis.ticks():
            x = self._across(value)
            yield line("grid", x, TOP, x, bottom)
            anchor = "start" if x < LEFT + 14 else "end" if x > RIGHT - 14 else "middle"
            yield text(x, bottom + 16, self.axis.text(value), kind="tick", anchor=anchor)
        if self.zero is not None:
            x = self._across(self.zero)
            yield line("guide", x, TOP, x, bottom)
        middle = (LEFT + RIGHT) / 2
        yield text(middle, bottom + 36, self.axis.title, kind="axis-title", anchor="middle")

    def _row(self, row: Row, top: float) -> Iterator[Markup]:
        y, value = top + 24, self._across(row.value)
        yield text(LEFT, top + 12, _cut(row.name), kind="row")
        if row.low is not None and row.high is not None:
            yield line(f"whisker {row.tone}", self._across(row.low), y, self._across(row.high), y)
        for one in row.more:
            yield element("circle", class_=f"single {row.tone}", cx=self._across(one), cy=y, r=3)
        if row.from_zero:
            start = self._across(0.0)
            yield bar(start, y, value - start, tone=row.tone, tip=row.tip)
        else:
            yield symbol(row.shape, value, y, tone=row.tone, tip=row.tip)
        if row.limit is not None:
            x = self._across(row.limit)
            yield line("limit", x, y - 9, x, y + 9)


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
