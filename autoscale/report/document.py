"""A page of figures: what it is made of, and its HTML.

One file that needs nothing else: styles and the few lines of script stand in it, and a policy in
its head forbids everything that is not there. Whatever comes from data is escaped where it enters.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd

from autoscale.report.chart import Tone


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with the numbers that it shows."""

    key: str  # names it in the page and in the page's data
    title: str
    svg: str
    caption: str  # how to read it
    table: pd.DataFrame  # what it shows, ready to be read by people
    legend: tuple[tuple[str, Tone, str], ...] = ()  # shape ("dot", ..., "line"), tone, meaning

    def _repr_html_(self) -> str:
        """The figure alone, for a notebook."""
        style = _asset("page.css").replace("body {", ".autoscale {")
        return f'<div class="autoscale"><style>{style}</style>{"".join(_figure(self))}</div>'


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
    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"  # noqa: E501
    links = " ".join(f'<a href="#{s.key}">{escape(s.title)}</a>' for s in page.sections)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(page.title)}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            "<header>",
            f"<h1>{escape(page.title)}</h1>",
            f'<p class="lead">{escape(page.lead)}</p>',
            '<dl class="facts">',
            *(
                f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
                f"<dd class=remark>{escape(remark)}</dd></div>"
                for name, value, remark in page.facts
            ),
            "</dl>",
            f"<nav>{links}</nav>",
            "</header>",
            "<main>",
            *(line for section in page.sections for line in _section(section)),
            "</main>",
            f"<footer>{escape(page.foot)}</footer>",
            '<div id="tip" role="status" hidden></div>',
            f'<script type="application/json" id="data">{_json(page.data)}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>\n",
        ]
    )


def _section(section: Section) -> Iterator[str]:
    yield f'<section id="{section.key}">'
    yield f"<h2>{escape(section.title)}</h2>"
    yield from (f"<p>{escape(paragraph)}</p>" for paragraph in section.text)
    if section.figures:
        yield '<div class="figures">'
        for figure in section.figures:
            yield from _figure(figure)
        yield "</div>"
    for title, table in section.tables:
        yield f"<h3>{escape(title)}</h3>"
        yield from _table(table)
    for title, text in section.code:
        yield f"<details open><summary>{escape(title)}</summary>"
        yield f'<pre tabindex="0">{escape(text)}</pre></details>'
    if section.missing:
        yield f'<p class="missing">{escape(section.missing)}</p>'
    yield "</section>"


def _figure(figure: Figure) -> Iterator[str]:
    yield f'<figure id="{figure.key}">'
    yield f"<h3>{escape(figure.title)}</h3>"
    yield figure.svg
    if figure.legend:
        yield '<ul class="legend">'
        for shape, tone, meaning in figure.legend:
            yield f"<li>{_key(shape, tone)}{escape(meaning)}</li>"
        yield "</ul>"
    yield f"<figcaption>{escape(figure.caption)}</figcaption>"
    yield f"<details><summary>As a table ({len(figure.table)} rows)</summary>"
    yield from _table(figure.table)
    yield "</details></figure>"


def _key(shape: str, tone: Tone) -> str:
    """A legend's sample of a mark."""
    drawings = {
        "dot": f'<circle class="mark dot {tone}" cx="8" cy="8" r="4.5"/>',
        "ring": f'<circle class="mark ring {tone}" cx="8" cy="8" r="4.5"/>',
        "cross": f'<path class="mark cross {tone}" d="M4,4l8,8m0,-8l-8,8"/>',
        "diamond": f'<path class="mark diamond {tone}" d="M8,1l7,7l-7,7l-7,-7z"/>',
        "line": f'<path class="line {tone}" d="M0,8h16"/>',
        "whisker": f'<path class="whisker {tone}" d="M0,8h16"/>',
        "limit": '<path class="limit" d="M8,1v14"/>',
        "bar": f'<rect class="mark bar {tone}" x="1" y="3" width="14" height="10" rx="2"/>',
    }
    return f'<svg class="key" viewBox="0 0 16 16" aria-hidden="true">{drawings[shape]}</svg>'


def _table(frame: pd.DataFrame) -> Iterator[str]:
    yield '<div class="scroll" tabindex="0"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame.columns)
    yield "</tr></thead><tbody>"
    for row in each_row(frame):
        cells = (
            f"<td{'' if isinstance(value, str) else ' class=number'}>{escape(_cell(value))}</td>"
            for value in row
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(data: Any) -> str:
    """Plain data that cannot end the element it stands in."""
    text = json.dumps(data, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def each_row(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples, whose fields no type checker can know."""
    return iter(frame.itertuples(index=False))


def figures_of(sections: Sequence[Section]) -> list[Figure]:
    """Every figure, in order."""
    return [figure for section in sections for figure in section.figures]


def _asset(name: str) -> str:
    return (files("autoscale.report") / name).read_text(encoding="utf-8")
