"""Export: what can be written of which network, and what is refused."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from autoscale.cli.app import main
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.published import published
from autoscale.errors import ExportProblem, InvalidSetting
from autoscale.jobs.search.spaces import load_space
from autoscale.models.export import export
from autoscale.models.formats import python as python_format
from autoscale.models.formats.registry import possible_formats
from autoscale.models.load import load_model
from autoscale.network.build import build
from autoscale.network.weights import STYLES, Style, to_timm
from autoscale.runs.weights import read_weights
from tests.models.networks import saved, shaken, small

QUICK = ["safetensors", "python", "timm"]


def test_a_network_without_timms_form_leaves_that_format_out(tmp_path: Path) -> None:
    model = load_model("resnet-18", resolution=16)
    assert "timm" not in possible_formats(model)
    with pytest.raises(InvalidSetting, match="timm's EfficientNet cannot be this network"):
        export(model, tmp_path, formats=["timm"])
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_gives_other_logits_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(str(saved(tmp_path, small())))
    wrong = python_format.python_source

    def spoiled(*values: Any, **named: Any) -> str:
        return wrong(*values, **named).replace("act='silu'", "act='relu'")

    monkeypatch.setattr(python_format, "python_source", spoiled)
    with pytest.raises(ExportProblem, match=r"python gives logits that differ by .* batch of 1"):
        export(model, tmp_path / "out", formats=QUICK)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_a_module_that_prepares_pictures_in_another_way_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(str(saved(tmp_path, small())))
    right = python_format.preparing_source(model.preparation)
    spoiled = right.replace("Resampling.BILINEAR", "Resampling.NEAREST")
    monkeypatch.setattr(python_format, "preparing_source", lambda preparation, answering: spoiled)
    with pytest.raises(ExportProblem, match=r"network\.py prepares a picture otherwise"):
        export(model, tmp_path / "out", formats=["python"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, "0.8750 of validation images."),
        ({"resolution": 40}, "Not known as exported. 0.8750 of validation images was measured at "),
        ({"style": "tf"}, "was measured with another padding or epsilon of batch norm."),
    ],
    ids=["nothing", "resolution", "style"],
)
def test_an_accuracy_is_told_only_of_the_network_that_had_it(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    known = {"accuracy": 0.875, "accuracy_of": "validation images", "style": STYLES["autoscale"]}
    weights = saved(tmp_path, small(), **known)
    out = tmp_path / "out"
    export(load_model(str(weights), **change), out, formats=["safetensors"])
    assert told in (out / "MODEL_CARD.md").read_text()
    kept = read_weights(out / "model.safetensors").header.accuracy
    assert kept == (None if change else 0.875)


def test_a_module_of_ones_own_is_exported_without_a_design(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean(dim=(2, 3))

    base = load_model("efficientnet-b0")
    model = replace(base, name="own", network=Own(), architecture=None, resolution=8)
    for_any = ["safetensors", "torch-export", "onnx", "openvino", "ncnn", "coreml"]
    assert possible_formats(model) == for_any
    found = export(model, tmp_path, formats=["safetensors", "torch-export"])
    assert [file.path.name for file in found.files] == ["model.safetensors", "model.pt2"]
    assert set(read_weights(tmp_path / "model.safetensors").state) == {"conv.weight", "conv.bias"}


def test_weights_decide_how_many_classes_a_network_has(tmp_path: Path) -> None:
    path = saved(tmp_path, replace(small(), num_classes=7))
    (tmp_path / "design.yaml").write_text(small().to_yaml(), encoding="utf-8")
    model = load_model(str(tmp_path / "design.yaml"), weights=str(path))
    assert model.num_classes == 7


@pytest.mark.parametrize("name", ["theirs.pth", "theirs.safetensors", "theirs"])
def test_weights_in_place_of_a_network_are_called_so(tmp_path: Path, name: str) -> None:
    torch.save(build(small()).state_dict(), tmp_path / name)
    with pytest.raises(InvalidSetting, match="does not say which network they belong to; name"):
        load_model(tmp_path / name)


def test_weights_with_timms_names_ask_for_their_style(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design = tmp_path / "design.yaml"
    design.write_text(small().to_yaml(), encoding="utf-8")
    weights = tmp_path / "theirs.pth"
    torch.save(to_timm(shaken(build(small())).state_dict()), weights)
    command = ["export", str(design), str(tmp_path / "out"), "--weights", str(weights)]
    command += ["--to", "safetensors", "--to", "timm"]
    assert main(command) == 2
    assert "add --style tf" in capsys.readouterr().err
    assert main([*command, "--style", "tf", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [file["format"] for file in answer["files"]] == ["safetensors", "timm", "timm"]
    header = read_weights(tmp_path / "out" / "model.safetensors").header
    assert header.style == STYLES["tf"]
    assert header.preparation is not None
    assert header.preparation.mean == (0.485, 0.456, 0.406)
    assert 'pad_type="same"' in (tmp_path / "out" / "timm_network.py").read_text()


def test_an_export_over_another_networks_takes_its_own_weights_and_names_what_is_left(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    first, other = build(small()), build(small())
    export(load_model(saved(tmp_path, small(), first)), out, formats=["safetensors", "timm"])
    model = load_model(saved(tmp_path, small(), other))
    found = export(model, out, formats=["python"])
    assert [file.path.name for file in found.files] == ["model.safetensors", "network.py"]
    kept = read_weights(out / "model.safetensors").state
    assert all(torch.equal(kept[name], value) for name, value in other.state_dict().items())
    left = "timm.safetensors and timm_network.py and config.json in that folder are of an earlier"
    assert found.notes[-1].startswith(left)
    again = export(model, out, formats=["python"])
    assert [file.path.name for file in again.files] == ["network.py"]


def test_a_style_for_a_module_of_ones_own_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="leave --style out"):
        load_model("torch.nn:Identity", style="tf")


@pytest.mark.parametrize("style", [STYLES["tf"], Style(padding="same", norm_eps=1e-5)])
def test_numbers_from_the_files_for_timm_alone_expect_what_they_did(
    tmp_path: Path, style: Style
) -> None:
    known = {"style": style, "preparation": Preparation(mean=(0.1, 0.2, 0.3), white_level=4095)}
    weights = saved(tmp_path, small(), classes=("x", "y", "z"), **known)
    model = load_model(weights)
    out = tmp_path / "out"
    export(model, out, formats=["timm"])
    (tmp_path / "design.yaml").write_text(small().to_yaml(), encoding="utf-8")
    torch.save(load_file(out / "timm.safetensors"), out / "tuned.pth")  # no header any more
    back = load_model(tmp_path / "design.yaml", weights=out / "tuned.pth")
    assert (back.style, back.preparation) == (model.style, model.preparation)
    assert back.header.classes == ("x", "y", "z")


def test_random_weights_are_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = tmp_path / "design.yaml"
    design.write_text(small().to_yaml(), encoding="utf-8")
    assert main(["export", str(design), str(tmp_path / "out"), "--to", "python"]) == 0
    shown = capsys.readouterr().out
    assert "Note: no weights were given: they are random" in shown
    assert "they are random" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["efficientnet-b0", "--to", "tflite"], "no format 'tflite'; choose from safetensors"),
        (["efficientnet-b0", "--weights", "none.pth"], "no such file of weights: none.pth"),
        (["efficientnet-b0", "--style", "keras"], "no style 'keras'; choose from autoscale"),
        (["torch.nn:Flatten", "--to", "python"], "module of your own, so there is no design"),
        (["torch.nn:Identity", "--resolution", "8"], "must give logits of shape"),
    ],
)
def test_mistakes_are_usage_errors(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = arguments
    assert main(["export", name, str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-b0", "searched", "resnet-50"])
def test_onnx_runtime_gives_torchs_logits_at_batch_1_and_5(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    if name == "searched":
        design = load_space("mbconv-small").sample(random.Random(0))
    else:
        design = published(name)
    model = load_model(str(saved(tmp_path, design)))
    # Random weights give ResNet-50 logits in the hundreds; trained ones are of this size.
    images = torch.randn(2, 3, model.resolution, model.resolution)
    with torch.no_grad():
        scale = 10 / model.network(images).abs().max()
        for value in model.network.head.classifier.parameters():
            value.mul_(scale)
    (file,) = export(model, tmp_path / "out", formats=["onnx"]).files
    assert file.difference is not None
    assert file.difference <= 1e-4
