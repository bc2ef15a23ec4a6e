"""Exported files give the tool's own answers, to whoever follows their words alone."""

import json
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from autoscale.aspect import SQUARE, Aspect
from autoscale.datasets.pictures.decoding import decode_one
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.distribution import missing
from autoscale.errors import InvalidSetting
from autoscale.models.export import Exported, export
from autoscale.models.formats.registry import FORMATS
from autoscale.models.inference.passes import to_network_input
from autoscale.models.inference.predict import predict
from autoscale.models.input_spec import preparation_data
from autoscale.models.load import Model, load_model
from autoscale.network.build import build
from autoscale.network.weights import to_timm
from tests.models.kinds import KINDS, read
from tests.models.networks import saved, small, telling

CLOTHING = Path(__file__).parents[3] / "shared" / "data" / "clothing"
Answers = Callable[[NDArray[np.float32]], NDArray[np.float32]]


CLASSES = ("<script>alert(1)</script>", "a|b", "*c*")
WITHOUT_AUTOSCALE = """
import json, sys
sys.modules["autoscale"] = None  # importing it fails
sys.path.insert(0, sys.argv[1])
import torch, network, onnxruntime
images = torch.linspace(-1, 1, 5 * 3 * network.RESOLUTION**2)
images = images.reshape(5, 3, network.RESOLUTION, network.RESOLUTION)
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx")
exported = torch.export.load(sys.argv[1] + "/model.pt2").module()
with torch.no_grad():
    logits = {"python": network.load()(images), "torch-export": exported(images)}
logits["onnx"] = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
logits["onnx-1"] = torch.from_numpy(session.run(None, {"images": images[:1].numpy()})[0])
print(json.dumps({name: value.tolist() for name, value in logits.items()}))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model, Exported]:
    """One small network in every format: the folder, the network, and what was written."""
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    network = telling(build(small()), torch.randn(16, 3, 24, 24))
    known = {"classes": CLASSES, "accuracy": 0.875, "accuracy_of": "validation images"}
    model = load_model(str(saved(folder, small(), network, **known)))
    return folder / "out", model, export(model, folder / "out", measure=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture of every kind."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, save in KINDS.items():
        save(folder / name)
    return folder


def ways(folder: Path) -> dict[str, Answers]:
    """The exported files as functions from prepared images to logits."""
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    program = torch.export.load(folder / "model.pt2").module()
    network = module_of(folder).load()

    def through(run: Callable[[torch.Tensor], torch.Tensor]) -> Answers:
        return lambda images: run(torch.from_numpy(images)).detach().numpy()

    return {
        "onnx": lambda images: session.run(None, {"images": images})[0],
        "torch-export": through(program),
        "python": through(network),
    }


def module_of(folder: Path) -> Any:
    """`network.py`, imported."""
    path = folder / "network.py"
    module = types.ModuleType("network")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def prepared(path: Path, model: Model) -> torch.Tensor:
    """What the network gets of a picture here."""
    square = decode_one(path.read_bytes(), model.resolution, model.preparation)
    return to_network_input(square.pixels[None].copy(), model)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    raised = np.exp(logits.astype(np.float64) - logits.max())
    return raised / raised.sum()


def hold_against_predict(model: Model, folder: Path, paths: list[Path]) -> None:
    """Every exported format answers every picture as `predict` does."""
    told = json.loads((folder / "preparation.json").read_text())
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    found = predict(model, paths, top=len(labels))
    assert found.refused == ()
    assert found.table.loc[found.table["rank"] == 1, "class"].nunique() > 1
    formats = ways(folder)
    for path in paths:
        rows = found.table[found.table["image"] == str(path)]
        expected = dict(zip(rows["class"], rows["probability"], strict=True))
        images = read(path, told)
        for way, answers in formats.items():
            chances = softmax(answers(images)[0])
            assert labels[int(chances.argmax())] == rows["class"].iloc[0], (path.name, way)
            for name, chance in zip(labels, chances, strict=True):
                assert chance == pytest.approx(expected[name], abs=0.01), (path.name, way)


@pytest.mark.parametrize(
    ("area", "aspect"),
    [
        ("padded", SQUARE),
        ("squashed", SQUARE),
        ("centre-square", Aspect(4, 3)),
        ("centre-square", Aspect(3, 4)),
        ("padded", Aspect(4, 3)),
        ("squashed", Aspect(2, 3)),
    ],
)
def test_other_areas_are_prepared_as_the_file_says_and_as_the_module_does(
    area: str, aspect: Aspect, pictures: Path, tmp_path: Path
) -> None:
    preparation = Preparation(area=area, aspect=aspect)  # type: ignore[arg-type]
    design = replace(small(), aspect=aspect)
    network = telling(build(design), torch.randn(16, 3, *design.image_size))
    model = load_model(saved(tmp_path, design, network, classes=CLASSES, preparation=preparation))
    export(model, tmp_path / "out", formats=("python", "timm"))
    told = json.loads((tmp_path / "out" / "preparation.json").read_text())
    module = module_of(tmp_path / "out")
    for path in sorted(pictures.iterdir()):
        here = prepared(path, model)
        assert here.shape[-2:] == design.image_size
        assert torch.equal(module.prepare(path), here)
        assert np.abs(read(path, told) - here.numpy()).max() < 0.05, path.name
    modes = {"centre-square": "center", "padded": "border", "squashed": "squash"}
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["pretrained_cfg"]["crop_mode"] == modes[area]
    # Where the weights say nothing themselves, the file beside them does.
    bare = tmp_path / "out" / "bare.safetensors"
    save_file(load_file(tmp_path / "out" / "timm.safetensors"), bare)
    (tmp_path / "small.yaml").write_text(design.to_yaml())
    again = load_model(tmp_path / "small.yaml", weights=str(bare))
    assert again.preparation == preparation


# The files


def test_every_format_is_written_and_those_that_run_agree_with_torch(
    whole: tuple[Path, Model, Exported],
) -> None:
    folder, _, exported = whole
    without = {"litert"} if missing("litert") else set()
    usual = {name for name, one in FORMATS.items() if not one.by_name}
    assert {file.format for file in exported.files} == usual - without
    assert all(file.path.stat().st_size == file.bytes for file in exported.files)
    run = {file.format: file.difference for file in exported.files if file.difference is not None}
    assert set(run) == {"python", "torch-export", "onnx", "litert"} - without
    assert run["python"] == 0
    assert max(run.values()) <= 1e-4
    assert exported.card == folder / "MODEL_CARD.md"


def test_a_process_without_autoscale_gives_the_same_logits(
    whole: tuple[Path, Model, Exported],
) -> None:
    folder, model, _ = whole
    command = [sys.executable, "-c", WITHOUT_AUTOSCALE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = {name: torch.tensor(value) for name, value in json.loads(done.stdout).items()}
    with torch.no_grad():
        expected = model.network(torch.linspace(-1, 1, 5 * 3 * 24**2).reshape(5, 3, 24, 24))
    assert float(expected.abs().max()) > 1e-3
    assert torch.allclose(found.pop("onnx-1"), expected[:1], rtol=0, atol=1e-4)
    for name, logits in found.items():
        assert torch.allclose(logits, expected, rtol=0, atol=1e-4), name


def test_the_card_says_what_is_known_and_shows_names_as_text(
    whole: tuple[Path, Model, Exported],
) -> None:
    card = (whole[0] / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "0.8750 of validation images" in card
    assert "| multiply-adds | " in card
    assert "(N, 3, 24, 24)" in card
    assert "minus mean (0.5, 0.5, 0.5), divided by (0.25, 0.25, 0.25)" in card
    assert " ms (median; 10th to 90th percentile" in card
    assert "ds_r1_k3_s1_e1_c16_se0.25\nir_r2_k3_s2_e6_c24_se0.25" in card
    assert "<script>" not in card
    assert "0 &lt;script&gt;alert(1)&lt;/script&gt;, 1 a\\|b, 2 \\*c\\*" in card
    for file in whole[2].files:
        assert f"`{file.sha256}`" in card


def test_exported_weights_name_their_network_and_load_again(
    whole: tuple[Path, Model, Exported],
) -> None:
    folder, model, _ = whole
    again = load_model(str(folder / "model.safetensors"))
    assert again.architecture == model.architecture
    assert again.header.classes == CLASSES
    assert again.trained
    assert again.notes == ()
    state = model.network.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in again.network.state_dict().items())


def test_timms_file_has_timms_names_and_comes_back(whole: tuple[Path, Model, Exported]) -> None:
    folder, model, _ = whole
    theirs = load_file(folder / "timm.safetensors")
    expected = to_timm(model.network.state_dict())
    assert set(theirs) == set(expected)
    assert all(torch.equal(theirs[name], value) for name, value in expected.items())
    back = load_model(str(folder / "timm.safetensors"))
    state = model.network.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in back.network.state_dict().items())


# What is said is enough


def test_pictures_of_every_kind_get_predicts_answers_by_the_exported_words_alone(
    whole: tuple[Path, Model, Exported], pictures: Path
) -> None:
    folder, model, _ = whole
    hold_against_predict(model, folder, [pictures / name for name in KINDS])


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("upright", "turned.jpg"),
        ("upright", "mirrored.png"),
        ("background", "hole.png"),
        ("square", "tall.png"),
        ("antialias", "photo.jpg"),
        ("channel order", "wide.png"),
    ],
)
def test_each_told_step_matters(
    whole: tuple[Path, Model, Exported], pictures: Path, step: str, name: str
) -> None:
    """So the comparison above would see it if a step were told wrongly."""
    told = json.loads((whole[0] / "preparation.json").read_text())
    path = pictures / name
    right, wrong = read(path, told), read(path, told, without=step)
    ours = module_of(whole[0]).prepare(path).numpy()
    assert abs(ours - right).max() < 0.05
    assert abs(ours - wrong).max() > 0.5


@pytest.mark.slow
@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing photographs are not here")
def test_fifty_photographs_get_predicts_answers(tmp_path: Path) -> None:
    every = sorted((CLOTHING / "test").glob("*/*.*"))
    paths = every[:: len(every) // 50][:50]
    assert len(paths) == 50
    design = replace(small(), resolution=64, num_classes=10)
    told = preparation_data(Preparation(), 64)
    seen = torch.from_numpy(np.concatenate([read(path, told) for path in every[1::6]]))
    torch.manual_seed(0)
    classes = tuple(sorted(path.name for path in (CLOTHING / "test").iterdir()))
    weights = saved(tmp_path, design, telling(build(design), seen), classes=classes)
    model = load_model(str(weights))
    export(model, tmp_path / "out", formats=["python", "torch-export", "onnx"])
    hold_against_predict(model, tmp_path / "out", paths)


# network.py


@pytest.mark.parametrize("name", KINDS)
def test_the_module_prepares_pictures_as_predict_does_to_the_last_digit(
    whole: tuple[Path, Model, Exported], pictures: Path, name: str
) -> None:
    folder, model, _ = whole
    module = module_of(folder)
    assert torch.equal(module.prepare(pictures / name), prepared(pictures / name, model))


@pytest.mark.parametrize("name", ["sixteen.png", "turned-hole.png", "photo.jpg"])
def test_another_preparation_is_told_and_done_too(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, name: str
) -> None:
    other = Preparation(
        mean=(0.485, 0.456, 0.406),
        deviation=(0.229, 0.224, 0.225),
        interpolation="bicubic",
        white_level=40000,
    )
    folder = tmp_path_factory.mktemp("other")
    model = replace(load_model(str(saved(folder, small()))), preparation=other)
    export(model, folder / "out", formats=["python"])
    expected = prepared(pictures / name, model)
    assert torch.equal(module_of(folder / "out").prepare(pictures / name), expected)
    told = json.loads((folder / "out" / "preparation.json").read_text())
    assert abs(read(pictures / name, told) - expected.numpy()).max() < 0.05
    assert "bicubic" in (folder / "out" / "MODEL_CARD.md").read_text()


def test_the_module_answers_as_predict_does(
    whole: tuple[Path, Model, Exported], pictures: Path
) -> None:
    folder, model, _ = whole
    path = str(pictures / "photo.jpg")
    table = predict(model, [path], top=3).table
    answered = module_of(folder).classify(path)
    assert [name for name, _ in answered] == list(table["class"])
    assert [chance for _, chance in answered] == pytest.approx(list(table["probability"]), abs=1e-6)


# Names and numbers in every file


def test_preparation_and_names_stand_in_every_file_that_can_hold_them(
    whole: tuple[Path, Model, Exported],
) -> None:
    folder = whole[0]
    told = json.loads((folder / "preparation.json").read_text())
    assert (told["size"], told["mean"], told["deviation"]) == (24, [0.5] * 3, [0.25] * 3)
    assert told["interpolation"] == "bilinear"
    assert (folder / "labels.txt").read_text(encoding="utf-8") == "\n".join([*CLASSES, ""])
    props = {p.key: p.value for p in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(props["classes"]) == list(CLASSES)
    assert json.loads(props["preparation"]) == told
    assert json.loads(props["resolution"]) == 24
    assert (json.loads(props["mean"]), json.loads(props["deviation"])) == ([0.5] * 3, [0.25] * 3)
    assert props["producer"].startswith("autoscale ")
    inside = {"preparation.json": "", "labels.txt": ""}
    torch.export.load(folder / "model.pt2", extra_files=inside)
    assert inside == {name: (folder / name).read_text(encoding="utf-8") for name in inside}
    assert module_of(folder).CLASSES == CLASSES
    config = json.loads((folder / "config.json").read_text())
    assert config["label_names"] == list(CLASSES)
    wanted = {"input_size": [3, 24, 24], "mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0}
    assert wanted.items() <= config["pretrained_cfg"].items()
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for step in told["steps"]:
        assert _words(step) in _words(card)


def _words(text: str) -> str:
    return " ".join(text.replace("\\", "").split())


@pytest.mark.parametrize("count", [101, 1000])
def test_every_class_is_named_however_many_there_are(tmp_path: Path, count: int) -> None:
    classes = tuple(f"class {number}" for number in reversed(range(count)))
    design = replace(small(), num_classes=count)
    model = load_model(str(saved(tmp_path, design, classes=classes)))
    out = tmp_path / "out"
    export(model, out, formats=["python", "timm"])
    assert (out / "labels.txt").read_text().splitlines() == list(classes)
    assert classes == module_of(out).CLASSES
    assert json.loads((out / "config.json").read_text())["label_names"] == list(classes)
    card = (out / "MODEL_CARD.md").read_text()
    assert f"and {count - 100:,} more. `labels.txt` names them all" in card


def test_names_with_line_breaks_stay_one_a_line_and_that_is_said(tmp_path: Path) -> None:
    classes = ("a\nb", "c\\d", "e\u2028f")
    model = load_model(str(saved(tmp_path, small(), classes=classes)))
    found = export(model, tmp_path / "out", formats=["python"])
    lines = (tmp_path / "out" / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["a\\nb", "c\\\\d", "e\\u2028f"]
    assert [json.loads(f'"{line}"') for line in lines] == list(classes)
    assert any("labels.txt" in note for note in found.notes)
    assert classes == module_of(tmp_path / "out").CLASSES


def test_a_network_of_nameless_classes_writes_no_names(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "labels.txt").write_text("another network's\n")
    export(load_model(str(saved(tmp_path, small()))), out, formats=["python"])
    assert not (out / "labels.txt").exists()
    assert module_of(out).CLASSES is None
    (first, _), *_others = module_of(out).classify(out / "reference.png")
    assert first.startswith("class ")


def test_names_that_are_not_one_for_each_logit_are_refused(tmp_path: Path) -> None:
    model = load_model(str(saved(tmp_path, small())))
    model = replace(model, header=replace(model.header, classes=("a", "b")))
    with pytest.raises(InvalidSetting, match="gives 3 logits, but its weights name 2 classes"):
        export(model, tmp_path / "out", formats=["safetensors"])
    assert not (tmp_path / "out").exists()


# The reference


def test_the_reference_is_answered_as_it_says(whole: tuple[Path, Model, Exported]) -> None:
    folder, model, _ = whole
    told = json.loads((folder / "preparation.json").read_text())
    known = json.loads((folder / "reference.json").read_text())
    path = folder / known["picture"]
    with Image.open(path) as image:
        assert image.width != image.height
    images = read(path, told)
    assert images.shape == tuple(known["prepared"]["shape"])
    assert images.mean(axis=(0, 2, 3)) == pytest.approx(known["prepared"]["mean"], abs=1e-4)
    assert images.std(axis=(0, 2, 3)) == pytest.approx(known["prepared"]["deviation"], abs=1e-4)
    assert images[0, :, 0, 0] == pytest.approx(known["prepared"]["top_left"], abs=1e-5)
    assert images[0, :, 12, 12] == pytest.approx(known["prepared"]["centre"], abs=1e-5)
    for way, answers in ways(folder).items():
        assert answers(images)[0] == pytest.approx(known["logits"], abs=1e-3), way
    first = known["first"]
    assert CLASSES[first["index"]] == first["class"]
    table = predict(model, [path], top=1).table
    assert table["class"].iloc[0] == first["class"]
    assert table["probability"].iloc[0] == pytest.approx(first["probability"], abs=1e-6)


@pytest.mark.parametrize("step", ["square", "antialias", "channel order"])
def test_a_mistake_of_preparation_changes_the_reference(
    whole: tuple[Path, Model, Exported], step: str
) -> None:
    told = json.loads((whole[0] / "preparation.json").read_text())
    path = whole[0] / "reference.png"
    right, wrong = read(path, told), read(path, told, without=step)
    assert abs(right.mean(axis=(0, 2, 3)) - wrong.mean(axis=(0, 2, 3))).max() > 0.01


# Files for runtimes


def test_the_onnx_file_says_nothing_of_inner_shapes_nor_of_the_machine(
    whole: tuple[Path, Model, Exported],
) -> None:
    model = onnx.load(whole[0] / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert not model.graph.value_info
    assert not [node for node in model.graph.node if node.metadata_props or node.doc_string]
    (given,) = model.graph.input
    assert [d.dim_value for d in given.type.tensor_type.shape.dim][1:] == [3, 24, 24]
    for name in ("model.onnx", "model.pt2"):
        assert str(Path(__file__).parents[2]).encode() not in (whole[0] / name).read_bytes()
