"""SVG text: elements whose attributes and texts are escaped here, and whole drawings of them.

A drawing stands in a page, which has its style sheet, or alone in a file with the light colours.
"""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol

from markupsafe import Markup

FONT = "Helvetica, Arial, sans-serif"
HEADING, LINE = 56, 16  # heights in a file of its own: above the drawing; of a line of the note


def element(name: str, *content: str, **attributes: str | float | None) -> Markup:
    """An element as text: `element("text", "a < b", class_="tick", x=1.0)`.

    Args:
        content: Texts, which are escaped, and elements, which are not.
        attributes: An underscore stands for a dash, one at the end is dropped; floats are
            written with one decimal, and None leaves the attribute out.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = joined(content)
    form = Markup("<{0}{1}>{2}</{0}>" if inner else "<{0}{1}/>")
    return form.format(name, written, inner)


def _value(value: str | float) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def joined(parts: Iterable[str]) -> Markup:
    """Elements one after the other; plain text among them is escaped."""
    return Markup("").join(parts)


def text(x: float, y: float, words: str, *, kind: str, anchor: str = "start") -> Markup:
    """Words at a place; `kind` is their class in the style sheet."""
    return element("text", words, class_=kind, x=float(x), y=float(y), text_anchor=anchor)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line; `kind` is its class in the style sheet."""
    return element(
        "line", class_=kind, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2)
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawn chart; sizes in units of the drawing, which a page scales."""

    width: float
    height: float
    title: str
    body: Markup

    def inline(self) -> Markup:
        """An SVG element for a page that has the style sheet."""
        return element(
            "svg", self.body, viewBox=f"0 0 {self.width:g} {self.height:g}", role="img",
            aria_label=self.title,
        )  # fmt: skip

    def standalone(self, note: str) -> str:
        """A whole SVG file, with its title above and `note` below, that needs nothing else."""
        lines = textwrap.wrap(note, int(self.width / 6.8))
        height = HEADING + self.height + LINE * (len(lines) + 1)
        below = [
            text(40, self.height + LINE * number, words, kind="note")
            for number, words in enumerate(lines, start=1)
        ]
        body = [
            element("title", self.title),
            element("style", style(literal=True)),
            element("rect", y=-HEADING, width=self.width, height=height, fill="white"),
            text(40, 34 - HEADING, self.title, kind="heading"),
            self.body,
            *below,
        ]
        return element(
            "svg", *body, xmlns="http://www.w3.org/2000/svg", font_family=FONT, width=self.width,
            height=height, viewBox=f"0 {-HEADING} {self.width:g} {height:g}",
        ) + Markup("\n")  # fmt: skip


class Chart(Protocol):
    """What can be drawn: the data of a picture."""

    def draw(self, title: str) -> Drawing:
        """The picture; readers that see nothing hear the title."""


@cache
def light_colours() -> dict[str, str]:
    """Colours on white, by their names in the style sheets, such as `{"ink": "#1c2126"}`."""
    light = _sheet("palette.css").partition("@media")[0]
    found = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", light))
    return found | {"panel": found["back"]}


@cache
def style(*, literal: bool = False) -> str:
    """The charts' style sheet: with the palette of a page, or with light colours written out.

    Programs that draw SVG files, such as rsvg-convert, know no variables in style sheets.
    """
    rules = _sheet("chart.css")
    if literal:
        return re.sub(r"var\(--(\w+)\)", lambda name: light_colours()[name[1]], rules)
    return _sheet("palette.css") + rules


def _sheet(name: str) -> str:
    return (files("autoscale.report.charts") / name).read_text(encoding="utf-8")
