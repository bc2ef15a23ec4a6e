"""Charts for the report's page: SVG text that takes its colours from the page's style sheet.

A chart is 400 units wide, so that its letters can be read on a phone of 390 pixels; a wide page
sets two side by side. Marks say what they are in `data-tip`, which the page shows at the pointer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Literal

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 388, 30, 252  # the plotting area
LETTER = 6.1  # average width of a letter of size 11

Tone = Literal["quiet", "main", "pick", "good", "bad", "other"]
Shape = Literal["dot", "ring", "cross", "diamond"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One axis."""

    title: str  # with its unit
    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False  # ticks at whole numbers only
    text: Callable[[float], str] = "{:g}".format  # of a tick

    @classmethod
    def around(
        cls,
        values: Sequence[float],
        *,
        title: str,
        text: Callable[[float], str],
        logarithmic: bool = False,
        limits: tuple[float, float] = (float("-inf"), float("inf")),
    ) -> "Scale":
        """An axis with a little room beside the finite values, within the limits."""
        finite = [value for value in values if isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        if logarithmic:
            room = max((high / low) ** 0.08, 1.05)
            return cls(title=title, low=low / room, high=high * room, logarithmic=True, text=text)
        room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        return cls(
            title=title,
            low=max(low - room, limits[0]),
            high=min(high + room, limits[1]),
            text=text,
        )

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0..1; what is beyond them lies at the end."""
        if self.logarithmic:
            share = log10(value / self.low) / log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the ends."""
        if self.logarithmic:
            decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            choices = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.4, 1.6, 1.8, 2,
                       2.5, 3, 3.5, 4, 5, 6, 7, 8, 9))  # fmt: skip
            found = [[m * 10.0**e for e in decades for m in each] for each in choices]
            found += [[10.0**e for e in decades if e % every == 0] for every in (2, 3, 4)]
            within = [[v for v in ticks if self.low <= v <= self.high] for ticks in found]
            return max((ticks for ticks in within if len(ticks) <= most), key=len)
        span = self.high - self.low
        power = 10.0 ** floor(log10(span / most))
        step = next(
            m * power
            for m in (1, 2, 2.5, 5, 10, 20)
            if span / (m * power) <= most and not (self.whole and (m * power) % 1)
        )
        first = ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, floor(self.high / step + 1e-9) + 1)]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """A limit across the chart."""

    at: float
    label: str
    across: Literal["x", "y"] = "x"  # the axis on which `at` lies


def plot(
    x: Scale,
    y: Scale,
    marks: Sequence[Mark],
    paths: Sequence[Path] = (),
    guides: Sequence[Guide] = (),
    *,
    title: str,
) -> str:
    """Points and lines between two axes, as SVG text."""

    def across(value: float) -> float:
        return LEFT + x.share(value) * (RIGHT - LEFT)

    def down(value: float) -> float:
        return BOTTOM - y.share(value) * (BOTTOM - TOP)

    body = [*_axes(x, y, across, down)]
    body += [_guide(guide, across, down) for guide in guides]
    for path in paths:
        points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in path.points)
        dashes = ' stroke-dasharray="5 4"' if path.dashed else ""
        body.append(f'<polyline class="line {path.tone}" points="{points}"{dashes}/>')
    for mark in marks:
        if mark.low is not None and mark.high is not None:
            body.append(
                f'<line class="whisker {mark.tone}" x1="{across(mark.x):.1f}" '
                f'x2="{across(mark.x):.1f}" y1="{down(max(mark.low, y.low)):.1f}" '
                f'y2="{down(min(mark.high, y.high)):.1f}"/>'
            )
    places = [(across(mark.x), down(mark.y)) for mark in marks]
    body += [
        drawn(mark.shape, *place, tone=mark.tone, tip=mark.tip)
        for mark, place in zip(marks, places, strict=True)
    ]
    body += _labels(marks, places)
    return wrapped(body, title=title)


def wrapped(body: Sequence[str], *, title: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    """A whole SVG element; readers of the page that see nothing hear the title."""
    return "\n".join(
        [
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">',
            *body,
            "</svg>",
        ]
    )


def drawn(shape: Shape, x: float, y: float, *, tone: Tone, tip: str, radius: float = 4.5) -> str:
    """One mark."""
    common = f'class="mark {shape} {tone}" data-tip="{escape(tip)}"'
    if shape == "cross":
        r = radius - 0.5
        path = f"M{x - r:.1f},{y - r:.1f}l{2 * r},{2 * r}m0,{-2 * r}l{-2 * r},{2 * r}"
        return f'<path {common} d="{path}"/>'
    if shape == "diamond":
        r = radius + 3
        path = f"M{x:.1f},{y - r:.1f}l{r},{r}l{-r},{r}l{-r},{-r}z"
        return f'<path {common} d="{path}"/>'
    return f'<circle {common} cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def words(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    """Text at a place."""
    kinds = f' class="{kind}"' if kind else ""
    return f'<text{kinds} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _axes(
    x: Scale, y: Scale, across: Callable[[float], float], down: Callable[[float], float]
) -> Iterator[str]:
    for value in y.ticks():
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{down(value):.1f}" y2="{down(value):.1f}"/>'  # noqa: E501
        yield words(LEFT - 6, down(value) + 4, y.text(value), kind="tick", anchor="end")
    for value in x.ticks():
        yield f'<line class="grid" x1="{across(value):.1f}" x2="{across(value):.1f}" y1="{TOP}" y2="{BOTTOM}"/>'  # noqa: E501
        yield words(across(value), BOTTOM + 16, x.text(value), kind="tick", anchor="middle")
    yield f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>'
    yield words((LEFT + RIGHT) / 2, BOTTOM + 38, x.title, kind="axis-title", anchor="middle")
    yield words(4, 16, y.title, kind="axis-title")


def _guide(guide: Guide, across: Callable[[float], float], down: Callable[[float], float]) -> str:
    if guide.across == "x":
        x = across(guide.at)
        after = x < RIGHT - 90
        return (
            f'<line class="guide" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
            + words(x + (4 if after else -4), BOTTOM - 6, guide.label, kind="guide-label",
                    anchor="start" if after else "end")
        )  # fmt: skip
    y = down(guide.at)
    return f'<line class="guide" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>' + words(
        RIGHT, y - 5, guide.label, kind="guide-label", anchor="end"
    )


def _labels(marks: Sequence[Mark], places: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Labels where they cover least, the marks' own order deciding who chooses first."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for mark, (x, y) in zip(marks, places, strict=True):
        if not mark.label:
            continue
        width = LETTER * len(mark.label)
        options = [
            (x + dx - (width if dx < 0 else 0 if dx else width / 2), y + dy, dx)
            for dx, dy in ((10, 4), (-10, 4), (0, -11), (0, 20), (9, -8), (-9, -8), (9, 16),
                           (-9, 16), (0, -24), (0, 33))
        ]  # fmt: skip

        def covered(option: tuple[float, float, int], width: float = width) -> float:
            left, base, _ = option
            box = (left, base - 10, left + width, base + 3)
            outside = max(0, LEFT - left) + max(0, left + width - RIGHT - 8)
            outside += max(0, TOP - 4 - box[1]) + max(0, box[3] - BOTTOM)
            return sum(overlap(box, other) for other in taken) + 60 * outside

        left, base, _ = min(options, key=covered)
        taken.append((left, base - 10, left + width, base + 3))
        yield words(left + width / 2, base, mark.label, kind=f"label {mark.tone}", anchor="middle")


Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> float:
    """Shared area of two boxes (left, top, right, bottom)."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)


# Rows: one line a thing, its name above its value


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


ROW = 34


def rows(axis: Scale, entries: Sequence[Row], *, title: str, zero: float | None = None) -> str:
    """Named values under each other, as SVG text.

    Args:
        zero: a value to mark across all rows.
    """
    left, top = 12, 12
    bottom = top + ROW * len(entries) + 4

    def across(value: float) -> float:
        return left + min(1.0, max(0.0, axis.share(value))) * (RIGHT - left)

    body = []
    for value in axis.ticks():
        x = across(value)
        body.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        anchor = "start" if x < left + 14 else "end" if x > RIGHT - 14 else "middle"
        body.append(words(x, bottom + 16, axis.text(value), kind="tick", anchor=anchor))
    if zero is not None:
        x = across(zero)
        body.append(f'<line class="guide" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
    for number, entry in enumerate(entries):
        base = top + ROW * number
        y = base + 24
        body.append(words(left, base + 12, _cut(entry.name, 60), kind="row"))
        if entry.low is not None and entry.high is not None:
            body.append(
                f'<line class="whisker {entry.tone}" x1="{across(entry.low):.1f}" '
                f'x2="{across(entry.high):.1f}" y1="{y}" y2="{y}"/>'
            )
        body += [
            f'<circle class="single {entry.tone}" cx="{across(one):.1f}" cy="{y}" r="3"/>'
            for one in entry.more
        ]
        if entry.from_zero:
            start = across(0.0)
            body.append(
                f'<rect class="mark bar {entry.tone}" data-tip="{escape(entry.tip)}" '
                f'x="{start:.1f}" y="{y - 5}" width="{max(across(entry.value) - start, 1):.1f}" '
                'height="11" rx="2"/>'
            )
        else:
            body.append(drawn(entry.shape, across(entry.value), y, tone=entry.tone, tip=entry.tip))
        if entry.limit is not None:
            x = across(entry.limit)
            body.append(
                f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 9}" y2="{y + 9}"/>'
            )
    body.append(words((left + RIGHT) / 2, bottom + 36, axis.title, kind="axis-title",
                      anchor="middle"))  # fmt: skip
    return wrapped(body, title=title, height=bottom + 44)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
