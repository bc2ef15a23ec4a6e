"""Metrics as people name them, and tables of costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscale.errors import InvalidSetting
from autoscale.metrics.answers import ExpectedCost
from autoscale.metrics.choice import CostTable, MetricChoice
from autoscale.metrics.names import METRICS, metric_names, require_metric, with_metric_file
from tests.metrics.test_metrics import NAMES, SEVEN

TABLE = "truth,dog,cat,eel\ncat,5,0,1\ndog,0,2,1\neel,9,9,0\n"


def test_every_metric_that_the_help_lists_is_one() -> None:
    for name in METRICS:
        require_metric(name.replace("CLASS", "dog").replace("K", "2").replace("FILE", "a"))
    stems = {name.partition(":")[0].removesuffix("-K") for name in METRICS}
    assert {name.rstrip(":").removesuffix("-5") for name in metric_names()} == stems


@pytest.mark.parametrize("text", ["", "f1", "top-0", "top-", "recall:", "cost: ", "Accuracy"])
def test_what_is_no_metric_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"choose from accuracy, .*cost:FILE\.csv"):
        require_metric(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recall:fox", "there is no class 'fox'; the classes are cat, dog, eel"),
        ("top-3", "top-3 of 3 classes is always right; take top-K with a K below 3"),
    ],
)
def test_what_these_classes_have_not_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        MetricChoice.named(text).for_classes(NAMES)


def test_costs_are_read_by_names_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "costs.csv"
    file.write_text(TABLE)
    found = MetricChoice.named(f"cost:{file}").for_classes(NAMES)
    assert isinstance(found, ExpectedCost)
    assert found.matrix == ((0, 5, 1), (2, 0, 1), (9, 9, 0))
    assert found.of(SEVEN) == pytest.approx((5 + 2) / 7)  # a cat called dog, a dog called cat
    low, high = found.interval(SEVEN)
    assert 0 <= low < 1 < high <= 9
    assert not found.higher_is_better
    assert (found.quality(0), found.quality(9)) == (1, 0)


def test_one_answer_costs_what_the_cheapest_does(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text(TABLE)
    found = MetricChoice.named(f"cost:{tmp_path / 'costs.csv'}").for_classes(NAMES)
    # Saying eel: 4 cats cost 1 each, 2 dogs 1 each; saying cat: 2 dogs cost 2 each, the eel 9.
    assert found.of_one_answer(SEVEN.labels, 3) == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds 0 lines"),
        ("truth,cat,dog\ncat,0,1\ndog,1\n", "the row of 'dog' has 1 costs for 2 answers"),
        ("truth,cat,dog\ncat,0,1\neel,1,0\n", "'dog' is not once in the rows and once in the"),
        ("truth,cat,cat\ncat,0,1\ncat,1,0\n", "'cat' is not once"),
        ("truth,cat,dog\ncat,0,x\ndog,1,0\n", "the row of 'cat' has 'x' in the place of a cost"),
        ("truth,cat,dog\ncat,0,nan\ndog,1,0\n", "'nan' in the place"),
        ("truth,cat,dog\ncat,1,1\ndog,1,1\n", "all costs are 1; let wrong answers cost"),
    ],
)
def test_what_is_no_table_of_costs_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        CostTable.read(text, "costs.csv")


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("cat", "dog", "eel", "fox"), "lacks the class 'fox'"),
        (("cat", "dog"), "names a class that there is not, 'eel'"),
    ],
)
def test_a_table_of_other_classes_is_refused(classes: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        CostTable.read(TABLE, "costs.csv").matrix(classes, "costs.csv")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidSetting, match=r"cannot read the costs none\.csv: No such file"):
        MetricChoice.named("cost:none.csv")


def test_accuracy_leaves_no_record_and_no_record_is_accuracy() -> None:
    assert MetricChoice.named("accuracy").record() == {}
    assert MetricChoice.from_record({"recipe": {}}).usual


def test_what_is_on_record_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text(TABLE)
    for text in ("auroc", "recall:dog", "top-2", f"cost:{tmp_path / 'costs.csv'}"):
        chosen = MetricChoice.named(text)
        assert MetricChoice.from_record(chosen.record()) == chosen
    assert chosen.name == "cost:costs.csv"


def test_a_file_within_a_name_can_be_moved() -> None:
    assert with_metric_file("cost:a.csv", lambda file: f"/x/{file}") == "cost:/x/a.csv"
    assert with_metric_file("recall:a.csv", lambda file: f"/x/{file}") == "recall:a.csv"
