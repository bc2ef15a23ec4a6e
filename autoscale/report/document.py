"""A page of figures: what it is made of, and its HTML.

One file that needs nothing else: styles and the few lines of script stand in it, and a policy in
its head forbids everything that is not there. The templates escape every text; what is markup
already, such as a drawing, says so by its type.
"""

import base64
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autoscale.report.charts import svg
from autoscale.report.charts.marks import Key


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with the numbers that it shows."""

    key: str  # names it in the page and in the page's data
    title: str
    chart: svg.Chart
    caption: str  # how to read it
    table: pd.DataFrame  # what it shows, ready to be read by people
    legend: tuple[Key, ...] = ()

    @property
    def drawing(self) -> Markup:
        """The chart as an SVG element that needs the page's style sheet."""
        return self.chart.draw(self.title).inline()

    def _repr_html_(self) -> str:
        """The figure alone, for a notebook."""
        macros: Any = _templates().get_template("figure.html").module
        body = Markup('<div class="autoscale"><style>{}</style>{}</div>')
        return body.format(_style(), macros.figure_of(self))


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    key: str
    title: str
    text: tuple[str, ...] = ()  # paragraphs
    figures: tuple[Figure, ...] = ()
    tables: tuple[tuple[str, pd.DataFrame], ...] = ()  # with their titles
    code: tuple[tuple[str, str], ...] = ()  # texts to copy, with their titles
    missing: str = ""  # why there is no more, and the command that adds it


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page."""

    title: str
    lead: str
    facts: tuple[tuple[str, str, str], ...]  # name, value, remark
    sections: tuple[Section, ...]
    foot: str
    data: Any  # plain, for programs that read the page


def html(page: Page) -> str:
    """The page as one HTML file."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _templates().get_template("page.html").render(
        page=page, style=_style(), script=Markup(script), digest=digest
    )  # fmt: skip


def figures_of(sections: Sequence[Section]) -> list[Figure]:
    """Every figure, in order."""
    return [figure for section in sections for figure in section.figures]


def each_row(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples, whose fields no type checker can know."""
    return iter(frame.itertuples(index=False))


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("autoscale", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["cell"] = _cell
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return templates


def _cell(value: Any) -> str:
    """A value of a table as people read it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _style() -> Markup:
    return Markup(svg.style() + _asset("page.css"))


def _asset(name: str) -> str:
    return (files("autoscale.report") / name).read_text(encoding="utf-8")
