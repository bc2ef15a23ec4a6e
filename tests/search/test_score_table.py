"""Tables of scores from files."""

import json
from pathlib import Path

import numpy as np
import pytest

from autoscale.design.space import SearchSpace
from autoscale.errors import DataProblem
from experiments.benchmarks.search.score_table import read_table

SPACES = Path(__file__).parents[2] / "search_spaces"
MACRO = SearchSpace.from_yaml((SPACES / "nas-bench-macro.yaml").read_text())
TINY = SearchSpace.from_yaml((SPACES / "tiny.yaml").read_text())


def test_a_table_in_the_layout_of_nas_bench_macro(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"00000012": {"test_acc": [90.0, 91.0]}}))
    table = read_table(path, MACRO)
    network = MACRO.architecture_at((0, 0, 0, 0, 0, 0, 1, 2))
    assert table.mean(network) == 90.5
    assert table.score(network, np.random.default_rng(0)) in (90.0, 91.0)


def test_points_that_are_one_network_share_their_scores(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"00000020": {"test_acc": [90.0]}}))
    assert read_table(path, MACRO).mean(MACRO.architecture_at((0, 0, 0, 0, 0, 0, 0, 2))) == 90.0


def test_a_table_as_csv_may_have_several_rows_for_a_network(tmp_path):
    path = tmp_path / "table.csv"
    names = [parameter.name for parameter in TINY.parameters]
    values = [str(parameter.labels[0]) for parameter in TINY.parameters]
    lines = [",".join([*names, "score"])] + [",".join([*values, s]) for s in ("0.5", "0.7")]
    path.write_text("\n".join(lines))
    first = TINY.architecture_at((0,) * len(TINY.parameters))
    assert read_table(path, TINY).mean(first) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "[]", "must map"),
        ("t.json", "{", "not JSON"),
        ("t.json", '{"0123": {"test_acc": [1]}}', "'0123': expected 8 digits"),
        ("t.json", '{"00000009": {"test_acc": [1]}}', "'00000009'"),
        ("t.csv", "score\n0.5", "line 2: .* must be one of"),
        ("missing.json", None, "cannot read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataProblem, match=message):
        read_table(path, MACRO)


def test_a_network_that_the_table_has_not_is_named(tmp_path):
    path = tmp_path / "table.json"
    path.write_text("{}")
    with pytest.raises(DataProblem, match="no score"):
        read_table(path, MACRO).mean(MACRO.architecture_at((0,) * 8))
