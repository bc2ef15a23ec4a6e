"""`calibrate`: what it chooses and writes, and how `predict` and `evaluate` go by it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from autoscale.answering.answering import NONE, Answering
from autoscale.cli.app import main
from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.models.inference import calibrate as calibrate_module
from autoscale.models.inference.calibrate import calibrate
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.inference.images import chosen_images
from autoscale.models.inference.passes import logits_of
from autoscale.models.inference.predict import predict
from autoscale.models.load import Model, load_model
from autoscale.models.settings import AnsweringSettings, PassSettings
from autoscale.runs.weights import read_weights, write_weights
from tests.conftest import draw_photos

#: Photographs of each of three classes; 0.16 of them validate.
COUNT = 150


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of which some lie in a wrong folder, a network trained on them, and others."""
    folder = tmp_path_factory.mktemp("calibrate")
    photos = draw_photos(folder / "photos", count=COUNT)
    classes = sorted(path for path in photos.iterdir() if path.is_dir())
    for place, one in enumerate(classes):
        other = classes[(place + 1) % len(classes)]
        for number, file in enumerate(sorted(one.glob("[0-9]*"))):
            if number % 7 == 0:
                file.rename(other / f"moved-{file.name}")
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    design = folder / "small.yaml"
    design.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    train(str(design), folder / "run", data=str(photos), epochs=2, batch_size=16, kernels="none")
    unknown, drawn = folder / "unknown", np.random.default_rng(0)
    for number in range(60):
        (unknown / str(number % 2)).mkdir(parents=True, exist_ok=True)
        noise = drawn.integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(noise).save(unknown / str(number % 2) / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def weights(work: Path) -> Path:
    return work / "run" / "train" / "best.safetensors"


@pytest.fixture(scope="module")
def photos(work: Path) -> str:
    return str(work / "photos")


@pytest.fixture(scope="module")
def refusing(work: Path, weights: Path, photos: str) -> Path:
    """A file that refuses a tenth of what it answers right."""
    output = work / "refusing.safetensors"
    calibrate(weights, photos, reject=0.1, output=output)
    return output


def logits(model: Model, photos: str, split: str) -> tuple[np.ndarray[Any, Any], Any]:
    chosen = chosen_images(model, photos, split=split, seed=None)
    return logits_of(model, chosen.images.pixels, PassSettings())[0].numpy(), chosen.images.labels


def test_the_loss_falls_no_weight_changes_and_the_header_says_the_rest(
    weights: Path, photos: str, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "answers.safetensors"
    found = calibrate(weights, photos, output=output)
    assert found.temperature.told
    assert found.path == output
    before, after = found.validation.before, found.validation.after
    assert after.log_loss.value < before.log_loss.value
    assert after.coverage.value == 1
    assert found.test is not None
    old, new = load_file(weights), load_file(output)
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old)
    known, told = read_weights(weights).header, read_weights(output).header
    assert told == replace(known, answering=found.answering)
    assert known.answering is None


def test_a_cut_by_groups_is_told_on(weights: Path, tmp_path: Path) -> None:
    model = load_model(weights)
    grouped = replace(model, header=replace(model.header, group_by="path:(.)"))
    calibrate_module._write(tmp_path / "a", None, grouped, Answering(temperature=2.0))
    told = read_weights(tmp_path / "a").header
    assert told == replace(grouped.header, answering=Answering(temperature=2.0))


def test_the_same_call_gives_the_same_bytes(weights: Path, photos: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    for path in (one, other):
        calibrate(weights, photos, reject=0.1, output=path)
    assert one.read_bytes() == other.read_bytes()


def test_the_temperature_is_that_of_least_loss_worked_out_otherwise(
    weights: Path, photos: str, tmp_path: Path
) -> None:
    found = calibrate(weights, photos, output=tmp_path / "a.safetensors")
    scores, labels = logits(load_model(weights), photos, "validation")
    wanted, middle, reach = torch.from_numpy(labels), 1.0, 20.0
    for _ in range(6):  # ever finer grids around the best
        grid = middle * reach ** np.linspace(-1, 1, 41)
        losses = [
            float(
                torch.nn.functional.cross_entropy(torch.from_numpy(scores).double() / one, wanted)
            )
            for one in grid
        ]
        middle, reach = float(grid[np.argmin(losses)]), reach**0.1
    assert found.temperature.value == pytest.approx(middle, rel=1e-5)


def test_a_tenth_of_the_right_answers_is_refused_by_predict_too(
    refusing: Path, work: Path, photos: str
) -> None:
    model = load_model(refusing)
    way = model.header.answering
    assert way is not None
    assert way.none_below is not None
    scores, labels = logits(model, photos, "validation")
    right = scores.argmax(axis=1) == labels
    chances = torch.from_numpy(scores).double().div(way.temperature).softmax(dim=1).numpy()
    sure = chances.max(axis=1)
    assert (sure[right] < way.none_below).sum() == right.sum() // 10
    paths = sorted(Path(photos).rglob("*.png"))
    table = predict(model, paths, top=2).table
    plain = predict(replace(model, header=replace(model.header, answering=None)), paths).table
    first, usual = (one[one["rank"] == 1].set_index("image") for one in (table, plain))
    none = first["class"] == NONE
    assert 0 < none.sum() < len(paths) / 2
    assert first[none][["probability", "index"]].isna().all(axis=None)
    assert (first[~none]["class"] == usual[~none]["class"]).all()
    assert first[~none]["probability"].min() >= way.none_below
    # What it would have answered stands in the next place, and is less sure than that.
    second = table[(table["rank"] == 2) & table["image"].isin(first[none].index)]
    assert (second.set_index("image")["class"] == usual[none]["class"]).all()
    assert second["probability"].max() < way.none_below
    known = model.header.classes
    assert known is not None
    rest = table.dropna(subset="index")
    assert [known[place] for place in rest["index"]] == rest["class"].tolist()


def test_a_temperature_alone_changes_probabilities_and_no_answer(
    weights: Path, photos: str, tmp_path: Path
) -> None:
    found = calibrate(weights, photos, output=tmp_path / "a.safetensors")
    plain, calibrated = predict(weights, [photos]).table, predict(found.path, [photos]).table
    assert list(calibrated.columns) == list(plain.columns)
    assert (plain["class"] == calibrated["class"]).all()
    one, other = (table["probability"].to_numpy(float) for table in (plain, calibrated))
    assert not np.allclose(one, other)


def test_evaluate_says_both_and_the_usual_figures_stay(
    weights: Path, refusing: Path, photos: str
) -> None:
    usual = evaluate_model(weights, photos, metrics=("log-loss",))
    found = evaluate_model(refusing, photos, metrics=("log-loss",))
    assert usual.answered is None
    assert (found.accuracy, found.loss) == (usual.accuracy, usual.loss)
    assert found.metrics == usual.metrics
    pd.testing.assert_frame_equal(found.classes, usual.classes)
    told = found.answered
    assert told is not None
    model = load_model(refusing)
    scores, labels = logits(model, photos, "test")
    assert told.answering == model.header.answering is not None
    chances = torch.from_numpy(scores).double().div(told.answering.temperature).softmax(dim=1)
    threshold = told.answering.none_below
    assert threshold is not None
    held = (chances.max(dim=1).values >= threshold).numpy()
    right = scores.argmax(axis=1) == labels
    assert told.coverage.value == held.mean()
    assert told.right.value == right[held].mean()
    assert told.lost.count == (right & ~held).sum()
    loss = torch.nn.functional.nll_loss(chances.log(), torch.from_numpy(labels))
    assert told.log_loss.value == pytest.approx(float(loss))


def test_unknown_pictures_are_counted_and_may_choose(
    weights: Path, work: Path, photos: str, tmp_path: Path
) -> None:
    unknown = str(work / "unknown")
    counted = calibrate(
        weights, photos, reject=0.1, unknown=unknown, output=tmp_path / "a.safetensors"
    )
    table = predict(counted.path, [unknown], top=1).table
    assert counted.unknown is not None
    assert counted.unknown.count == (table["class"] == NONE).sum()
    assert counted.unknown.of == 60
    choosing = calibrate(
        weights, photos, unknown=unknown, reject_unknown=0.9, output=tmp_path / "b.safetensors"
    )
    table = predict(choosing.path, [unknown], top=1).table
    assert (table["class"] == NONE).sum() == 54
    assert any("the unknown pictures chose the threshold" in told for told in choosing.notices)


def test_where_it_writes(weights: Path, photos: str, tmp_path: Path) -> None:
    own = Path(shutil.copy(weights, tmp_path / "own.safetensors"))
    before = own.read_bytes()
    beside = calibrate(own, photos).path
    assert beside == tmp_path / "own-calibrated.safetensors"
    assert own.read_bytes() == before
    kept = beside.read_bytes()
    again = f"{beside} was there and is written anew"
    assert again in calibrate(own, photos).notices
    with pytest.raises(InvalidSetting, match="is the file of the weights themselves; give --in-pl"):
        calibrate(own, photos, output=own)
    in_place = calibrate(own, photos, in_place=True)
    assert in_place.path == own
    assert not [line for line in in_place.notices if "anew" in line]
    assert own.read_bytes() == kept
    in_memory = calibrate(load_model(weights), photos, output=tmp_path / "memory.safetensors")
    assert in_memory.path.read_bytes() == kept
    with pytest.raises(InvalidSetting, match="where to write"):
        calibrate(load_model(weights), photos)
    with pytest.raises(InvalidSetting, match="is a folder; name a file in it"):
        calibrate(weights, photos, output=tmp_path)


def test_another_size_says_that_the_choice_was_for_the_first(refusing: Path) -> None:
    assert not any("were chosen" in note for note in load_model(refusing).notes)
    other = load_model(refusing, resolution=24)
    assert any("were chosen at 16 x 16 pixels" in note for note in other.notes)


def nameless(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    held = read_weights(weights)
    path = folder / "nameless.safetensors"
    write_weights(path, held.state, replace(held.header, classes=None))
    return {"model": path}


def of_other_classes(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"data": "synthetic"}


def of_fewer_classes(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    photos = folder / "photos"
    for name in ("red", "green"):
        shutil.copytree(work / "photos" / name, photos / name)
    return {"data": str(photos)}


def of_few_images(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"data": str(draw_photos(folder / "photos", count=20))}


def for_a_small_share(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"reject": 0.01}


def for_a_large_share(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"reject": 0.51}


def for_no_share(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"reject": 0.0}


def by_few_unknown(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"unknown": str(work / "unknown" / "0"), "reject_unknown": 0.9}


def by_unknown_that_are_not_there(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"unknown": str(folder / "nowhere"), "reject": 0.1}


def by_unknown_that_are_not_given(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    return {"reject_unknown": 0.9}


def answering_nan(work: Path, weights: Path, folder: Path) -> dict[str, Any]:
    held = read_weights(weights)
    name = next(name for name in held.state if name.endswith("classifier.weight"))
    path = folder / "nan.safetensors"
    broken = {**held.state, name: torch.full_like(held.state[name], 3e38)}
    write_weights(path, broken, held.header)
    return {"model": path}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (nameless, "does not name its classes, so that no answer has a meaning"),
        (of_other_classes, "has the class 'circle'|which best does not know"),
        (of_fewer_classes, "has no class 'blue', which best tells apart"),
        (of_few_images, r"\d+ validation images are too few for a temperature.*50"),
        (for_a_small_share, "too few for a threshold that refuses 0.01 of them.*500"),
        (for_a_large_share, "reject must be at most 0.5, got 0.51"),
        (for_no_share, "reject must be above 0"),
        (by_few_unknown, "30 unknown pictures are too few for a threshold.*50"),
        (by_unknown_that_are_not_there, "no such folder"),
        (by_unknown_that_are_not_given, "--reject-unknown 0.9 needs --unknown"),
        (answering_nan, "answered with numbers that are not finite"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    change: Callable[[Path, Path, Path], dict[str, Any]],
    told: str,
    work: Path,
    weights: Path,
    photos: str,
    tmp_path: Path,
) -> None:
    asked: dict[str, Any] = {"model": weights, "data": photos, "output": tmp_path / "out"}
    with pytest.raises(AutoscaleError, match=told) as refused:
        calibrate(**(asked | change(work, weights, tmp_path)))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_header_of_a_later_version_is_refused(weights: Path, tmp_path: Path) -> None:
    held = read_weights(weights)
    path = tmp_path / "later.safetensors"
    write_weights(path, held.state, replace(held.header, answering=Answering(none_below=0.5)))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"none_below", b"some_above"))
    with pytest.raises(InvalidSetting, match="holds 'some_above', which this version does not"):
        read_weights(path)


def test_the_command_tells_all_and_predict_writes_csv(
    work: Path, weights: Path, photos: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.safetensors")
    words = ["calibrate", str(weights), "--data", photos, "--reject", "0.1"]
    words += ["--unknown", str(work / "unknown"), "--output", output]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answering"]["temperature"] != 1
    assert told["validation"]["after"]["right_refused"]["share"] <= 0.1
    assert told["unknown_refused"]["of"] == 60
    assert main(words) == 0
    said, notes = capsys.readouterr()
    assert "before" in said
    assert "Temperature" in said
    assert "the training chose its epoch on the validation images too" in notes
    asked = ["predict", str(work / "unknown"), photos, "--model", output, "--top", "1"]
    assert main([*asked, "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    none = table["class"] == NONE
    assert none.any()
    assert not none.all()
    assert table[none]["index"].isna().all()
    assert main([*asked, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["predictions"]
    assert [one["index"] is None for one in answers] == none.tolist()
    assert main(asked) == 0
    assert "<NA>" not in capsys.readouterr().out
    assert main(["evaluate", output, "--data", photos, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answered"]["coverage"]["of"] > 0
    assert main(["evaluate", output, "--data", photos]) == 0
    assert "accuracy of the answered" in capsys.readouterr().out


def test_no_setting_is_without_a_way_to_type_it() -> None:
    asked = AnsweringSettings(data="photos", reject=0.05, unknown="others", in_place=True)
    assert asked.arguments() == ["--data", "photos", "--reject", "0.05", "--unknown", "others",
                                 "--in-place"]  # fmt: skip
