"""Networks of images that are no squares, from their pictures to their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import autoscale
from autoscale.aspect import SQUARE, Aspect, ImageSize
from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.start import Start
from autoscale.jobs.teaching.teacher import read_teacher
from autoscale.jobs.train.result import Trained
from autoscale.network.build import build
from autoscale.runs.weights import Header, read_weights, write_weights
from tests.conftest import Heard

WIDE, TALL = Aspect(4, 3), Aspect(3, 4)
DESIGN = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(Stage(width=8, expand_ratio=2, stride=2), Stage(width=16, expand_ratio=2, stride=2)),
    head=Head(width=16),
    num_classes=2,
)
SPACE = """
name: wide
resolution: 16
aspect: 4/3
stem: {width: 8}
stages:
  - {block: mbconv, width: [8, 16], depth: [1, 2], kernel: 3, expand_ratio: 2, stride: 2}
head: {width: 16}
"""
EDGE = 6  # pixels at either end of the longer side, far enough beside the square in the middle


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Lying and standing pictures whose class shows at the ends of the longer side alone."""
    root, random = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (root / name).mkdir()
        for number in range(40):
            pixels = random.integers(100, 156, (60, 80, 3), dtype=np.uint8)
            pixels[:, [*range(EDGE), *range(-EDGE, 0)]] = 20 + 210 * label
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return str(root)


def written(folder: Path, design: Architecture = DESIGN) -> str:
    path = folder / f"of-{design.aspect.numerator}-{design.aspect.denominator}.yaml"
    path.write_text(design.to_yaml())
    return str(path)


def short(folder: Path, data: str, **options: object) -> Trained:
    asked = {"epochs": 3, "batch_size": 8, "kernels": "torch"} | options
    design = asked.pop("design", None) or written(folder)
    return autoscale.train(design, folder / "run", data=data, **asked)  # type: ignore[arg-type, no-any-return]


@pytest.mark.parametrize("aspect", ["4/3", "3/4"])
def test_a_network_of_rectangles_is_trained_evaluated_and_exported(
    aspect: str, pictures: str, tmp_path: Path
) -> None:
    found = short(tmp_path, pictures, aspect=aspect, epochs=1)
    header = read_weights(found.weights).header
    assert header.architecture is not None
    assert header.architecture["aspect"] == aspect
    assert header.preparation is not None
    assert header.preparation.aspect == Aspect(aspect)
    model = autoscale.load_model(str(found.weights))
    assert model.image_size == ((16, 21) if aspect == "4/3" else (16, 12))
    evaluated = autoscale.evaluate(model, data=pictures, split="validation")
    assert evaluated.accuracy == found.best.accuracy
    exported = autoscale.export(model, tmp_path / "out", formats=["python", "torch-export"])
    assert all(file.difference < 1e-4 for file in exported.files if file.difference is not None)
    paths = sorted(map(str, Path(pictures).glob("*/1.png")))
    assert len(autoscale.predict(model, paths, top=1).table) == 2


def test_what_lies_beside_the_square_is_seen_by_a_network_of_the_pictures_aspect(
    pictures: str, tmp_path: Path
) -> None:
    for name, aspect, least, most in (("square", "1", 0.0, 0.8), ("whole", "4/3", 0.9, 1.0)):
        (tmp_path / name).mkdir()
        found = short(tmp_path / name, pictures, aspect=aspect, epochs=8, learning_rate=0.05)
        assert least <= found.best.accuracy <= most  # type: ignore[operator]


def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(
    pictures: str, tmp_path: Path
) -> None:
    options = {"aspect": "4/3", "start_size": 0.5, "epochs": 4, "design": written(tmp_path)}
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = short(tmp_path / "whole", pictures, **options)
    with pytest.raises(KeyboardInterrupt):
        short(tmp_path / "broken", pictures, listener=Heard(stop_after=1), **options)
    broken = short(tmp_path / "broken", pictures, **options)
    assert whole.weights.read_bytes() == broken.weights.read_bytes()
    with pytest.raises(RunConflict, match="4/3"):
        short(tmp_path / "broken", pictures, **(options | {"aspect": "3/4"}))


def test_squares_write_what_they_wrote(pictures: str, tmp_path: Path) -> None:
    found = short(tmp_path, pictures, epochs=1, aspect="1")
    header = read_weights(found.weights).header
    assert "aspect" not in json.dumps(header.to_dict())
    settings = json.loads((tmp_path / "run" / "train" / "settings.json").read_text())
    assert "expects" not in settings["settings"]
    assert "aspect" not in settings["settings"]["network"]["architecture"]


def test_weights_of_squares_begin_networks_of_rectangles(pictures: str, tmp_path: Path) -> None:
    squares = short(tmp_path, pictures, epochs=1)
    (tmp_path / "wide").mkdir()
    found = short(
        tmp_path / "wide",
        pictures,
        epochs=1,
        weights=str(squares.weights),
        design=written(tmp_path, replace(DESIGN, aspect=WIDE)),
    )
    header = read_weights(found.weights).header
    assert header.preparation == replace(OURS, aspect=WIDE)
    assert found.best.accuracy is not None


def test_a_run_of_rectangles_from_search_to_family(pictures: str, tmp_path: Path) -> None:
    run, space = tmp_path / "run", tmp_path / "space.yaml"
    space.write_text(SPACE)
    options = {"space": str(space), "data": pictures, "epochs": 1, "kernels": "torch"}
    found = autoscale.search_baseline(run, trials=1, **options)  # type: ignore[arg-type]
    assert found.trial.architecture.image_size == ImageSize(16, 21)
    found = autoscale.search_baseline(run, trials=2, **options)  # type: ignore[arg-type]
    assert [trial.architecture.aspect for trial in found.trials] == [WIDE, WIDE]
    grid = autoscale.grid_search(run, flops_budget="2x", max_candidates=2, seeds=1, epochs=None)
    assert grid.field
    family = autoscale.write_family(run, phi="0,1")
    assert {member.architecture.aspect for member in family.members} == {WIDE}  # type: ignore[union-attr]
    small = run / "family" / f"{family.members[0].name}.yaml"
    trained = autoscale.train(str(small), tmp_path / "one", data=pictures, epochs=1)
    assert autoscale.load_model(str(trained.weights)).aspect == WIDE


@pytest.mark.parametrize("aspect", ["4/3", "3/4"])
def test_a_grid_around_a_named_design(aspect: str, pictures: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    autoscale.grid_search(
        run, baseline=written(tmp_path), aspect=aspect, data=pictures, flops_budget="2x",
        max_candidates=1, seeds=1, epochs=1,
    )  # fmt: skip
    settings = json.loads((run / "grid" / "settings.json").read_text())["settings"]
    assert settings["base"]["design"]["aspect"] == aspect
    family = autoscale.write_family(run, phi="1")
    assert [member.architecture.aspect for member in family.members] == [Aspect(aspect)]  # type: ignore[union-attr]


def test_models_of_ones_own_are_scaled_by_squares(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="leave --aspect out"):
        autoscale.write_family(
            tmp_path / "run", model="tests.families:model", aspect="4/3", phi="1",
            coefficients="1.2,1.1,1.15",
        )  # fmt: skip


def test_shared_weights_learn_and_judge_rectangles(pictures: str, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(SPACE.replace("resolution: 16", "resolution: [12, 16]"))
    found = autoscale.search_baseline(
        tmp_path / "run", space=str(space), data=pictures, trials=1, epochs=1, kernels="torch",
        shared_weights=True, shared_epochs=1, shared_designs=8,
    )  # fmt: skip
    assert found.trial.architecture.aspect == WIDE


def test_the_aspect_that_is_asked_for_goes_before_the_spaces(pictures: str, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(SPACE)
    options = {"space": str(space), "trials": 1, "data": pictures, "epochs": 1}
    options |= {"aspect": "3/4", "kernels": "torch"}
    found = autoscale.search_baseline(tmp_path / "run", **options)
    assert found.trial.architecture.aspect == TALL
    assert autoscale.load_baseline(tmp_path / "run").trial.architecture.aspect == TALL
    with pytest.raises(RunConflict, match="aspect"):
        autoscale.search_baseline(tmp_path / "run", **(options | {"aspect": "2"}))


def test_a_nested_family_of_rectangles(pictures: str, tmp_path: Path) -> None:
    family = autoscale.write_family(
        tmp_path / "run", baseline=written(tmp_path), aspect="4/3", phi="0,1", num_classes=2,
        coefficients="1.2,1.1,1.15",
    )  # fmt: skip
    names = [member.name for member in family.members]
    found = autoscale.train_family(
        tmp_path / "run", data=pictures, epochs=1, batch_size=8, start_size=0.5
    )
    assert [member.name for member in found.members] == names
    cut = autoscale.cut(tmp_path / "run", member=names[0], data=pictures)
    assert autoscale.load_model(str(cut.weights)).aspect == WIDE


def test_rectangles_in_int8(pictures: str, tmp_path: Path) -> None:
    found = short(tmp_path, pictures, aspect="4/3", epochs=1)
    told = autoscale.quantize(str(found.weights), tmp_path / "int8", data=pictures)
    assert told.path.is_file()
    assert told.agreement > 0.5


# Weights, teachers and other sizes


def held(folder: Path, aspect: Aspect, **preparation: object) -> str:
    design = replace(DESIGN, aspect=aspect)
    torch.manual_seed(0)
    path = folder / "held.safetensors"
    expects = Preparation(aspect=aspect, **preparation)  # type: ignore[arg-type]
    header = Header(architecture=design.to_dict(), preparation=expects, classes=("dark", "light"))
    write_weights(path, build(design).state_dict(), header)
    return str(path)


def test_a_teacher_in_a_file_of_weights_sees_what_its_pupils_see(
    pictures: str, tmp_path: Path
) -> None:
    teacher = held(tmp_path, SQUARE)
    found = short(
        tmp_path, pictures, aspect="4/3", epochs=1, teacher=teacher, teacher_resolution=24,
        teacher_crops=1,
    )  # fmt: skip
    assert found.best.accuracy is not None
    assert read_teacher(teacher, aspect=WIDE).image_size == ImageSize(16, 21)
    assert read_teacher(teacher).digest == read_teacher(teacher, aspect=SQUARE).digest
    assert read_teacher(teacher).digest != read_teacher(teacher, aspect=WIDE).digest


def test_a_teacher_of_one_size_must_see_the_same_part_of_pictures(
    pictures: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    autoscale.export(held(tmp_path, SQUARE), tmp_path / "out", formats=["onnx"])
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tmp_path / "out" / "model.onnx")
    for side, length in zip(
        model.graph.input[0].type.tensor_type.shape.dim[2:], (16, 16), strict=True
    ):
        side.dim_value = length
    fixed = tmp_path / "fixed.onnx"
    onnx.save(model, fixed)
    with pytest.raises(InvalidSetting, match="takes images of aspect 1/1 alone"):
        short(tmp_path, pictures, aspect="4/3", teacher=str(fixed), teacher_crops=1)


def test_weights_are_looked_at_with_images_of_the_networks_aspect(tmp_path: Path) -> None:
    start = Start().for_design(replace(DESIGN, aspect=WIDE))
    assert start.expected.preparation == replace(OURS, aspect=WIDE)
    assert Start.from_record({"white_level": 65535, **start.settings()}, file=None).aspect == WIDE
    assert Start().for_design(DESIGN) == Start()


def test_two_numbers_as_resolution_are_refused_with_the_way_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["count", "efficientnet-b0", "--resolution", "96x128"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "--resolution 96 --aspect 4/3 for images of 96x128" in told


def test_synthetic_pictures_fill_their_rectangle() -> None:
    images = load("synthetic", size=24, preparation=replace(OURS, aspect=WIDE)).validation
    assert images.pixels.shape[1:] == (24, 32, 3)
    columns = images.pixels.astype(float).std(axis=(0, 1, 3))
    assert columns.min() > 0.5 * columns.max()
