from __future__ import annotations

import math
from pathlib import Path

import pytest

from autoscale.design.published import FAMILIES, published
from autoscale.errors import InvalidSetting
from autoscale.models.compare import compare


def test_a_family_is_all_its_members() -> None:
    table = compare(["efficientnet-lite", "resnet-50"])
    assert list(table.network) == [*FAMILIES["efficientnet-lite"], "resnet-50"]
    assert list(table.family) == ["efficientnet-lite"] * 5 + [""]


def test_a_row_holds_counts_and_the_published_accuracy_with_its_source() -> None:
    row = compare(["efficientnet-b4"]).iloc[0]
    assert (row.params, row.macs, row.activations) == (19_341_616, 4_393_771_024, 49_489_032)
    assert row.top1 == 82.9
    assert row.source == "Tan & Le 2019 (EfficientNet, arXiv v5), Table 2"


def test_a_design_without_a_published_accuracy_has_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(published("tinynet-e").to_yaml(), encoding="utf-8")
    row = compare([str(path)]).iloc[0]
    assert math.isnan(row.top1)
    assert row.source == ""


def test_nothing_to_compare_is_refused_with_the_families() -> None:
    with pytest.raises(InvalidSetting, match="families are efficientnet, "):
        compare([])
