from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

from autoscale.errors import InvalidSetting
from autoscale.models.compare import compare
from autoscale.report.charts.plot import SHEET
from autoscale.report.size_accuracy import NOTE, TITLE, size_chart
from autoscale.runs.picture import write_picture

SVG = "{http://www.w3.org/2000/svg}"


def picture(table: pd.DataFrame) -> str:
    return size_chart(table).draw(TITLE).standalone(NOTE)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_announcements_picture_labels_the_family_and_its_rivals() -> None:
    labels = texts(picture(compare(["efficientnet"])))
    for label in ("efficientnet", "B0", "B7", "GPipe (AmoebaNet-B)", "ResNet-50", "100M", "84%"):
        assert label in labels


def test_networks_trained_with_more_are_not_joined_to_their_family() -> None:
    svg = picture(compare(["efficientnet"]))
    (line,) = ET.fromstring(svg).iter(f"{SVG}polyline")
    assert len(line.attrib["points"].split()) == 8  # B0 to B7
    assert "efficientnet-b8 (AdvProp)" in texts(svg)


def test_many_families_stand_without_the_rivals() -> None:
    svg = picture(compare(["efficientnet", "efficientnetv2", "mobilenet-v2", "resnet"]))
    assert "GPipe (AmoebaNet-B)" not in texts(svg)
    assert len(list(ET.fromstring(svg).iter(f"{SVG}polyline"))) == 4


def test_nothing_is_drawn_outside_the_picture() -> None:
    root = ET.fromstring(picture(compare(["efficientnet", "tinynet", "mobilenet-v1"])))
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) > 30
    for circle in circles:
        assert SHEET.area.left < float(circle.attrib["cx"]) < SHEET.area.right
        assert SHEET.area.top < float(circle.attrib["cy"]) < SHEET.area.bottom


def test_a_single_network_is_a_labelled_point() -> None:
    assert "mnasnet-a1" in texts(picture(compare(["mnasnet-a1"])))


def test_without_an_accuracy_there_is_nothing_to_plot() -> None:
    table = pd.DataFrame({"family": [""], "network": ["x"], "params": [1], "top1": [float("nan")]})
    with pytest.raises(InvalidSetting, match="nothing to plot"):
        picture(table)


def test_a_picture_is_written_in_the_format_of_its_name(tmp_path: Path) -> None:
    svg = picture(compare(["mnasnet"]))
    for name, start in (("a.svg", b"<svg"), ("a.html", b"<!doctype html>")):
        write_picture(tmp_path / name, svg)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(InvalidSetting, match=r"ends in \.svg, \.html, \.png, got 'a\.gif'"):
        write_picture(tmp_path / "a.gif", svg)


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="rsvg-convert is not installed")
def test_a_png_is_drawn_where_the_program_is(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture(compare(["mnasnet"])))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_program_a_png_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InvalidSetting, match="needs the program rsvg-convert"):
        write_picture(tmp_path / "a.png", "<svg/>")
