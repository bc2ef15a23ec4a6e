"""`evaluate --metric`: what else is said of a network, and how sure it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from autoscale.cli.app import main
from autoscale.errors import InvalidSetting
from autoscale.jobs.search.spaces import load_space
from autoscale.metrics.choice import MetricChoice
from autoscale.models.inference.evaluation import Evaluation, evaluate_model
from autoscale.network.build import build
from autoscale.runs.weights import Header, write_weights
from tests.conftest import draw_photos

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, few of them red, and two networks with fresh weights that know their classes."""
    folder = tmp_path_factory.mktemp("metrics")
    photos = draw_photos(folder / "photos", count=20)
    for picture in sorted((photos / "red").iterdir())[3:]:
        picture.unlink()
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    design = space.architecture_at((0,) * len(space.parameters))
    for name in ("one", "two"):
        with torch.random.fork_rng():
            torch.manual_seed(len(name) + ord(name[0]))
            network = build(design)
        header = Header(architecture=design.to_dict(), classes=CLASSES)
        write_weights(folder / f"{name}.safetensors", network.state_dict(), header)
    costs = "truth,blue,green,red\nblue,0,1,1\ngreen,1,0,1\nred,5,5,0\n"
    (folder / "costs.csv").write_text(costs)
    return folder


def evaluated(folder: Path, *metrics: str, **options: str) -> Evaluation:
    return evaluate_model(
        str(folder / "one.safetensors"), str(folder / "photos"), metrics=metrics, **options
    )


def test_metrics_agree_with_the_table_by_class(folder: Path) -> None:
    found = evaluated(
        folder, "balanced-accuracy", "recall:red", "accuracy", f"cost:{folder / 'costs.csv'}"
    )
    balanced, red, plain, cost = (one.value for one in found.metrics)
    assert balanced == pytest.approx(found.classes.accuracy.mean())
    assert red == pytest.approx(found.classes.accuracy[2])
    assert plain == found.accuracy
    wrong = found.classes.images - found.classes.right
    assert cost == pytest.approx((wrong * [1, 1, 5]).sum() / found.images)
    assert [one.metric.higher_is_better for one in found.metrics] == [True, True, True, False]


def test_log_loss_is_the_loss_and_every_interval_holds_its_value(folder: Path) -> None:
    found = evaluated(folder, "log-loss", "auroc", "macro-f1", "top-2")
    assert found.metrics[0].value == pytest.approx(found.loss)
    for one in found.metrics:
        assert one.interval[0] <= one.value <= one.interval[1], one.metric.name


def test_nothing_more_is_said_where_nothing_is_asked(folder: Path) -> None:
    found = evaluated(folder, against=str(folder / "two.safetensors"))
    assert found.metrics == ()
    assert found.against is not None
    assert found.against.metrics == ()


def test_another_network_is_compared_by_the_metric_too(folder: Path) -> None:
    two = str(folder / "two.safetensors")
    found = evaluated(folder, "balanced-accuracy", "log-loss", against=two)
    alone = evaluate_model(two, str(folder / "photos"), metrics=("balanced-accuracy", "log-loss"))
    assert found.against is not None
    for own, beside, other, sign in zip(
        found.metrics, found.against.metrics, alone.metrics, (1, -1), strict=True
    ):
        assert beside.other == other.value
        assert beside.lead == pytest.approx(sign * (own.value - other.value))
        assert beside.interval[0] <= beside.lead <= beside.interval[1]


def test_the_command_says_it_in_words_and_in_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "evaluate", str(folder / "one.safetensors"), "--data", str(folder / "photos"),
        "--metric", "balanced-accuracy", "--metric", "log-loss",
        "--against", str(folder / "two.safetensors"),
    ]  # fmt: skip
    assert main(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Balanced accuracy 0." in said
    assert "over images; less is better" in said
    assert "by log-loss, " in said
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["metric"] for one in told["metrics"]] == ["balanced-accuracy", "log-loss"]
    low, high = told["metrics"][0]["interval"]
    assert low <= told["metrics"][0]["value"] <= high
    assert [one["metric"] for one in told["against"]["metrics"]] == [
        "balanced-accuracy",
        "log-loss",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("recall:pink", "there is no class 'pink'; the classes are blue, green, red"),
        ("top-5", "top-5 of 3 classes is always right"),
        ("f1", "no metric 'f1'; choose from accuracy"),
        ("balanced_accuracy", "did you mean balanced-accuracy?"),
        ("cost:none.csv", "cannot read the costs none.csv"),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    network, photos = str(folder / "one.safetensors"), str(folder / "photos")
    assert main(["evaluate", network, "--data", photos, "--metric", name]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_a_class_with_too_few_images_is_named(folder: Path, tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        count = 1 if name == "red" else 5
        for picture in sorted((folder / "photos" / name).iterdir())[:count]:
            (tmp_path / name / picture.name).write_bytes(picture.read_bytes())
    network = str(folder / "one.safetensors")
    with pytest.raises(
        InvalidSetting, match="auroc needs 2 images of each class; there is 1 of red"
    ):
        evaluate_model(network, str(tmp_path), metrics=("auroc",))
    found = evaluate_model(network, str(tmp_path), metrics=("balanced-accuracy",))
    assert found.metrics[0].value == pytest.approx(found.classes.accuracy.mean())


def test_classes_that_the_data_lacks_are_left_out(folder: Path, tmp_path: Path) -> None:
    for name in ("blue", "red"):
        (tmp_path / name).mkdir()
        for picture in (folder / "photos" / name).iterdir():
            (tmp_path / name / picture.name).write_bytes(picture.read_bytes())
    network = str(folder / "one.safetensors")
    found = evaluate_model(network, str(tmp_path), metrics=("balanced-accuracy", "auroc"))
    assert found.metrics[0].value == pytest.approx(np.nanmean(found.classes.accuracy))
    assert 0 <= found.metrics[1].value <= 1
    with pytest.raises(InvalidSetting, match="recall:green needs images of green"):
        evaluate_model(network, str(tmp_path), metrics=("recall:green",))


def test_one_metric_twice_is_said_once(folder: Path) -> None:
    assert len(evaluated(folder, "auroc", "auroc").metrics) == 1
    assert (
        MetricChoice.named("auroc").for_classes(CLASSES)
        == evaluated(folder, "auroc").metrics[0].metric
    )
