"""The experiment on shared weights trains a tiny case, goes on, and tells what it found."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import draw_photos

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "shared_weights"


def test_shared_weights_are_trained_scored_and_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENT))
    module = importlib.import_module("shared_weights")
    monkeypatch.setattr(module, "BOOTSTRAP", 10)
    photos, table = draw_photos(tmp_path / "photos"), tmp_path / "rows.csv"
    words = [str(photos), str(table), "--runs", str(tmp_path / "runs"), "--images", "24",
             "--epochs", "1", "--alone", "1", "--resolution", "16"]  # fmt: skip
    module.main([*words, "--designs", "3", "--ways", "fair", "uniform", "round"])
    first = table.read_text(encoding="utf-8")
    rows = module.read(table, module.Row)
    assert [row.way for row in rows] == ["fair"] * 3 + ["uniform"] * 3 + ["round"] * 3
    assert [row.network for row in rows[:3]] == [row.network for row in rows[3:6]]
    assert len({tuple(row.score for row in rows[n : n + 3]) for n in (0, 3, 6)}) > 1
    module.main([*words, "--designs", "4", "--ways", "fair"])
    assert table.read_text(encoding="utf-8").startswith(first)
    costs = module.read(module.costs_of(table), module.Spent)
    assert [one.designs for one in costs] == [3, 3, 3, 1]
    assert all(min(one.training, one.scoring, one.alone) > 0 for one in costs[:3])
    capsys.readouterr()
    module.main([*words, "--tell"])
    told = capsys.readouterr().out
    assert "fair, 24 images, 1 passes, seed 0: 4 networks" in told
    assert ("shared weights: tau " in told) == module.TABLE.exists()


def test_the_error_of_tau_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENT))
    module = importlib.import_module("shared_weights")
    assert module.with_error(np.arange(30.0), np.arange(30.0))[1] < 0.1


def test_searches_on_the_table_are_told_at_equal_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENT))
    module = importlib.import_module("searching")
    lines = [
        {"view": view, "seed": seed, "regret": {"10": at_10 + seed, "20": at_20 + seed}}
        for view, at_10, at_20 in [("none", 0.5, 0.4), ("shared", 0.1, 0.0)]
        for seed in (0, 1)
    ]
    rows = module.told(lines).splitlines()
    assert "| 10 | shared | 2 | 0.600 ± 0.500 | -0.300 ± 0.000 |" in rows
    assert "| 10 | none | 2 | 1.000 ± 0.500 |  |" in rows
    assert "| 20 | shared | 2 | 0.500 ± 0.500 |  |" in rows


def test_a_search_on_the_table_knows_the_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENT))
    module = importlib.import_module("searching")
    if not module.TABLE.exists():
        pytest.skip(f"the table of accuracies is missing: {module.TABLE.name}")
    rows, searches = tmp_path / "rows.csv", tmp_path / "searches.jsonl"
    text = ["way,images,epochs,seed,network,score,macs,params"]
    text += [f"fair,8,1,0,{n:08},{n / 100},{n},1" for n in (0, 1, 2, 10, 11, 12, 20, 21, 22, 100)]
    rows.write_text("\n".join(text) + "\n", encoding="utf-8")
    words = [str(rows), str(searches), "--repetitions", "1", "--trials", "5"]
    module.main(words)
    first = searches.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in first.splitlines()]
    assert [line["view"] for line in lines] == ["none", "shared", "macs"]
    assert all(line["regret"]["5"] >= 0 for line in lines)
    module.main(words)
    assert searches.read_text(encoding="utf-8") == first
