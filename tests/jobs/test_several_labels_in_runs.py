"""Images that may have several labels from the search to exported files, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import autoscale
from autoscale.answering.answering import Answering
from autoscale.cli.app import main
from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.inspection.read_run import load_run
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.inference.predict import predict
from autoscale.models.load import load_model
from autoscale.report.page import page
from autoscale.runs.weights import Header, read_weights, write_weights
from tests.conftest import Heard

SIZE = 12


def draw(folder: Path, count: int = 90, *, seed: int = 0) -> Path:
    """Pictures with two attributes, a shape and a colour, and a list of which has which."""
    folder.mkdir()
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:SIZE, :SIZE]
    rows = []
    for i in range(count):
        disc, red = rng.random(2) < 0.45
        pixels = rng.normal(100, 15, (SIZE, SIZE, 3))
        if disc:
            pixels[(y - 6) ** 2 + (x - 6) ** 2 < 14] += 110
        if red:
            pixels[..., 0] += 70
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        own = [name for name, told in (("disc", disc), ("red", red)) if told]
        rows.append({"image": f"{i}.png", "labels": own, "kind": "disc" if disc else "none"})
    list_of_them = folder / "photos.jsonl"
    list_of_them.write_text("\n".join(map(json.dumps, rows)))
    return list_of_them


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("several") / "photos")


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> str:
    space = load_space("tiny").for_task(resolution=SIZE, num_classes=2)
    path = tmp_path_factory.mktemp("design") / "small.yaml"
    path.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    return str(path)


def short(design: str, run: Path, photos: Path | str, **options: Any) -> Trained:
    asked: dict[str, Any] = {"epochs": 4, "batch_size": 8, "kernels": "none", **options}
    return train(design, run, data=str(photos), **asked)


@pytest.fixture(scope="module")
def trained(design: str, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return short(design, tmp_path_factory.mktemp("trained"), photos)


def thresholds_of(weights: Path) -> tuple[float, ...]:
    found = read_weights(weights).header.answering
    assert found is not None
    assert found.several
    assert found.thresholds is not None
    return found.thresholds


# Training


def test_a_training_is_judged_by_mean_average_precision_and_keeps_thresholds(
    trained: Trained,
) -> None:
    header = read_weights(trained.weights).header
    assert (header.metric, header.score) == ("map", trained.best.score)
    assert header.classes == ("disc", "red")
    assert len(thresholds_of(trained.weights)) == 2
    assert trained.test_score is not None
    assert trained.test_score > 0.8


def test_its_numbers_are_those_that_evaluate_gives(trained: Trained, photos: Path) -> None:
    found = evaluate_model(trained.weights, data=str(photos), metrics=("exact-match",))
    assert found.several
    assert found.split == "test"
    assert found.accuracy == trained.test_accuracy == found.metrics[0].value
    usual = evaluate_model(trained.weights, data=str(photos))
    assert [one.metric.name for one in usual.metrics] == ["map"]
    assert usual.metrics[0].value == pytest.approx(trained.test_score)
    assert found.classes.threshold.tolist() == pytest.approx(thresholds_of(trained.weights))
    assert not len(found.confusions)
    whole = evaluate_model(trained.weights, data=str(photos), split="all")
    assert whole.classes.images.sum() == sum(
        len(json.loads(line)["labels"]) for line in photos.read_text().splitlines()
    )


def test_a_broken_training_goes_on_to_the_same_bytes(
    design: str, photos: Path, tmp_path: Path
) -> None:
    asked = {"epochs": 2, "loss": "focal:2", "class_weights": "balanced"}
    whole = short(design, tmp_path / "whole", photos, **asked)
    with pytest.raises(KeyboardInterrupt):
        short(design, tmp_path / "cut", photos, **asked, listener=Heard(stop_after=1))
    found = short(design, tmp_path / "cut", photos, **asked)
    assert found.weights.read_bytes() == whole.weights.read_bytes()
    assert found.test_score == whole.test_score
    # Finished, it is told again without another step.
    again = short(design, tmp_path / "whole", photos, **asked)
    assert again.weights.read_bytes() == whole.weights.read_bytes()
    record = json.loads((tmp_path / "whole" / "train" / "settings.json").read_text())["settings"]
    assert record["metric"] == {"name": "map"}
    assert record["recipe"]["label_smoothing"] == 0


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"sampling": "balanced"}, "draws images by their one class"),
        ({"loss": "logit-adjusted"}, "of which each image has one"),
        ({"metric": "balanced-accuracy"}, "of images with one label each"),
        ({"metric": "top-1"}, "of images with one label each"),
        ({"metric": "recall:blue"}, "no class 'blue'"),
    ],
)
def test_what_is_of_one_label_each_is_refused(
    asked: dict[str, str], reason: str, design: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        short(design, tmp_path, photos, **asked)
    assert not (tmp_path / "train" / "best.safetensors").exists()


def test_a_teacher_frozen_features_and_other_jobs_are_refused(
    design: str, photos: Path, trained: Trained, tmp_path: Path
) -> None:
    weights, data = str(trained.weights), str(photos)
    with pytest.raises(InvalidSetting, match="leave --teacher out"):
        short(design, tmp_path, photos, teacher=weights)
    with pytest.raises(InvalidSetting, match=r"--freeze features, .* is of images with"):
        train(design, tmp_path, data=data, weights=weights, freeze="features")
    with pytest.raises(InvalidSetting, match="make is of images with one label each"):
        autoscale.make_network(data, tmp_path / "made", hours=0.01, max_cost=("macs=1M",))
    with pytest.raises(InvalidSetting, match="--epochs lets an int8 network learn one class"):
        autoscale.quantize(weights, tmp_path / "int8", data=data, epochs=1)
    with pytest.raises(InvalidSetting, match="calibrate is of images with one label each"):
        autoscale.calibrate(weights, data=data)
    with pytest.raises(InvalidSetting, match="leave --dtype out"):
        autoscale.search_baseline(
            tmp_path / "int8", space="tiny", data=data, resolution=SIZE, trials=1, dtype="int8",
        )  # fmt: skip


def test_too_few_validation_images_of_a_label_keep_a_half(
    design: str, photos: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in photos.read_text().splitlines()]
    for place, row in enumerate(rows):
        row["labels"] += ["rare"] if place < 12 else []
        row["image"] = str(photos.parent / row["image"])
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(map(json.dumps, rows)))
    heard = Heard()
    found = short(design, tmp_path / "run", few, epochs=1, listener=heard)
    places = dict(zip(("disc", "rare", "red"), thresholds_of(found.weights), strict=True))
    assert places["rare"] == 0.5
    assert any("fewer than 5 validation images have or lack rare: 0.5 there" in one
               for one in heard.notices)  # fmt: skip


# Use


def test_predict_gives_all_labels_at_or_above_their_thresholds(
    trained: Trained, photos: Path, tmp_path: Path
) -> None:
    files = [str(photos.parent / f"{i}.png") for i in range(20)]
    every = predict(trained.weights, files, top=2).table
    said = predict(trained.weights, files).table
    least = dict(zip(("disc", "red"), thresholds_of(trained.weights), strict=True))
    wanted = every[every.probability >= every["class"].map(least)]
    told = said[said["class"].notna()]
    assert sorted(zip(told.image, told["class"], strict=True)) == sorted(
        zip(wanted.image, wanted["class"], strict=True)
    )
    assert {*said.image} == {*files}  # one of none of the labels has a row too
    assert len(every) == 2 * len(files)
    # Of one label each the sum is 1; here each stands for itself.
    assert not np.allclose(every.groupby("image").probability.sum(), 1)


def test_an_image_of_none_of_the_labels_is_null(
    trained: Trained, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = read_weights(trained.weights)
    strict = Answering(several=True, thresholds=(1 - 1e-12, 1 - 1e-12))
    path = tmp_path / "strict.safetensors"
    write_weights(path, held.state, _with(held.header, strict))
    picture = str(photos.parent / "0.png")
    assert main(["predict", "--model", str(path), picture, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert found == [{"image": picture, "rank": 1, "class": None, "probability": None}]


def _with(header: Header, answering: Answering) -> Header:
    return replace(header, answering=answering)


def test_data_with_other_labels_are_refused(trained: Trained, photos: Path) -> None:
    one = f"{photos}?label=kind"
    with pytest.raises(InvalidSetting, match=r"does not know|have one each"):
        evaluate_model(trained.weights, data=one)


def test_a_network_of_one_label_each_is_refused_on_several(
    design: str, photos: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in photos.read_text().splitlines()]
    for row in rows:
        row["image"], row["labels"] = str(photos.parent / row["image"]), row["labels"] or ["none"]
    for row in rows:
        row["labels"] = "disc" if "disc" in row["labels"] else "red"
    other = tmp_path / "one.jsonl"
    other.write_text("\n".join(map(json.dumps, rows)))
    found = short(design, tmp_path / "run", other, epochs=1)
    assert read_weights(found.weights).header.answering is None
    with pytest.raises(InvalidSetting, match="says one class of an image"):
        evaluate_model(found.weights, data=str(photos))


def test_thresholds_that_are_not_one_a_class_are_refused(trained: Trained, tmp_path: Path) -> None:
    held = read_weights(trained.weights)
    path = tmp_path / "odd.safetensors"
    odd = _with(held.header, Answering(several=True, thresholds=(0.5, 0.5, 0.5)))
    write_weights(path, held.state, odd)
    with pytest.raises(InvalidSetting, match="3 thresholds are not one for each of its classes"):
        load_model(path)


def scripts(folder: Path, files: Sequence[str]) -> dict[str, list[str]]:
    """What the exported scripts print."""
    found = {}
    for script in sorted(folder.glob("use_*.py")):
        done = subprocess.run(
            [sys.executable, str(script), *files], capture_output=True, text=True, check=True
        )
        found[script.name] = [line.split(": ")[1] for line in done.stdout.splitlines()]
    return found


def test_exports_carry_thresholds_and_their_scripts_say_what_predict_says(
    trained: Trained, photos: Path, tmp_path: Path
) -> None:
    files = [str(photos.parent / f"{i}.png") for i in range(12)]
    table = predict(trained.weights, files).table
    told = {name: sorted(own["class"].dropna()) for name, own in table.groupby("image")}
    wanted = [", ".join(told[name]) or "none of the labels" for name in files]

    autoscale.export(trained.weights, tmp_path, formats=("onnx", "python", "safetensors"))
    said = json.loads((tmp_path / "answering.json").read_text())
    assert tuple(said["thresholds"]) == thresholds_of(trained.weights)
    found = scripts(tmp_path, files)
    assert found.keys() == {"use_onnx.py"}
    for lines in found.values():
        assert [", ".join(sorted(line.split(", "))) for line in lines] == wanted
    copied = read_weights(tmp_path / "model.safetensors").header
    assert copied.answering == read_weights(trained.weights).header.answering

    onnx = pytest.importorskip("onnx")
    model = onnx.load(tmp_path / "model.onnx")
    held = {one.key: one.value for one in model.metadata_props}
    assert json.loads(held["answering"])["thresholds"] == said["thresholds"]
    assert "sigmoid" in (tmp_path / "MODEL_CARD.md").read_text()
    scope: dict[str, Any] = {"__file__": str(tmp_path / "network.py"), "__name__": "network"}
    exec(compile((tmp_path / "network.py").read_text(), "network.py", "exec"), scope)
    for name, own in zip(files, wanted, strict=True):
        classified = sorted(label for label, _ in scope["classify"](name))
        assert (", ".join(classified) or "none of the labels") == own


def test_int8_carries_thresholds_too(trained: Trained, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    autoscale.export(
        trained.weights, tmp_path, formats=("litert", "c-array"), dtype="int8", data=str(photos)
    )
    assert "network_thresholds[NETWORK_CLASSES] = {" in (tmp_path / "network.c").read_text()
    files = [str(photos.parent / f"{i}.png") for i in range(30)]
    found = scripts(tmp_path, files)["use_litert.py"]
    table = predict(trained.weights, files).table
    told = {name: ", ".join(sorted(own["class"].dropna())) or "none of the labels"
            for name, own in table.groupby("image")}  # fmt: skip
    same = [", ".join(sorted(line.split(", "))) == told[name]
            for line, name in zip(found, files, strict=True)]  # fmt: skip
    assert np.mean(same) > 0.8  # rounding to int8 moves a few
    quantized = autoscale.quantize(trained.weights, tmp_path / "q", data=str(photos))
    assert quantized.accuracy_float == trained.test_accuracy


# A whole run


def test_search_check_grid_and_family_go_by_mean_average_precision(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = tmp_path / "run", str(photos)
    found = autoscale.search_baseline(
        run, space="tiny", data=data, resolution=SIZE, trials=2, epochs=1, kernels="none"
    )
    assert found.trial.score is not None
    assert found.trial.score.quality is not None
    check = autoscale.check_baseline(run, seeds=2, networks=2)
    assert check.metric == "map"
    autoscale.grid_search(run, flops_budget="2x", seeds=2)
    autoscale.write_family(run, phi="0..1")
    nested = autoscale.train_family(run, epochs=1, batch_size=8)
    assert all(one.validation_map is not None for one in nested.members)
    grown = autoscale.train_family(run, epochs=1, batch_size=8, grow=True)
    assert all(one.test_map is not None for one in grown.members)
    assert json.loads((run / "nested" / "result.json").read_text())["members"][0]["test_map"]

    shown = page(load_run(run))
    assert "mean average precision" in shown
    assert main(["status", str(run)]) == 0
    assert main(["cut", "--run", str(run), "--member", "phi-0"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"mean average precision {nested.members[0].validation_map:.4f} on validation" in told
    assert "(exact match)" in told
    cut = autoscale.cut(run, member=nested.members[0].name)
    assert read_weights(cut.weights).header.answering == Answering(several=True)
    judged = evaluate_model(cut.weights, data=data)
    assert judged.metrics[0].value == pytest.approx(nested.members[0].test_map)
    with pytest.raises(AutoscaleError, match="advise is of images with one label each"):
        autoscale.advise(run)
