"""The scripts behind the figures of the documentation are kept up with the sources."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import numpy as np
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


def test_choosing_trains_a_few_networks_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "device"))
    choosing = importlib.import_module("choosing")
    table = tmp_path / "rows.csv"
    words = ["synthetic", str(table), "--resolution", "16", "--epochs", "1", "--limit", "32",
             "--most-macs", "2000000"]  # fmt: skip
    choosing.main([*words, "--networks", "2"])
    first = table.read_text(encoding="utf-8")
    choosing.main([*words, "--networks", "3"])
    assert table.read_text(encoding="utf-8").startswith(first)
    rows = choosing.read(table)
    assert [(row.activation, row.squeeze_excite) for row in rows] == [
        ("relu6", "no"), ("relu6", "yes"), ("hswish", "no")
    ]  # fmt: skip
    assert all(row.macs <= 2_000_000 for row in rows)
    capsys.readouterr()
    choosing.main([*words, "--tell"])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("all: 3 networks, tau-b ")
    assert "relu6: 2 networks, too few to tell" in told
    with pytest.raises(SystemExit, match="rows of other images or settings"):
        choosing.main([*words[:-1], "3000000", "--epochs", "2"])


def test_what_choosing_tells_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "device"))
    choosing = importlib.import_module("choosing")
    pairs = np.array([(0.1, 0.2), (0.2, 0.1), (0.3, 0.3), (0.4, 0.4), (0.4, 0.2)])
    # Of ten pairs six agree and two do not; one of each column is tied: (6 - 2) / sqrt(9 * 9).
    assert choosing.tau_b(pairs) == pytest.approx(4 / 9)
    assert choosing.tau_b(pairs[:, [0, 0]]) == pytest.approx(1)
    assert choosing.lost(pairs) == pytest.approx(0.4 - (0.4 + 0.2) / 2)
