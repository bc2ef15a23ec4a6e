"""The documentation says what the program does, and its links lead somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from autoscale.cli.app import COMMANDS
from tests.test_house import ARROWS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(
    [README, ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"),
     *(ROOT / "experiments").rglob("README.md")]
)  # fmt: skip
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_blocks(text: str) -> list[str]:
    """What stands in fences, of any language or none."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Every `autoscale COMMAND ...` in the fences of a page, as words; `...` ends what is shown."""
    for block in code_blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|\s)autoscale ([a-z][\w-]* .*)", line)
            if found and not line.startswith("#"):
                words = shlex.split(found[1], comments=True)
                yield words[: words.index("...")] if "..." in words else words


def anchors(page: Path) -> set[str]:
    """What links may name of a page: its headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_the_pages_of_the_commands_are_what_their_help_says() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "write_commands.py"))
    pages = written["pages"]()
    folder = ROOT / "docs" / "commands"
    held = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    told = {**pages, "README": written["index"](pages)}
    assert held == told, "run: python docs/write_commands.py"


@each_page
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)\s#]+)(?:#([^)]*))?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target
            assert not heading or heading in anchors(page.parent / target), f"{target}#{heading}"


@each_page
def test_sources_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[\w-]+/)+(?:[\w-]+\.py)?)`", text):
        if name.endswith(".py") or name.startswith(("autoscale/", "tests/", "docs/")):
            places = (ROOT, ROOT / "autoscale", page.parent)
            assert any((place / name).exists() for place in places), name


@each_page
def test_the_commands_of_a_page_have_options_that_are_there(page: Path) -> None:
    known = {one.name: one for one in COMMANDS}
    for name, *words in commands(page.read_text(encoding="utf-8")):
        if name in ("COMMAND", "OPTIONS"):
            continue
        command = known[name].whole
        parser = command.make_parser(typer.Context(command, info_name=name))
        parser.parse_args([word for word in words if word not in ("OPTIONS", "[OPTIONS]")])


def test_commands_are_found_in_pages() -> None:
    found = [words for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]
    assert len(found) > 50
    assert ["grid", "--run", "runs/photos", "--flops-budget", "2x", "--plan"] in found


def test_the_index_leads_to_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)\s#]+)", index)}
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "commands"}
    assert pages - {DOCS / "README.md"} <= linked


def test_the_readme_fits_a_terminal_and_is_soon_read() -> None:
    text = README.read_text(encoding="utf-8")
    lines = [line for block in code_blocks(text) for line in block.splitlines()]
    assert [line for line in lines if len(line) > 80] == []
    assert len(text.splitlines()) <= 115
    for command in ("make demo", "make test", "pip install autoscale-cnn"):
        assert command in text


def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[: text.index("## Which file")]
    rooms = set(re.findall(r"^\| `autoscale/(\w+)(?:/|\.py)`", table, re.MULTILINE))
    assert rooms == {room for room in ARROWS if not room.startswith("__")}
