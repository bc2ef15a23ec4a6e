"""The page of a run: what it says, what it cannot do, and how it looks in a browser."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from autoscale.cli.app import main
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.commands import commands
from autoscale.inspection.read_run import load_run
from autoscale.report.page import page
from tests.report.browser import CHROMIUM, visit
from tests.report.conftest import ATTACK

FIGURES = ["front", "history", "importance", "options", "against-random", "grid-surface",
           "grid-candidates", "grid-leads", "scaling", "sizes"]  # fmt: skip


class Seen(HTMLParser):
    """The elements of a page, its visible text and where it points."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.pointers: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "action", "data", "poster", "srcset"):
                self.pointers.append(value or "")
            assert not name.startswith("on"), f"{tag} has a handler {name}"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def written(run: Path, trained: Path) -> str:
    """The text of the whole page."""
    assert main(["report", "--run", str(run), "--trained", str(trained)]) == 0
    return (run / "report.html").read_text(encoding="utf-8")


def data_of(text: str) -> dict[str, dict[str, list[list[object]]]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1])["figures"])


def frame_of(text: str, figure: str) -> pd.DataFrame:
    held = data_of(text)[figure]
    return pd.DataFrame(held["rows"], columns=[str(name) for name in held["columns"]])


def test_every_part_of_a_whole_run_is_there(written: str) -> None:
    seen = Seen(written)
    assert [key for key in FIGURES if key in seen.ids] == FIGURES
    assert seen.tags.count("figure") == len(FIGURES)
    assert list(data_of(written)) == FIGURES


def test_the_page_points_nowhere_outside_itself(written: str) -> None:
    for pointer in Seen(written).pointers:
        assert pointer.startswith("#") or pointer == "data:,", pointer
    assert not re.search(r"@import|url\(", written)


def test_a_class_named_like_a_script_is_shown_and_not_run(written: str) -> None:
    seen = Seen(written)
    assert ATTACK in seen.text
    assert ATTACK not in written
    assert seen.tags.count("script") == 2  # the data and our own lines


def test_the_figures_are_those_of_the_run(run: Path, trained: Path, written: str) -> None:
    held = load_run(run, trained=[trained])
    front = frame_of(written, "front").set_index("trial").sort_index()
    trials = held.trials[held.trials.status == "finished"].set_index("trial").sort_index()
    assert front.accuracy.tolist() == trials.accuracy.tolist()
    assert front["multiply-adds"].tolist() == trials.macs.tolist()
    assert front["on the front"].tolist() == trials.on_front.tolist()
    shares = frame_of(written, "importance")
    assert sorted(shares.choice) == sorted(p.name for p in held.search.space.parameters)
    assert shares.share.sum() == pytest.approx(1, abs=1e-3)
    grid = pd.read_csv(run / "grid" / "grid.csv")
    raced = frame_of(written, "grid-candidates")
    assert raced["estimated accuracy"].tolist() == pytest.approx(grid.estimate.tolist(), abs=1e-4)
    assert raced.standing[0] == "the pick"
    assert (raced.standing[1:] != "the pick").all()
    off = grid.distance
    assert f"miss the budget by {off.min():+.1%} to {off.max():+.1%}" in written
    sizes = frame_of(written, "sizes")
    family = pd.read_csv(run / "family" / "family.csv")
    assert sizes[sizes.series == "family"]["multiply-adds"].tolist() == family.macs.tolist()
    alone = sizes[sizes.series == "resolution only"]
    assert alone.parameters.nunique() == 1
    assert alone["multiply-adds"].max() <= family.macs.max()
    b0 = sizes[sizes.network == "efficientnet-b0"].iloc[0]
    assert (b0["multiply-adds"], b0.parameters) == (385_814_752, 5_288_548)
    scaling = frame_of(written, "scaling")
    result = json.loads((trained / "train" / "result.json").read_text())
    member = scaling[scaling.network == "phi-1"].iloc[0]
    assert member.accuracy == pytest.approx(result["validation_accuracy"], abs=1e-4)


def test_steps_that_were_not_made_are_named_with_the_command_that_makes_them(
    run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "search", tmp_path / "run" / "search")
    seen = Seen(page(load_run(tmp_path / "run")))
    assert [key for key in FIGURES if key in seen.ids] == FIGURES[:4]
    for command in ("check-baseline", "grid", "family"):
        assert f"autoscale {command} --run {tmp_path / 'run'}" in seen.text


def test_an_unfinished_search_has_a_page_too(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "search"
    shutil.copytree(run / "search", folder)
    for name in ("baseline.yaml", "baseline.json", "trials.csv"):
        (folder / name).unlink()
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:3]))
    seen = Seen(page(load_run(tmp_path / "run")))
    assert "The search is not finished" in seen.text
    assert "needs at least 10 scored trials" in seen.text
    assert "front" in seen.ids


def test_a_folder_that_is_no_run_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--run", str(tmp_path)]) == 2
    assert "is no run directory" in capsys.readouterr().err
    way_out = f"holds no finished training; finish: autoscale train NETWORK --run {tmp_path}"
    with pytest.raises(InvalidSetting, match=way_out):
        load_run(tmp_path, trained=[tmp_path])


def test_damaged_tables_are_refused_with_the_file(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken, ignore=shutil.ignore_patterns("profile"))
    (broken / "grid" / "grid.csv").write_text("")
    with pytest.raises(RunConflict, match=r"grid\.csv is damaged"):
        load_run(broken)


def test_the_commands_on_the_page_are_those_that_made_the_run(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typed again beside the images, each finds its own work and trains nothing."""
    monkeypatch.chdir(run.parent)
    records = ["search/trials.jsonl", "check/trainings.jsonl", "grid/trainings.jsonl"]
    before = {name: (run / name).read_bytes() for name in records}
    family = pd.read_csv(run / "family" / "family.csv")
    found = commands(run)
    assert [title for title, _ in found] == ["Search", "Check", "Grid", "Family", "Family"]
    for _, line in found:
        program, *arguments = shlex.split(line)
        assert program == "autoscale"
        assert main(arguments) == 0, capsys.readouterr().err
    assert {name: (run / name).read_bytes() for name in records} == before
    pd.testing.assert_frame_equal(pd.read_csv(run / "family" / "family.csv"), family)


def test_the_surface_and_the_standings_are_kept_with_the_grid(run: Path) -> None:
    surface = pd.read_csv(run / "grid" / "surface.csv")
    assert ((surface.low <= surface.estimate) & (surface.estimate <= surface.high)).all()
    standings = pd.read_csv(run / "grid" / "grid.csv").standing
    assert standings[0] == "pick"
    assert set(standings[1:]) <= {"tied", "behind", "failed"}


# In a browser

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (package chromium)")

LAYOUT = """
  const figures = [...page.querySelectorAll("figure")].map(figure => {
    const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
    const letters = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect());
    return {id: figure.id, width: box.width, height: box.height,
            right: figure.getBoundingClientRect().right,
            smallest: Math.min(...letters.map(l => l.height)),
            marks: svg.querySelectorAll("[data-tip]").length};
  });
  return {figures, overflow: page.documentElement.scrollWidth - view.innerWidth,
          data: JSON.parse(page.getElementById("data").textContent).run,
          alive: typeof view.show === "function"};
"""


@needs_chromium
@pytest.mark.parametrize("width", [390, 1200], ids=["phone", "desktop"])
def test_every_chart_is_laid_out_and_the_console_stays_silent(
    run: Path, written: str, width: int
) -> None:
    found, console, asked = visit(run / "report.html", LAYOUT, width=width)
    assert console == []
    assert asked == ["/report.html"]
    assert found["alive"]
    assert found["data"] == "run"
    assert found["overflow"] <= 0, "the page is wider than its window"
    assert [figure["id"] for figure in found["figures"]] == FIGURES
    trials = len(frame_of(written, "front"))
    for figure in found["figures"]:
        assert figure["marks"] > 0
        assert 250 < figure["width"] <= width
        assert figure["height"] > 60
        assert figure["right"] <= width
        assert figure["smallest"] >= 9, f"letters of {figure['id']} cannot be read"
    assert found["figures"][0]["marks"] == trials + 1  # and the baseline


HOVER = """
  const mark = page.querySelector("#front .mark.diamond");
  const box = mark.getBoundingClientRect();
  const point = {bubbles: true, clientX: box.left + box.width / 2 + 3,
                 clientY: box.top + box.height / 2};
  const tip = page.getElementById("tip"), before = tip.hidden;
  mark.dispatchEvent(new view.PointerEvent("pointermove", point));
  const shown = {text: tip.textContent, hidden: tip.hidden, box: tip.getBoundingClientRect()};
  page.querySelector("h1").dispatchEvent(new view.PointerEvent("pointermove", {bubbles: true}));
  return {before, shown, after: tip.hidden};
"""


@needs_chromium
def test_the_pointer_reads_the_baseline_from_the_chart(run: Path, written: str) -> None:
    found, console, _ = visit(run / "report.html", HOVER, width=390)
    search = load_run(run).search
    assert search is not None
    assert console == []
    assert found["before"]
    assert found["after"]
    assert not found["shown"]["hidden"]
    assert f"trial {search.baseline.number}" in found["shown"]["text"]
    assert f"{search.baseline.score.macs:,} multiply-adds" in found["shown"]["text"]
    assert found["shown"]["box"]["right"] <= 390


@needs_chromium
def test_the_browser_would_have_told_of_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "page.html"
    broken.write_text("<script>nothing.there()</script><img src=missing.png>")
    _, console, asked = visit(broken, "return 1", width=390)
    assert any("nothing is not defined" in line for line in console)
    assert "/missing.png" in asked


@needs_chromium
def test_a_script_that_got_into_the_page_would_be_stopped_by_its_policy(
    run: Path, written: str, tmp_path: Path
) -> None:
    smuggled = tmp_path / "page.html"
    smuggled.write_text(written.replace("</main>", "<script>fail()</script></main>"))
    _, console, _ = visit(smuggled, "return 1", width=390)
    assert any("Content Security Policy" in line for line in console)
    assert not any("fail is not defined" in line for line in console)


def test_a_run_whose_base_was_named_has_a_page_without_a_search(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.parent / "photos", tmp_path / "photos")
    (tmp_path / "base.yaml").write_text((run / "search" / "baseline.yaml").read_text())
    asked = ["--run", "own", "--data", "photos", "--baseline", "base.yaml"]
    grid = ["--tolerance", "0.2", "--max-candidates", "2", "--seeds", "1", "--epochs", "1"]
    assert main(["grid", *asked, *grid]) == 0
    assert main(["family", "--run", "own", "--phi", "0..1"]) == 0
    held = load_run("own")
    found = commands("own")
    seen = Seen(page(held, found))
    assert "This run holds no search" in seen.text
    assert "grid-candidates" in seen.ids
    before = (tmp_path / "own" / "grid" / "trainings.jsonl").read_bytes()
    for _, line in found:
        assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert (tmp_path / "own" / "grid" / "trainings.jsonl").read_bytes() == before
