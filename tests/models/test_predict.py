"""A trained network in use: on a data set, and on single images."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.datasets.named import names_in
from autoscale.datasets.pictures import decoding
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.errors import InvalidSetting
from autoscale.inspection.commands import commands
from autoscale.jobs.search.result import load_proxy
from autoscale.jobs.train.job import train
from autoscale.listener import Silent
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.inference.passes import to_network_input
from autoscale.models.inference.predict import predict, predict_in_parts
from autoscale.models.load import Model, load_model
from autoscale.training.batches import to_input
from tests.conftest import draw_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, and a network trained on them."""
    folder = tmp_path_factory.mktemp("use")
    photos = draw_photos(folder / "photos", count=30)
    from autoscale.jobs.search.spaces import load_space

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
    (tmp_path / "empty").mkdir()
    asked = [good[0], str(bad), good[1], str(tmp_path / "none.png"), str(tmp_path / "empty")]
    assert main(["predict", *asked, "--model", weights, "--csv", "--top", "1"]) == 1
    captured = capsys.readouterr()
    table = pd.read_csv(io.StringIO(captured.out))
    assert table["image"].tolist() == good
    assert table.columns.tolist() == ["image", "rank", "class", "probability"]
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert sum("bad.jpg" in line for line in lines) == 1
    assert any("no such file" in line for line in lines)
    assert any("empty: a folder without pictures" in line for line in lines)


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


# Which images an evaluation is of


def test_a_folder_without_splits_is_evaluated_whole_and_that_is_said(
    model: Model, tmp_path: Path
) -> None:
    other = draw_photos(tmp_path / "other", count=10, size=24)
    found = evaluate_model(model, str(other))
    assert (found.split, found.images) == ("all", 30)
    assert found.which == f"30 images: all of {other}, which has no splits"
    assert found.notices == ()


def test_of_the_folder_that_was_trained_on_the_images_put_aside_are_evaluated(
    folder: Path, model: Model, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder / "photos", moved)
    usual = evaluate_model(model, str(folder / "photos"))
    found = evaluate_model(model, str(moved))
    assert (found.split, found.images, found.accuracy) == ("test", usual.images, usual.accuracy)
    assert found.which == (
        f"18 images: the test images of {moved}, cut by seed 0, on the rest of which the network "
        "was trained"
    )


def test_the_cut_is_that_of_the_training_unless_another_seed_is_given(
    folder: Path, model: Model
) -> None:
    other = replace(model, header=replace(model.header, seed=3))
    photos = str(folder / "photos")
    assert evaluate_model(model, photos, split="test").notices == ()
    for network, seed in ((other, None), (model, 3)):
        found = evaluate_model(network, photos, seed=seed, split="test")
        assert found.which == f"18 images: the test images of {photos}, cut by seed 3"
        assert "that the network was trained on are among" in found.notices[0]


def test_a_folder_that_was_trained_on_otherwise_is_not_taken_for_cut(
    folder: Path, model: Model, tmp_path: Path
) -> None:
    shutil.copytree(folder / "photos", tmp_path / "more")
    draw_photos(tmp_path / "new", count=8, size=23)
    for path in (tmp_path / "new").glob("*/*.png"):
        shutil.copy(path, tmp_path / "more" / path.parent.name / f"a{path.name}")
    found = evaluate_model(model, str(tmp_path / "more"))  # another cut, by the same seed
    assert (found.split, found.images) == ("all", 114)
    assert "about 100 % of the images that the network was trained on" in found.notices[0]


def test_some_images_that_were_trained_on_among_others_are_told(
    folder: Path, model: Model, tmp_path: Path
) -> None:
    mixed = draw_photos(tmp_path / "mixed", count=5, size=24)
    for path in sorted((folder / "photos" / "red").glob("*.png"))[:15]:
        shutil.copy(path, mixed / "red" / f"more-{path.name}")
    found = evaluate_model(model, str(mixed))
    assert found.images == 30
    assert len(found.notices) == 1
    assert "% of the images that the network was trained on are among" in found.notices[0]


def test_named_splits_are_said_and_so_are_classes_without_images(
    model: Model, tmp_path: Path
) -> None:
    draw_photos(tmp_path / "photos" / "train", count=4)
    draw_photos(tmp_path / "photos" / "test", count=3, size=22)
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / "photos" / split / "blue")
    found = evaluate_model(model, str(tmp_path / "photos"))
    assert found.which == f"6 images: the test images of {tmp_path / 'photos'}"
    assert found.notices == (f"{tmp_path / 'photos'} has no images of 1 of 3 classes: blue",)


# What is named to predict


def csv_of(captured: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(captured))


def test_folders_are_gone_through_and_litter_is_passed_over(
    folder: Path, model: Model, tmp_path: Path
) -> None:
    shutil.copytree(folder / "photos" / "red", tmp_path / "new" / "deep" / "er")
    picture = next((folder / "photos" / "blue").glob("*.png"))
    shutil.copy(picture, tmp_path / "new" / "without-ending")
    (tmp_path / "new" / "@eaDir").mkdir()
    for name in ("notes.txt", "Thumbs.db", ".hidden.png", "@eaDir/thumb.png"):
        shutil.copy(picture, tmp_path / "new" / name)
    found = predict(model, [tmp_path / "new"], top=1)
    assert len(found.table) == 31
    assert found.refused == ()


@pytest.mark.parametrize("way", ["lines", "windows", "nul", "input", "input by --from"])
def test_names_come_from_lists_too(
    folder: Path, weights: str, tmp_path: Path, way: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    names = [str(path) for path in sorted((folder / "photos" / "green").glob("*.png"))[:3]]
    names[0] = str(shutil.copy(names[0], tmp_path / "a name with spaces.png"))
    separator = {"windows": "\r\n", "nul": "\0"}.get(way, "\n")
    content = "".join(name + separator for name in names).encode()
    (tmp_path / "list").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    asked = {"input": ["-"], "input by --from": ["--from", "-"]}.get(
        way, ["--from", str(tmp_path / "list")]
    )
    assert main(["predict", *asked, "--model", weights, "--csv", "--top", "1"]) == 0
    assert csv_of(capsys.readouterr().out)["image"].tolist() == names


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PAR1\0/\0.\0", b"PK\x03\x04/"]
)
def test_a_list_that_is_no_text_is_refused_and_nothing_of_it_is_read(content: bytes) -> None:
    with pytest.raises(InvalidSetting, match="the list of names is no text; give a picture"):
        names_in(content)


def test_more_threads_than_torch_can_count_are_refused(folder: Path, model: Model) -> None:
    image = next((folder / "photos" / "red").glob("*.png"))
    with pytest.raises(InvalidSetting, match="torch takes no 9223372036854775808 threads"):
        predict(model, [image], threads=2**63)


def test_a_list_in_utf_16_is_read() -> None:
    assert names_in("é.png\r\nb c.png\r\n".encode("utf-16")) == ["é.png", "b c.png"]


def test_an_image_given_in_two_ways_is_answered_in_that_order(
    folder: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(next((folder / "photos" / c).glob("*.png"))) for c in ("red", "blue"))
    (tmp_path / "list").write_text(f"\n{other}\n\n")
    asked = [one, "--from", str(tmp_path / "list")]
    assert main(["predict", *asked, "--model", weights, "--csv", "--top", "1"]) == 0
    assert csv_of(capsys.readouterr().out)["image"].tolist() == [one, other]


@pytest.mark.parametrize("form", ["--csv", "--json", None])
def test_a_name_that_is_not_utf_8_is_shown_escaped(
    folder: Path, weights: str, tmp_path: Path, form: str | None,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    strange = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.png")
    shutil.copy(next((folder / "photos" / "red").glob("*.png")), strange)
    broken = os.fsdecode(bytes(tmp_path) + b"/\xff.jpg")
    Path(broken).write_bytes(b"no picture")
    asked = [strange, broken, os.fsdecode(b"gone-\xfe.png")]
    command = ["predict", *asked, "--model", weights, "--top", "1"]
    assert main([*command, form] if form else command) == 1
    captured = capfd.readouterr()
    shown = json.loads(captured.out)["predictions"][0]["image"] if form == "--json" else None
    assert (shown or captured.out.replace("\n", "")).find("caf\\xe9.png") > 0
    assert "\\xff.jpg: not an image" in captured.err
    assert "gone-\\xfe.png: no such file" in captured.err


def test_many_images_are_answered_in_parts_and_their_progress_is_told(
    folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_CHUNK", 8)
    monkeypatch.setattr("autoscale.models.inference.predict._PACE", 0.0)
    told: list[str] = []

    class Heard(Silent):
        def notice(self, text: str) -> None:
            told.append(text)

    paths = sorted((folder / "photos" / "red").glob("*.png"))
    parts = list(predict_in_parts(model, [folder / "photos" / "red"], top=1, listener=Heard()))
    assert [len(part.table) for part in parts] == [0, 8, 8, 8, 6, 0]
    assert [line.split(",")[0] for line in told] == ["8 of 30 images", "16 of 30 images",
                                                     "24 of 30 images"]  # fmt: skip
    whole = predict(model, paths, top=1).table
    pd.testing.assert_frame_equal(
        pd.concat([part.table for part in parts], ignore_index=True), whole
    )


# Pictures of 16 bits


def draw_counts(root: Path) -> Path:
    """Three classes of 16-bit pictures that reach 400 at most."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("blue", "green", "red")):
        (root / name).mkdir(parents=True)
        for i in range(6):
            counts = rng.integers(0, 80, (20, 20)).astype(np.uint16)
            counts[5:15, 5:15] += 60 + 130 * number
            counts[0, 0] = 400
            Image.fromarray(counts).save(root / name / f"{i}.png")
    return root


def test_a_white_level_goes_with_the_weights_into_every_use(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw_counts(tmp_path / "counts")
    common = ["--data", str(data), "--run", str(tmp_path / "run"), "--epochs", "1"]
    command = ["train", str(folder / "small.yaml"), *common, "--kernels", "none"]
    assert main([*command, "--white-level", "400"]) == 0
    assert "16 bits" not in capsys.readouterr().err
    best = str(tmp_path / "run" / "train" / "best.safetensors")
    found = load_model(best)
    assert found.preparation.white_level == 400
    images = sorted(data.glob("red/*.png"))
    usual, other = predict(found, images), load_model(best, white_level=65535)
    assert usual.notices == ()
    dark = predict(other, images)
    assert "6 of 6 pictures have 16 bits and reach only 400 of 65535" in dark.notices[0]
    assert not dark.table.probability.equals(usual.table.probability)
    assert "16 bits" not in " ".join(evaluate_model(found, str(data)).notices)
    assert "set --white-level 400" in evaluate_model(other, str(data)).notices[0]
    # Training on starts from what the file says.
    again = ["train", str(folder / "small.yaml"), "--data", str(data), "--epochs", "1"]
    where = ["--run", str(tmp_path / "again"), "--kernels", "none", "--weights", best]
    assert main([*again, *where]) == 0
    assert load_model(str(tmp_path / "again/train/best.safetensors")).preparation.white_level == 400


def test_a_search_says_what_is_dark_and_records_the_white_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = draw_counts(tmp_path / "counts"), tmp_path / "run"
    command = ["search-baseline", "--space", "tiny", "--data", str(data), "--resolution", "16",
               "--trials", "1", "--epochs", "1", "--run", str(run), "--kernels",
               "none"]  # fmt: skip
    assert main([*command, "--max-flops", "1"]) == 1  # read, told and refused
    assert "warning: 15 of 15 pictures have 16 bits and reach only 400" in capsys.readouterr().err
    assert main([*command, "--white-level", "400"]) == 0
    assert "16 bits" not in capsys.readouterr().err
    assert load_proxy(run).source.white_level == 400
    (_, line) = commands(run)[0]
    assert "--white-level 400" in line
    assert main(command) == 1
    assert "--white-level 400 there" in capsys.readouterr().err
    assert main([*command, "--white-level", "0"]) == 2
    assert "white_level must lie in 1..65535, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "efficientnet-b0", "--data", "PHOTOS"], "has no weights"),
        (["evaluate", "WEIGHTS", "--data", "PHOTOS", "--split", "best"], "no split 'best'"),
        (
            ["evaluate", "WEIGHTS", "--data", "PHOTOS", "--batch", "0"],
            "batch must be at least 1, got 0",
        ),
        (["predict", "x.png", "--model", "WEIGHTS", "--csv", "--json"], "either --csv or --json"),
        (["predict", "x.png", "--model", "no.safetensors"], "no such file"),
        (["predict", "--model", "WEIGHTS"], "no image is named; name files or folders"),
        (["predict", "--model", "WEIGHTS", "--from", "none"], "cannot read the list none: No such"),
        (
            ["predict", "--model", "WEIGHTS", "-", "--from", "-"],
            "is asked for twice",
        ),
        (["predict", "x", "--model", "WEIGHTS", "--white-level", "0"], "must lie in 1..65535"),
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
