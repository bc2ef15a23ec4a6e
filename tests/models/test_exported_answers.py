"""How logits become an answer, in each exported file and in what stands beside it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autoscale.answering.answering import NONE, Answering
from autoscale.datasets.named import read_pictures
from autoscale.datasets.pictures.preparation import OURS
from autoscale.distribution import missing
from autoscale.models.export import export
from autoscale.models.formats.graphs import TorchExport
from autoscale.models.formats.use import script
from autoscale.models.inference.predict import predict
from autoscale.models.load import Model, load_model
from autoscale.models.quantized.quantize import quantize
from autoscale.models.settings import ExportSettings
from autoscale.network.build import build
from autoscale.runs.weights import read_weights
from autoscale.training.batches import as_channels_last, normalised
from tests.conftest import draw_photos
from tests.models.networks import saved, telling
from tests.quantization.designs import LITE

WAY = Answering(temperature=1.5, none_below=0.55, chosen_on="100 images of photos")
CLASSES = ("cat", "dog", "eel")
DESIGN = replace(LITE, num_classes=3)
FORMATS = ("safetensors", "python", "timm", "torch-export", "onnx", "litert", "openvino")


def needed(name: str) -> str | None:
    return {"onnx": "export"}.get(name) or (name if name in ("litert", "openvino") else None)


def here() -> list[str]:
    return [name for name in FORMATS if not (needed(name) and missing(str(needed(name))))]


def model_of(folder: Path, photos: Path, answering: Answering | None = WAY) -> Model:
    """A network that answers photographs in many ways, more or less surely."""
    torch.manual_seed(0)
    paths = [str(path) for path in sorted(photos.rglob("*.png"))]
    chunk = next(read_pictures(paths, size=DESIGN.resolution, preparation=OURS))
    seen = normalised(as_channels_last(chunk.pixels), OURS)
    network = telling(build(DESIGN), seen)
    return load_model(saved(folder, DESIGN, network, classes=CLASSES, answering=answering))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("pictures") / "photos", size=32)


@pytest.fixture(scope="module")
def pictures(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.png"))


@pytest.fixture(scope="module")
def exported(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    folder = tmp_path_factory.mktemp("answers")
    model = model_of(folder, photos)
    export(model, folder / "out", formats=here())
    return model, folder / "out"


def test_it_stands_in_every_file_that_can_hold_it(exported: tuple[Model, Path]) -> None:
    _, folder = exported
    told = json.loads((folder / "answering.json").read_text())
    assert Answering.from_dict({k: v for k, v in told.items() if k not in ("none", "steps")}) == WAY
    assert told["none"] == NONE
    assert told["steps"] == list(WAY.steps)
    for name in ("model.safetensors", "timm.safetensors"):
        assert read_weights(folder / name).header.answering == WAY
    assert json.loads((folder / "config.json").read_text())["autoscale"]["answering"] == told
    held: dict[str, Any] = {"answering.json": ""}
    torch.export.load(io.BytesIO((folder / "model.pt2").read_bytes()), extra_files=held)
    text = held["answering.json"]
    assert json.loads(text if isinstance(text, str) else text.decode()) == told
    if "onnx" in here():
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx")
        found = session.get_modelmeta().custom_metadata_map["answering"]
        assert json.loads(found) == told
    if "litert" in here():
        with zipfile.ZipFile(folder / "model.tflite") as archive:
            assert json.loads(archive.read("answering.json")) == told
    if "openvino" in here():
        assert "1.5" in (folder / "model.xml").read_text().split("answering")[1][:200]
    card = (folder / "MODEL_CARD.md").read_text()
    assert "divided by 1.5 gives probabilities" in card
    assert "less than 0.55" in card


def test_the_reference_is_answered_so(exported: tuple[Model, Path]) -> None:
    model, folder = exported
    told = json.loads((folder / "reference.json").read_text())
    table = predict(model, [folder / "reference.png"]).table
    first, second = table.iloc[0], table.iloc[1]
    none = first["class"] == NONE
    assert told["answer"]["class"] == first["class"]
    assert (told["answer"]["index"] is None) == none
    known = second if none else first
    assert told["first"]["class"] == known["class"]
    assert told["first"]["probability"] == pytest.approx(known["probability"])


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("safetensors", "timm")])
def test_scripts_and_source_answer_as_predict_does(
    name: str, exported: tuple[Model, Path], pictures: list[Path]
) -> None:
    if name not in here():
        pytest.skip(f"needs the extra {needed(name)}")
    model, folder = exported
    table = predict(model, pictures, top=4).table
    first = table[table["rank"] == 1]["class"].tolist()
    assert 0 < first.count(NONE) < len(first)
    best = table.dropna(subset="probability").groupby("image", sort=False)["probability"].max()
    sure = [abs(chance - 0.55) > 0.02 for chance in best]
    if name == "python":
        code = "import network, sys\nheld = network.load()\nfor path in sys.argv[1:]:\n"
        code += "    print(f'{path}: {network.classify(path, held)[0][0]}')"
        words = [sys.executable, "-c", code]
    else:
        words = [sys.executable, f"use_{name.replace('-', '_')}.py"]
    done = subprocess.run([*words, *map(str, pictures)], cwd=folder, capture_output=True, text=True)
    found = [line.rpartition(": ")[2] for line in done.stdout.splitlines()]
    assert len(found) == len(first), done.stderr
    wrong = [
        pair for pair, clear in zip(zip(found, first, strict=True), sure, strict=True)
        if clear and pair[0] != pair[1]
    ]  # fmt: skip
    assert wrong == []


def test_the_source_gives_calibrated_probabilities(
    exported: tuple[Model, Path], pictures: list[Path]
) -> None:
    model, folder = exported
    code = "import network, sys, json\nprint(json.dumps(network.classify(sys.argv[1])))"
    table = predict(model, [pictures[0]], top=4).table
    done = subprocess.run(
        [sys.executable, "-c", code, str(pictures[0])], cwd=folder, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert [name for name, _ in found] == table["class"].tolist()
    for (_, chance), expected in zip(found, table["probability"].astype(float), strict=True):
        assert (chance is None) == (expected != expected)
        assert chance is None or chance == pytest.approx(expected, abs=1e-4)


def test_without_a_choice_no_file_says_anything_of_it(photos: Path, tmp_path: Path) -> None:
    formats, out = ("python", "torch-export", "safetensors"), tmp_path / "out"
    export(model_of(tmp_path, photos), out, formats=formats)
    assert (out / "answering.json").exists()
    export(model_of(tmp_path, photos, None), out, formats=formats)
    assert not (out / "answering.json").exists()
    for path in out.iterdir():
        content = path.read_bytes().lower()
        for word in (b"answering", b"temperature", b"none_below"):
            assert word not in content, path.name


def test_a_temperature_alone_leaves_scripts_as_they_are(photos: Path, tmp_path: Path) -> None:
    use = TorchExport().use(ExportSettings())
    assert use is not None
    model = model_of(tmp_path, photos, replace(WAY, none_below=None))
    plain = replace(model, header=replace(model.header, answering=None))
    assert script("torch-export", use, model) == script("torch-export", use, plain)


@pytest.mark.skipif(bool(missing("litert")), reason="needs the extra litert")
def test_files_in_int8_carry_it_over(photos: Path, tmp_path: Path) -> None:
    model = model_of(tmp_path, photos)
    formats = ["c-array", "litert", *(["onnx"] if "onnx" in here() else [])]
    export(model, tmp_path / "out", formats=formats, dtype="int8", data=str(photos))
    header = (tmp_path / "out" / "network.h").read_text()
    assert "#define NETWORK_TEMPERATURE 1.5f\n" in header
    assert "#define NETWORK_NONE_BELOW 0.55f" in header
    if "onnx" in formats:
        import onnxruntime

        session = onnxruntime.InferenceSession(tmp_path / "out" / "model-int8.onnx")
        told = json.loads(session.get_modelmeta().custom_metadata_map["answering"])
        assert told["none_below"] == 0.55
    found = quantize(model, tmp_path / "int8", data=str(photos))
    with zipfile.ZipFile(found.path) as archive:
        assert json.loads(archive.read("answering.json"))["temperature"] == 1.5
    assert any("chosen for the float network" in notice for notice in found.notices)
