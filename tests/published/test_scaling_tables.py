"""Tables 3 and 7 of Tan & Le 2019, recounted."""

from __future__ import annotations

import pytest

from experiments.tables.scalings import SCALED_ROWS, TOLERANCE, ScaledRow

# Billions of multiply-adds, counted independently: integer channels for MobileNetV1 and ResNet,
# multiples of 8 for MobileNetV2, the official rounding for B0.
COUNTED = {
    ("mobilenet-v1", 1, 1, 224): 0.569,
    ("mobilenet-v1", 1, 2, 224): 2.216,
    ("mobilenet-v1", 1, 1, 448): 2.272,
    ("mobilenet-v1", 1.4, 1.2, 288): 2.22,
    ("mobilenet-v2", 1, 1, 224): 0.301,
    ("mobilenet-v2", 4, 1, 224): 1.220,
    ("mobilenet-v2", 1, 2, 224): 1.137,
    ("mobilenet-v2", 1, 1, 448): 1.199,
    ("mobilenet-v2", 1.4, 1.2, 291): 1.442,
    ("resnet-50", 1, 1, 224): 4.089,
    ("resnet-50", 4, 1, 224): 14.57,
    ("resnet-50", 1, 2, 224): 16.12,
    ("resnet-50", 1, 1, 448): 16.35,
    ("resnet-50", 1.4, 1.2, 291): 15.78,
    ("efficientnet-b0", 1, 1, 224): 0.386,
    ("efficientnet-b0", 4, 1, 224): 1.575,
    ("efficientnet-b0", 1, 2, 224): 1.450,
    ("efficientnet-b0", 1, 1, 448): 1.538,
    ("efficientnet-b0", 1.4, 1.2, 291): 1.800,
}


def key(row: ScaledRow) -> tuple[str, float, float, int]:
    return row.base, row.depth, row.width, row.resolution


@pytest.mark.parametrize("row", SCALED_ROWS, ids=lambda row: " ".join(map(str, key(row))))
def test_a_row_counts_what_its_construction_gives(row: ScaledRow) -> None:
    expected = COUNTED[key(row)]
    digits = len(str(expected).partition(".")[2])
    assert round(row.counted, digits) == expected


def test_a_row_agrees_with_the_paper_or_says_why_not() -> None:
    assert len(COUNTED) == len(SCALED_ROWS)
    for row in SCALED_ROWS:
        assert row.agrees == (row.note == "")


def test_the_two_resnet_rows_fit_each_others_figure() -> None:
    deep, wide = (row for row in SCALED_ROWS if "swapped" in row.note)
    assert abs(deep.counted - wide.published) < 0.2
    assert abs(wide.counted - deep.published) < TOLERANCE
