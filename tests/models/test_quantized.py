"""`autoscale quantize` and LiteRT files of `autoscale export`, from images to the answer."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from autoscale import distribution
from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.errors import InvalidSetting, StorageProblem
from autoscale.models.export import export
from autoscale.models.inference.passes import to_network_input
from autoscale.models.load import load_model
from autoscale.models.quantized import files
from autoscale.models.quantized.calibrated import calibrate, graph_of
from autoscale.models.quantized.quantize import quantize
from autoscale.models.settings import ExportSettings, QuantizeSettings
from autoscale.network.build import build
from autoscale.quantization.execute import run
from tests.models.networks import saved, telling
from tests.quantization.designs import LITE

CLASSES = ("blue", "green", "red", "grey")
needs_litert = pytest.mark.skipif(
    bool(distribution.missing("litert")), reason="needs the extra litert"
)


@pytest.fixture
def weights(tmp_path: Path, photos: Path) -> Path:
    """A file of a small network that has seen the photographs."""
    pixels = load(str(photos), size=LITE.resolution).train.pixels
    images = Tensor(pixels / 255).permute(0, 3, 1, 2).float().sub(0.5).div(0.25)
    torch.manual_seed(0)
    return saved(tmp_path, LITE, telling(build(LITE), images), classes=CLASSES)


def test_the_graph_of_a_model_gives_its_logits_for_the_pictures_bytes(
    weights: Path, photos: Path
) -> None:
    model = load_model(weights)
    pixels = load(str(photos), size=LITE.resolution).train.pixels
    with torch.inference_mode():
        true = model.network(to_network_input(pixels, model))
    found = run(graph_of(model), torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert torch.allclose(found, true, atol=1e-4)


def test_training_images_calibrate_and_validation_images_are_kept_for_the_comparison(
    weights: Path, photos: Path
) -> None:
    settings = QuantizeSettings(data=str(photos), calibration_images=9)
    found = calibrate(load_model(weights), str(photos), settings)
    assert found.which == f"9 training images of {photos}"
    cut = load(str(photos), size=LITE.resolution)
    assert np.array_equal(found.held_out, cut.validation.pixels)


def test_a_network_without_weights_is_not_calibrated(photos: Path) -> None:
    with pytest.raises(InvalidSetting, match="no weights, so nothing can be calibrated"):
        calibrate(load_model("resnet-18"), str(photos), QuantizeSettings(data=str(photos)))


@needs_litert
def test_quantize_compares_both_and_writes_the_file(weights: Path, photos: Path) -> None:
    found = quantize(weights, weights.parent / "out", data=str(photos), split="all")
    assert found.path.read_bytes()[4:8] == b"TFL3"
    assert found.bytes == found.path.stat().st_size
    assert found.images == 42
    assert found.agreement >= 0.8
    assert found.accuracy_float is not None
    assert found.accuracy_int8 is not None
    assert abs(found.accuracy_float - found.accuracy_int8) <= 1 - found.agreement
    assert found.layers["layer"].iloc[-1] == "head.classifier"
    assert found.worst["alone_db"].is_monotonic_increasing
    with zipfile.ZipFile(found.path) as archive:
        assert archive.read("labels.txt").decode().split() == list(CLASSES)
        told = json.loads(archive.read("input.json"))
    assert (told["layout"], told["dtype"], told["logits"]["dtype"]) == ("NHWC", "uint8", "int8")


@needs_litert
def test_where_the_networks_classes_are_not_the_datas_the_agreement_is_told_alone(
    weights: Path, tmp_path: Path, photos: Path
) -> None:
    (photos / "green").rename(photos / "olive")
    found = quantize(weights, tmp_path / "out", data=str(photos), split="validation")
    assert found.accuracy_int8 is None
    assert 0 <= found.agreement <= 1
    assert any("only the agreement" in notice for notice in found.notices)


@needs_litert
def test_the_command_names_layers_and_both_accuracies(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(weights.parent / "out")
    assert main(["quantize", str(weights), out, "--data", str(photos), "--layers", "2"]) == 0
    told = capsys.readouterr().out
    assert "in float," in told
    assert "alone_db" in told
    assert main(["quantize", str(weights), out, "--data", str(photos), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 42
    assert len(found["layers"]) > 10


@needs_litert
def test_export_writes_litert_files_of_both_types(weights: Path, photos: Path) -> None:
    out = weights.parent / "out"
    (plain,) = export(weights, out, formats=["litert"]).files
    assert plain.path.name == "model.tflite"
    assert plain.difference is not None
    assert plain.difference < 1e-3
    assert plain.agreement is None
    found = export(weights, out, formats=["litert"], dtype="int8", data=str(photos))
    (file,) = found.files
    assert file.path.name == files.FILES["int8"]
    assert file.agreement is not None
    assert 0.5 <= file.agreement <= 1
    assert any("first answer of the float network" in note for note in found.notes)
    assert "model-int8.tflite" in found.card.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"calibration_images": 9}, "needs --dtype int8"),
        ({"dtype": "int4"}, "int4"),
    ],
)
def test_what_says_nothing_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidSetting, match=told):
        ExportSettings(**asked)  # type: ignore[arg-type]


@needs_litert
def test_int8_without_images_is_refused_before_anything_is_written(weights: Path) -> None:
    out = weights.parent / "out"
    with pytest.raises(InvalidSetting, match="needs images to calibrate on; give --data"):
        export(weights, out, formats=["litert"], dtype="int8")
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "dtype", "told"),
    [
        ("safetensors", "int8", "safetensors has no int8 numbers; it can have float32"),
        ("openvino", "int8", "openvino has no int8 numbers; it can have float32"),
        ("c-array", "float32", "c-array has no float32 numbers; it can have int8"),
    ],
)
def test_numbers_that_a_format_cannot_have_are_refused(
    weights: Path, photos: Path, name: str, dtype: str, told: str
) -> None:
    out = weights.parent / "out"
    with pytest.raises(InvalidSetting, match=told):
        export(weights, out, formats=["litert", name], dtype=dtype, data=str(photos))
    assert not out.exists()


@needs_litert
def test_a_target_that_is_a_file_is_refused_before_images_are_read(weights: Path) -> None:
    refused = pytest.raises(StorageProblem, match="is a file, so nothing can be put into it")
    with refused:
        quantize(weights, weights, data="nowhere")
    with refused:
        export(weights, weights, formats=["litert"], dtype="int8", data="nowhere")


def test_without_the_package_export_leaves_litert_out_unless_it_is_asked_for(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        distribution, "missing", lambda extra: ["ai_edge_litert"] if extra == "litert" else ["onnx"]
    )
    found = export(weights, weights.parent / "out")
    assert not {"litert", "onnx"} & {file.format for file in found.files}
    for name in ("litert", "onnx"):
        assert any(note.startswith(f"no {name} file was written") for note in found.notes)
    with pytest.raises(InvalidSetting, match="litert needs ai_edge_litert: pip install"):
        export(weights, weights.parent / "out", formats=["litert"])
