"""A teacher, from its file to the student that it taught."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.aspect import ImageSize
from autoscale.datasets.data import ImageData, load
from autoscale.errors import AutoscaleError, DataProblem, InvalidSetting, RunConflict
from autoscale.jobs.groups.training import TeacherSettings
from autoscale.jobs.teaching import answers as answering
from autoscale.jobs.teaching.answers import answers_to
from autoscale.jobs.teaching.teacher import Teacher, read_teacher
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.listener import Silent
from autoscale.models.load import load_model
from autoscale.network.interchange.onnx import to_onnx
from autoscale.runs.weights import read_weights, write_weights
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.crops import cut
from autoscale.training.recipe import RECIPES
from autoscale.training.teacher.crops import FixedCrops
from tests.conftest import Heard, draw_photos
from tests.jobs.test_train import SMALL

LARGE = replace(
    SMALL, resolution=24, stages=(SMALL.stages[0], replace(SMALL.stages[1], width=24, depth=3))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in three classes, and two designs."""
    place = tmp_path_factory.mktemp("teaching")
    draw_photos(place / "photos")
    (place / "small.yaml").write_text(SMALL.to_yaml())
    (place / "large.yaml").write_text(LARGE.to_yaml())
    return place


@pytest.fixture(scope="module")
def teacher(folder: Path) -> Path:
    """A larger network at a higher resolution, trained for longer."""
    trained = train(
        str(folder / "large.yaml"),
        folder / "teacher",
        data=str(folder / "photos"),
        recipe="proxy",
        epochs=12,
        batch_size=8,
        kernels="torch",
    )
    assert trained.best.accuracy == 1
    return trained.weights


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCALE_CACHE", str(tmp_path / "cache"))


def student(folder: Path, run: Path, **options: Any) -> Trained:
    asked = {"recipe": "proxy", "epochs": 3, "batch_size": 8, "kernels": "torch", **options}
    asked = {name: str(v) if isinstance(v, Path) else v for name, v in asked.items()}
    return train(str(folder / "small.yaml"), run, data=str(folder / "photos"), **asked)


def changed(teacher: Path, to: Path, **header: Any) -> Path:
    """The same weights under another header."""
    held = read_weights(teacher)
    write_weights(to, held.state, replace(held.header, **header))
    return to


def images_of(folder: Path, size: int) -> ImageData:
    return load(str(folder / "photos"), size=size)


# The effect


def test_a_student_answers_more_as_its_teacher_does(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    """Six labelled photographs, and what the teacher says of them and of others without labels."""
    images = images_of(folder, 24).test
    assert images is not None
    (told,) = answers_of(teacher, images.pixels)
    apart: dict[str, list[float]] = {"alone": [], "taught": []}
    right: dict[str, list[float]] = {"alone": [], "taught": []}
    draw_photos(tmp_path / "more", count=30, seed=1)
    extra = {"teacher": teacher, "unlabelled": tmp_path / "more", "teacher_weight": 0.9}
    for seed in range(2):
        for name, options in (("alone", {}), ("taught", extra)):
            run = tmp_path / f"{name}-{seed}"
            found = student(folder, run, seed=seed, limit=6, epochs=4, **options)
            (mine,) = answers_of(found.weights, images_of(folder, 16).test.pixels)  # type: ignore[union-attr]
            divergence = functional.kl_div(
                mine.log_softmax(1), told.log_softmax(1), reduction="batchmean", log_target=True
            )
            apart[name].append(float(divergence))
            right[name].append(found.test_accuracy or 0.0)
    assert max(apart["taught"]) < min(apart["alone"])
    assert np.mean(right["taught"]) > np.mean(right["alone"]) + 0.1


def answers_of(weights: Path, *pixels: np.ndarray[Any, Any]) -> list[Tensor]:
    model = load_model(str(weights))
    with torch.no_grad():
        return [
            model.network(normalised(as_channels_last(one), model.preparation)) for one in pixels
        ]


# What is kept


def crops_for(teacher: Teacher, **changes: Any) -> FixedCrops:
    recipe = replace(RECIPES["proxy"], **changes)
    return FixedCrops(recipe=recipe, size=teacher.image_size, count=3, seed=0)


def kept_answers(
    crops: FixedCrops, teacher: Teacher, images: ImageData
) -> dict[int, NDArray[np.float32]]:
    found = answers_to(crops, teacher, images, None, listener=Silent()).read()
    assert found is not None
    return found


@pytest.mark.parametrize("crop", ["shift", "random-resized", "none"])
def test_answers_that_were_kept_are_those_to_the_crops_themselves(
    folder: Path, teacher: Path, crop: str
) -> None:
    known, images = read_teacher(str(teacher)), images_of(folder, 24)
    crops = crops_for(known, crop=crop, epochs=8)
    for _ in range(2):  # computed, then read
        found = kept_answers(crops, known, images)
        assert sorted(found) == [0, 1, 2]
        model, rows = load_model(str(teacher)), np.arange(len(images.train))
        for number, logits in found.items():
            windows, mirrored = crops.windows(number, len(rows), of=ImageSize(24, 24))
            pixels = cut(images.train.pixels, rows, windows, mirrored, ImageSize(24, 24))
            with torch.no_grad():
                direct = model.network(normalised(pixels, model.preparation))
            np.testing.assert_allclose(logits, direct, atol=1e-4)


def counting(teacher: Teacher, *, fails_after: int | None = None) -> tuple[Teacher, list[int]]:
    """The teacher, and how many images each of its passes had."""
    passes: list[int] = []

    def watched(images: Tensor) -> Tensor:
        if len(passes) == fails_after:
            raise KeyboardInterrupt
        passes.append(len(images))
        return teacher.logits(images)

    return replace(teacher, logits=watched), passes


def test_answers_that_were_interrupted_go_on_where_they_were(
    folder: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "_KEPT", 4)
    monkeypatch.setattr(answering, "_PASS", 2)
    known, images = read_teacher(str(teacher)), images_of(folder, 24)
    crops = crops_for(known, epochs=2)
    whole, passes = counting(known)
    expected = kept_answers(crops, whole, images)
    asked = 2 * len(images.train) + len(images.validation)
    assert sum(passes) == asked

    monkeypatch.setenv("AUTOSCALE_CACHE", str(tmp_path / "other"))
    broken, before = counting(known, fails_after=len(passes) - 3)
    with pytest.raises(KeyboardInterrupt):
        kept_answers(crops, broken, images)
    again, after = counting(known)
    found = kept_answers(crops, again, images)
    assert sum(after) < 12
    assert asked <= sum(before) + sum(after) <= asked + 4
    for number in expected:
        np.testing.assert_array_equal(found[number], expected[number])
    last, none = counting(known)
    kept_answers(crops, last, images)
    assert none == []


def test_another_training_finds_the_answers_there(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    lines = []
    for epochs, resolution in ((2, 16), (2, 12), (3, 16)):
        listener = Heard()
        student(
            folder,
            tmp_path / f"run-{epochs}-{resolution}",
            teacher=teacher,
            epochs=epochs,
            resolution=resolution,
            listener=listener,
        )
        lines.append([line for line in listener.notices if line.startswith("it answers")])
        assert any("is right on 1.0000 of the validation images" in t for t in listener.notices)
    assert list(map(len, lines)) == [1, 0, 1]


def test_a_damaged_file_of_the_cache_is_made_again(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    expected = student(folder, tmp_path / "one", teacher=teacher)
    for kept in (tmp_path / "cache" / "teachers").glob("*.npy"):
        kept.write_bytes(kept.read_bytes()[:150])
    found = student(folder, tmp_path / "other", teacher=teacher)
    assert [e.loss for e in found.epochs] == [e.loss for e in expected.epochs]


# Runs


def test_a_taught_training_that_was_interrupted_goes_on_to_the_same_bits(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    draw_photos(tmp_path / "more", count=5, seed=1)
    options = {"teacher": teacher, "unlabelled": tmp_path / "more", "teacher_crops": 2}
    expected = student(folder, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        student(folder, tmp_path / "broken", listener=Heard(stop_after=1), **options)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(teacher.read_bytes())
    found = student(folder, tmp_path / "broken", **(options | {"teacher": moved}))
    assert [(e.loss, e.accuracy) for e in found.epochs] == [
        (e.loss, e.accuracy) for e in expected.epochs
    ]
    one, other = (read_weights(trained.weights) for trained in (expected, found))
    assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
    assert "taught by best.safetensors" in (one.header.provenance or "")


@pytest.mark.parametrize(
    "changes",
    [{"teacher": None}, {"teacher_weight": 0.5}, {"teacher_temperature": 2}, {"teacher_crops": 2}],
)
def test_what_is_taught_binds_a_training(
    folder: Path, teacher: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        student(folder, tmp_path / "run", teacher=teacher, listener=Heard(stop_after=1))
    options = {name: v for name, v in ({"teacher": teacher} | changes).items() if v is not None}
    with pytest.raises(RunConflict, match="teacher"):
        student(folder, tmp_path / "run", **options)


def test_pictures_that_the_data_holds_too_are_left_out(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    draw_photos(tmp_path / "more", count=2, seed=1)
    for photo in sorted((folder / "photos").rglob("*.png"))[:9]:
        (tmp_path / "more" / f"copy-of-{photo.parent.name}-{photo.name}").write_bytes(
            photo.read_bytes()
        )
    (tmp_path / "more" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    listener = Heard()
    options = {"teacher": teacher, "epochs": 1, "listener": listener}
    student(folder, tmp_path / "run", unlabelled=tmp_path / "more", **options)
    (line,) = (line for line in listener.notices if "unlabelled pictures" in line)
    assert line.startswith("6 unlabelled pictures train")
    assert line.endswith("left out: 1 unreadable, 9 that the data set holds too")
    with pytest.raises(DataProblem, match="the data set holds every picture"):
        student(folder, tmp_path / "other", unlabelled=folder / "photos", **options)


# Teachers


def test_an_onnx_file_answers_as_its_network_does(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    model = load_model(str(teacher))
    path = tmp_path / "teacher.onnx"
    told = {
        "classes": json.dumps(["red", "green", "blue"]),
        "preparation": json.dumps(model.preparation.to_dict()),
    }
    path.write_bytes(to_onnx(model.network, resolution=24, metadata=told))
    images = images_of(folder, 24)
    known, ours = read_teacher(str(path)), read_teacher(str(teacher))
    assert (known.resolution, known.preparation) == (24, ours.preparation)
    crops = crops_for(known, epochs=1)
    found, expected = (kept_answers(crops, one, images) for one in (known, ours))
    for number in expected:  # its classes have other places there
        np.testing.assert_allclose(found[number], expected[number][:, ::-1], atol=1e-4)


def test_a_teacher_of_more_classes_answers_for_those_of_the_data(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    held = read_weights(teacher)
    state = dict(held.state)
    for name in ("head.classifier.weight", "head.classifier.bias"):
        state[name] = torch.cat([state[name][:1] * 0 + 50, state[name].flip(0)])
    path = tmp_path / "four.safetensors"
    architecture = {**(held.header.architecture or {}), "num_classes": 4}
    write_weights(
        path,
        state,
        replace(held.header, classes=("violet", "red", "green", "blue"), architecture=architecture),
    )
    images = images_of(folder, 24)
    known, ours = read_teacher(str(path)), read_teacher(str(teacher))
    crops = crops_for(known, epochs=1)
    found, expected = (kept_answers(crops, one, images) for one in (known, ours))
    for number in expected:
        np.testing.assert_allclose(found[number], expected[number], atol=1e-4)


def test_a_teacher_of_other_classes_gets_a_classifier_of_its_features(
    folder: Path, teacher: Path, tmp_path: Path
) -> None:
    other = changed(teacher, tmp_path / "other.safetensors", classes=("cat", "dog", "owl"))
    listener = Heard()
    student(folder, tmp_path / "run", teacher=other, listener=listener)
    (line,) = (line for line in listener.notices if "knows none of the data's classes" in line)
    assert float(line.split("right on ")[1].split()[0]) > 0.8
    (line,) = (line for line in listener.notices if "of the validation images" in line)
    assert float(line.split("right on ")[1].split()[0]) > 0.8


# Refusals


def truncated(teacher: Path, to: Path) -> Path:
    to.write_bytes(teacher.read_bytes()[:-50])
    return to


def text(teacher: Path, to: Path) -> Path:
    to.write_text("no network")
    return to


def absent(teacher: Path, to: Path) -> Path:
    return to


def torn_class(teacher: Path, to: Path) -> Path:
    return changed(teacher, to, classes=("red", "green", "violet"))


def nameless(teacher: Path, to: Path) -> Path:
    return changed(teacher, to, architecture=None)


def infinite(teacher: Path, to: Path) -> Path:
    held = read_weights(teacher)
    state = {
        name: t * float("inf") if "classifier" in name else t for name, t in held.state.items()
    }
    write_weights(to, state, held.header)
    return to


@pytest.mark.parametrize(
    ("make", "ending", "reason"),
    [
        (truncated, ".safetensors", "no readable safetensors"),
        (text, ".pth", "no file of plain tensors"),
        (text, ".onnx", "no ONNX file that ONNX Runtime can run"),
        (absent, ".onnx", "no such file"),
        (absent, ".safetensors", "no such file"),
        (torn_class, ".safetensors", "does not know 'blue'"),
        (nameless, ".safetensors", "does not say which network"),
        (infinite, ".safetensors", "NaN or infinity"),
    ],
)
def test_what_is_no_teacher_is_refused_in_a_line_before_a_training(
    folder: Path,
    teacher: Path,
    tmp_path: Path,
    make: Callable[[Path, Path], Path],
    ending: str,
    reason: str,
) -> None:
    if ending == ".onnx":
        pytest.importorskip("onnxruntime")
    with pytest.raises(AutoscaleError, match=reason) as refused:
        student(folder, tmp_path / "run", teacher=make(teacher, tmp_path / f"teacher{ending}"))
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "run").rglob("*.jsonl"))


def onnx_of(path: Path, shape: list[int | str], *, kind: str = "FLOAT", flat: bool = True) -> Path:
    """A network of one layer for inputs of that shape."""
    onnx = pytest.importorskip("onnx")
    helper, element = onnx.helper, getattr(onnx.TensorProto, kind)
    node = helper.make_node("Flatten" if flat else "Identity", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", element, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ([1, 1, 8, 8], {}, r"takes tensor\(float\) \(1, 1, 8, 8\); a teacher takes"),
        ([1, 3, 8, "s"], {}, "a teacher takes"),
        ([1, 3, 8, 80], {}, "between 1/8 and 8"),
        ([1, 3, 8], {}, "a teacher takes"),
        ([1, 3, 8, 8], {"kind": "INT64"}, "a teacher takes"),
        (["n", 3, "s", "s"], {}, "give --teacher-resolution"),
        (["n", 3, 8, 8], {"flat": False}, "logits of shape"),
    ],
)
def test_an_onnx_file_of_another_shape_is_refused(
    tmp_path: Path, shape: list[int | str], options: dict[str, Any], reason: str
) -> None:
    path = onnx_of(tmp_path / "other.onnx", shape, **options)
    with pytest.raises(InvalidSetting, match=reason):
        read_teacher(str(path))


def test_an_onnx_file_of_other_classes_is_refused(folder: Path, tmp_path: Path) -> None:
    path = onnx_of(tmp_path / "other.onnx", ["n", 3, 4, 4])
    with pytest.raises(InvalidSetting, match="tells 48 other classes apart than the data's 3"):
        student(folder, tmp_path / "run", teacher=path)


@pytest.mark.parametrize("together", [1, 4, 5])
def test_an_onnx_file_for_a_fixed_number_of_images_answers_any(
    tmp_path: Path, together: int
) -> None:
    known = read_teacher(str(onnx_of(tmp_path / "fixed.onnx", [together, 3, 2, 2])))
    images = torch.arange(7.0).view(7, 1, 1, 1).expand(7, 3, 2, 2)
    torch.testing.assert_close(known.logits(images), images.flatten(1))


def test_a_folder_without_pictures_is_refused(folder: Path, teacher: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    with pytest.raises(DataProblem, match="no such folder of unlabelled pictures"):
        student(folder, tmp_path / "run", teacher=teacher, unlabelled=empty)
    empty.mkdir()
    with pytest.raises(DataProblem, match="a folder without pictures"):
        student(folder, tmp_path / "run", teacher=teacher, unlabelled=empty)
    (empty / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(DataProblem, match="none of the 1 unlabelled pictures"):
        student(folder, tmp_path / "run", teacher=teacher, unlabelled=empty)


@pytest.mark.parametrize("name", ["unlabelled", "teacher_weight", "teacher_crops"])
def test_what_needs_a_teacher_is_refused_without(name: str) -> None:
    value: Any = "photos" if name == "unlabelled" else 1
    with pytest.raises(InvalidSetting, match=f"--{name.replace('_', '-')} .* needs --teacher"):
        TrainSettings(network="small.yaml", **{name: value})


def test_a_weight_above_1_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"at most 1, got 1\.5"):
        TeacherSettings(teacher="x", teacher_weight=1.5)
