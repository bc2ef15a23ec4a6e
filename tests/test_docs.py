"""The documentation says what the program does, and its links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"),
     *(ROOT / "experiments").rglob("README.md")]
)  # fmt: skip


def test_the_pages_of_the_commands_are_what_their_help_says() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "write_commands.py"))
    pages = written["pages"]()
    folder = ROOT / "docs" / "commands"
    held = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    told = {**pages, "README": written["index"](pages)}
    assert held == told, "run: python docs/write_commands.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target
