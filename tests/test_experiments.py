"""The scripts behind the figures of the documentation are kept up with the sources."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SCRIPTS = sorted(EXPERIMENTS.rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(EXPERIMENTS)))
def test_what_an_experiment_imports_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autoscale"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_every_script_is_named_by_a_page_or_imported_by_another() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in EXPERIMENTS.rglob("*.md"))
    sources = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    assert SCRIPTS
    assert [
        path.name
        for path in SCRIPTS
        if path.name not in pages and f"import {path.stem}" not in sources
        and f"from {path.stem} import" not in sources
    ] == []  # fmt: skip
