"""Writes a page for each command from what `--help` says: python docs/write_commands.py.

A test compares the pages with the commands, so they cannot go stale.
"""

from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from autoscale.cli.app import COMMANDS, app

FOLDER = Path(__file__).parent / "commands"


def pages() -> dict[str, str]:
    """The text of each page by the name of its command."""
    group = typer.main.get_command(app)
    parent = group.make_context("autoscale", [], resilient_parsing=True)
    found = {}
    for one in COMMANDS:
        name, command = one.name, one.whole
        context = typer.Context(command, info_name=name, parent=parent)
        text = get_docs_for_click(obj=command, ctx=context, name=name, call_prefix="autoscale")
        # Brackets are escaped for the terminal's markup only.
        found[name] = text.replace("\\[", "[").strip() + "\n"
    return found


def index(found: dict[str, str]) -> str:
    """The table of contents: each command with the first line of its page."""
    lines = ["# Commands", "", "| command | what it does |", "| --- | --- |"]
    for name, text in found.items():
        first = next(line for line in text.splitlines()[1:] if line.strip())
        lines.append(f"| [{name}]({name}.md) | {first} |")
    return "\n".join([*lines, "", "Each page is what `autoscale COMMAND --help` says.", ""])


def main() -> None:
    """Write all pages anew."""
    found = pages()
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in found.items():
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    (FOLDER / "README.md").write_text(index(found), encoding="utf-8")


if __name__ == "__main__":
    main()
