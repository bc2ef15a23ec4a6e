"""A trained network in use: on a data set, and on single images."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoscale.cli import main
from autoscale.errors import InvalidSetting
from autoscale.training.batches import to_input
from autoscale.training.data import load
from autoscale.training.preparation import Preparation
from autoscale.workflows.models import Model, load_model
from autoscale.workflows.predict import evaluate_model, predict, to_network_input
from autoscale.workflows.train import train
from tests.conftest import draw_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, and a network trained on them."""
    folder = tmp_path_factory.mktemp("use")
    photos = draw_photos(folder / "photos", count=30)
    from autoscale.workflows.catalogue import load_space

    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    design = folder / "small.yaml"
    design.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    train(str(design), folder / "run", data=str(photos), epochs=4, batch_size=8, kernels="none")
    return folder


@pytest.fixture(scope="module")
def weights(folder: Path) -> str:
    return str(folder / "run" / "train" / "best.safetensors")


@pytest.fixture(scope="module")
def model(weights: str) -> Model:
    return load_model(weights)


def test_the_accuracy_is_the_one_that_the_training_measured(folder: Path, model: Model) -> None:
    told = json.loads((folder / "run" / "train" / "result.json").read_text())
    photos = str(folder / "photos")
    for split, accuracy in (
        ("test", told["test_accuracy"]),
        ("validation", told["validation_accuracy"]),
    ):
        found = evaluate_model(model, photos, split=split)
        assert found.accuracy == accuracy
        assert found.split == split
    assert evaluate_model(model, photos).split == "test"


def test_images_are_normalised_as_in_training_to_the_bit(model: Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    assert torch.equal(to_network_input(pixels, model), to_input(pixels, resolution=16))


def test_other_means_and_deviations_of_the_header_are_used(model: Model) -> None:
    pixels = np.full((1, 2, 2, 3), 255, np.uint8)
    other = replace(
        model, preparation=Preparation(mean=(0.0, 0.5, 1.0), deviation=(1.0, 0.5, 0.25))
    )
    assert to_network_input(pixels, other)[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_classes_and_confusions_add_up(folder: Path, model: Model) -> None:
    found = evaluate_model(model, str(folder / "photos"), split="all")
    table = found.classes
    assert table["class"].tolist() == ["blue", "green", "red"]
    assert table.images.tolist() == [30, 30, 30]
    assert table.right.sum() / found.images == pytest.approx(found.accuracy)
    assert table.predicted.sum() == found.images
    assert found.confusions.images.sum() == found.images - table.right.sum()
    assert (found.confusions["class"] != found.confusions.taken_for).all()
    assert found.confusions.images.is_monotonic_decreasing
    assert found.loss > 0
    assert found.images_per_second > 0


def test_loss_and_accuracy_are_those_of_the_logits(folder: Path, model: Model) -> None:
    images = load(str(folder / "photos"), size=16).validation
    logits = model.network(to_input(images.pixels, resolution=16)).detach()
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(images.labels))
    found = evaluate_model(model, str(folder / "photos"), split="validation", batch=4)
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)


def test_classes_are_matched_by_name_and_a_strange_one_is_refused(
    folder: Path, model: Model, tmp_path: Path
) -> None:
    two = tmp_path / "two"
    for name in ("green", "red"):
        (two / name).mkdir(parents=True)
        for path in (folder / "photos" / name).iterdir():
            (two / name / path.name).write_bytes(path.read_bytes())
    whole = evaluate_model(model, str(folder / "photos"), split="all").classes
    part = evaluate_model(model, str(two), split="all").classes
    assert part.right.tolist()[1:] == whole.right.tolist()[1:]
    assert part.images.tolist() == [0, 30, 30]
    (two / "red").rename(two / "pink")
    with pytest.raises(InvalidSetting, match="class 'pink', which best does not know"):
        evaluate_model(model, str(two))


def test_predictions_agree_with_the_evaluation(folder: Path, model: Model) -> None:
    paths = sorted((folder / "photos").glob("*/*.png"))
    found = predict(model, paths, top=3).table
    assert found.groupby("image").probability.sum().to_numpy() == pytest.approx(1)
    best = found[found["rank"] == 1]
    whole = evaluate_model(model, str(folder / "photos"), split="all")
    # Decoded one by one or together, each picture is the same.
    assert sum(
        Path(image).parent.name == name
        for image, name in zip(best["image"], best["class"], strict=True)
    ) == round(whole.accuracy * whole.images)
    assert best.image.tolist() == [str(path) for path in paths]
    assert (found.groupby("image").probability.diff().dropna() <= 0).all()


def test_a_corrupt_image_is_named_in_one_line_and_the_others_are_answered(
    folder: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [str(path) for path in sorted((folder / "photos" / "red").glob("*.png"))[:2]]
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 no more")
    asked = [good[0], str(bad), good[1], str(tmp_path / "none.png"), str(tmp_path)]
    assert main(["predict", *asked, "--model", weights, "--csv", "--top", "1"]) == 1
    captured = capsys.readouterr()
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["image"].tolist() == good
    assert table.columns.tolist() == ["image", "rank", "class", "probability"]
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert sum("bad.jpg" in line for line in lines) == 1
    assert any("no such file" in line for line in lines)
    assert any("is a folder; name its images" in line for line in lines)


def test_both_commands_answer_people_and_machines(
    folder: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(next((folder / "photos" / "red").glob("*.png")))
    assert main(["predict", image, "--model", weights, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["refused"] == []
    assert sum(row["probability"] for row in told["predictions"]) == pytest.approx(1)
    assert main(["predict", image, "--model", weights]) == 0
    assert "softmax" in capsys.readouterr().out
    command = ["evaluate", weights, "--data", str(folder / "photos")]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == sum(row["images"] for row in told["classes"])
    assert main(command) == 0
    assert "test images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "efficientnet-b0", "--data", "PHOTOS"], "has no weights"),
        (["evaluate", "WEIGHTS", "--data", "PHOTOS", "--split", "best"], "no split 'best'"),
        (["evaluate", "WEIGHTS", "--data", "PHOTOS", "--batch", "0"], "batch must be at least 1"),
        (["predict", "x.png", "--model", "WEIGHTS", "--csv", "--json"], "either --csv or --json"),
        (["predict", "x.png", "--model", "no.safetensors"], "no such file"),
    ],
)
def test_wrong_usage_is_answered_in_one_line(
    folder: Path, weights: str, arguments: list[str], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    places = {"PHOTOS": str(folder / "photos"), "WEIGHTS": weights}
    assert main([places.get(part, part) for part in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1
