"""What stands for one thing in a chart, and for its kind in the legend."""

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from autoscale.report.charts.svg import element

Tone = Literal["quiet", "main", "pick", "good", "bad", "other", "ochre", "teal"]
Shape = Literal["dot", "ring", "cross", "diamond"]
RADIUS = 4.5


def symbol(
    shape: Shape, x: float, y: float, *, tone: Tone, tip: str = "", radius: float = RADIUS
) -> Markup:
    """A mark; the page shows `tip`, lines of text, at the pointer."""
    kind, told = f"mark {shape} {tone}", element("title", tip) if tip else ""
    if shape == "cross":
        r = radius - 0.5
        path = f"M{x - r:.1f},{y - r:.1f}l{2 * r:g},{2 * r:g}m0,{-2 * r:g}l{-2 * r:g},{2 * r:g}"
        return element("path", told, class_=kind, d=path)
    if shape == "diamond":
        r = radius + 3
        return element(
            "path", told, class_=kind, d=f"M{x:.1f},{y - r:.1f}l{r},{r}l{-r},{r}l{-r},{-r}z"
        )
    return element("circle", told, class_=kind, cx=float(x), cy=float(y), r=radius)


def bar(x: float, y: float, width: float, *, tone: Tone, tip: str = "") -> Markup:
    """A bar to the right of a place, about its height."""
    told = element("title", tip) if tip else ""
    return element(
        "rect", told, class_=f"mark bar {tone}", x=float(x), y=y - 5.5, width=max(width, 1.0),
        height=11, rx=2,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A line of the legend."""

    sample: Literal[Shape, "line", "whisker", "limit", "bar"]
    tone: Tone
    meaning: str

    def draw(self) -> Markup:
        """The sample, as a small SVG element."""
        return element("svg", self._sample(), class_="key", viewBox="0 0 16 16", aria_hidden="true")

    def _sample(self) -> Markup:
        if self.sample == "bar":
            return bar(1, 8, 14.0, tone=self.tone)
        if self.sample == "limit":
            return element("path", class_="limit", d="M8,1v14")
        if self.sample == "line" or self.sample == "whisker":
            return element("path", class_=f"{self.sample} {self.tone}", d="M0,8h16")
        return symbol(self.sample, 8, 8, tone=self.tone, radius=4)
