"""The charts: what is written into SVG, where labels stand, and what an axis shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.report.charts.axis import Axis
from autoscale.report.charts.labels import LETTER, Box, Label, place_labels
from autoscale.report.charts.marks import Key, symbol
from autoscale.report.charts.plot import Guide, Mark, Path, Plot
from autoscale.report.charts.rows import Row, Rows
from autoscale.report.charts.svg import Drawing, element, light_colours, style, text
from autoscale.report.charts.triangle import Spot, Triangle
from autoscale.report.document import Figure, Page, Section, html

ATTACK = "\"'><script onload=fail()>{{ 7 * 6 }}</script><!--&amp;"


# Elements


def test_an_element_escapes_texts_and_attributes_and_keeps_elements() -> None:
    inner = element("title", "a < b")
    written = element("g", inner, "&", class_='"', stroke_width=1.0, fill=None)
    assert written == '<g class="&#34;" stroke-width="1"><title>a &lt; b</title>&amp;</g>'
    assert element("rect", x=1.25) == '<rect x="1.2"/>'


def test_a_drawing_of_its_own_knows_no_variables_and_is_light() -> None:
    drawing = Drawing(width=400, height=300, title="t", body=text(1, 2, "x", kind="tick"))
    alone = drawing.standalone("a note " * 30)
    assert "var(" in style()
    assert "var(" not in alone
    assert light_colours()["ink"] in alone
    root = ET.fromstring(alone)
    assert [one.text for one in root.iter() if one.get("class") == "heading"] == ["t"]
    notes = [one for one in root.iter() if one.get("class") == "note"]
    assert len(notes) > 1
    assert float(notes[-1].attrib["y"]) < float(root.attrib["height"]) - 56


def contrast(one: str, other: str) -> float:
    """Ratio of relative luminances of two colours, 1..21 (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        parts = [part / 255 for part in bytes.fromhex(colour.removeprefix("#"))]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(k * p for k, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_and_marks_stand_out_from_what_they_stand_on(dark: bool) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    scheme = style().split("@media")[dark]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", scheme))
    tones = re.findall(r"^\.(\w+) \{ color:", style(), re.MULTILINE)
    assert len(tones) == 8
    for back in ("back", "panel"):
        for words in ("ink", "soft"):
            assert contrast(colours[words], colours[back]) >= 4.5
        for tone in tones:
            least = 2.4 if tone == "quiet" else 3  # what is quiet is also told in words
            assert contrast(colours[tone], colours[back]) >= least, tone


# Axes


@given(
    st.floats(1e-3, 1e9), st.floats(1.01, 1e6), st.booleans(), st.integers(4, 10)
)  # fmt: skip
def test_an_axis_shows_some_round_values_within_its_ends(
    low: float, ratio: float, logarithmic: bool, most: int
) -> None:
    axis = Axis(title="", low=low, high=low * ratio, logarithmic=logarithmic)
    ticks = axis.ticks(most)
    assert len(ticks) <= most + (not logarithmic)
    assert ticks == sorted(ticks)
    for tick in ticks:
        assert -1e-9 <= (tick - low) / (low * ratio - low) <= 1 + 1e-9
    if not logarithmic:
        assert len(ticks) >= 2


# Labels


def boxes(labels: list[Label], taken: list[Box], area: Box) -> list[Box]:
    """Where the words of placed labels lie."""
    found = []
    for label, written in zip(labels, place_labels(labels, taken, area), strict=True):
        one = ET.fromstring(written)
        x, base = float(one.attrib["x"]), float(one.attrib["y"])
        width = LETTER * label.size * len(label.words)
        left = x - {"start": 0, "middle": width / 2, "end": width}[one.attrib["text-anchor"]]
        found.append(Box(left, base - 0.9 * label.size, left + width, base))
    return found


def test_a_label_stands_to_the_right_where_there_is_room() -> None:
    label = Label(at=(100, 100), words="here", kind="main")
    (box,) = boxes([label], [Box.around(100, 100, 5)], Box(0, 0, 400, 300))
    assert box.left == 108
    (box,) = boxes([Label(at=(390, 100), words="here", kind="main")], [], Box(0, 0, 400, 300))
    assert box.right == 382


def test_labels_of_marks_that_lie_together_do_not_cover_each_other_or_the_marks() -> None:
    places = [(100.0 + 12 * n, 100.0 + 3 * n) for n in range(5)]
    labels = [Label(at=place, words=f"network {n}", kind="main") for n, place in enumerate(places)]
    taken = [Box.around(*place, 5) for place in places]
    found = boxes(labels, taken, Box(0, 0, 400, 300))
    assert not [pair for pair in combinations(found, 2) if pair[0].overlap(pair[1])]
    assert not [(box, mark) for box in found for mark in taken if box.overlap(mark)]


def test_the_baseline_named_last_chooses_its_place_first() -> None:
    axis = Axis(title="", low=0, high=1)
    marks = tuple(Mark(x=0.5, y=0.5, tip="", label=name) for name in ("first", "last"))
    drawn = ET.fromstring(Plot(x=axis, y=axis, marks=marks).draw("").inline())
    names = [one.text for one in drawn.iter("text") if "label" in one.attrib["class"]]
    assert names == ["last", "first"]


def test_marks_of_every_shape_are_drawn_about_their_place() -> None:
    for shape in ("dot", "ring", "cross", "diamond"):
        drawn = ET.fromstring(symbol(shape, 50, 60, tone="main", tip="a\nb"))
        assert drawn.findtext("title") == "a\nb"
        if shape in ("dot", "ring"):
            assert (drawn.attrib["cx"], drawn.attrib["cy"]) == ("50", "60")
        else:
            x, y = map(float, re.findall(r"[\d.]+", drawn.attrib["d"])[:2])
            assert abs(x - 50) <= 8
            assert 50 < y < 60


# A page of hostile words


class Parsed(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.comments = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def hostile(words: str) -> Page:
    """A page whose every text, in page and charts, is `words`."""
    axis = Axis(title=words, low=0, high=1, text=lambda value: words)
    mark = Mark(x=0.5, y=0.5, tip=words, label=words)
    spot = Spot(growth=(2, 1, 1), tip=words, label=words, tone="pick", shape="dot")
    charts = (
        Plot(
            x=axis, y=axis, marks=(mark,), guides=(Guide(x=0.5, label=words),),
            paths=(Path(points=((0, 0), (1, 1)), label=words),),
        ),
        Rows(axis=axis, rows=(Row(name=words, value=0.5, tip=words),
                              Row(name=words, value=0.5, tip=words, from_zero=True))),
        Triangle(tiles=(((2, 1, 1), 0.5),), step=0.05, spots=(spot,), quantity=words,
                 ends=(words, words)),
    )  # fmt: skip
    table = pd.DataFrame({words: [words, 1.5, None, True]})
    figures = tuple(
        Figure(key=words, title=words, chart=chart, caption=words, table=table,
               legend=(Key("dot", "main", words),))
        for chart in charts
    )  # fmt: skip
    section = Section(
        key=words, title=words, text=(words,), figures=figures, tables=((words, table),),
        code=((words, words),), missing=words,
    )  # fmt: skip
    return Page(
        title=words, lead=words, facts=((words, words, words),), sections=(section,), foot=words,
        data={words: words},
    )  # fmt: skip


def test_no_text_of_a_page_becomes_markup_or_a_template() -> None:
    written = html(hostile(ATTACK))
    plain, attacked = Parsed(html(hostile("plain"))), Parsed(written)
    assert attacked.tags == plain.tags
    assert attacked.attributes == plain.attributes
    assert attacked.comments == 0
    assert attacked.text.count("{{ 7 * 6 }}") == plain.text.count("plain")
    assert ATTACK not in written


def test_a_figure_of_hostile_words_is_safe_in_a_notebook_too() -> None:
    figure, plain = (hostile(words).sections[0].figures[0] for words in (ATTACK, "plain"))
    assert Parsed(figure._repr_html_()).tags == Parsed(plain._repr_html_()).tags


def test_numbers_that_json_does_not_know_are_refused_in_the_pages_data() -> None:
    page = Page(title="", lead="", facts=(), sections=(), foot="", data=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        html(page)
