"""Export: every format gives torch's logits, also where autoscale is not installed."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from autoscale.cli import main
from autoscale.design.published import published
from autoscale.errors import ExportProblem, InvalidSetting
from autoscale.network.build import build
from autoscale.network.weights import STYLES, to_timm
from autoscale.runs.weights import read_weights
from autoscale.workflows import export as exporting
from autoscale.workflows.catalogue import load_space
from autoscale.workflows.export import FORMATS, Exported, export, possible_formats
from autoscale.workflows.models import Model, load_model
from tests.workflows.conftest import CLASSES, saved, shaken, small

QUICK = ["safetensors", "python", "timm"]

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


def test_every_format_is_written_and_those_that_run_agree_with_torch(
    whole: tuple[Path, Model, Exported],
) -> None:
    folder, _, exported = whole
    assert {file.format for file in exported.files} == set(FORMATS)
    assert all(file.path.stat().st_size == file.bytes for file in exported.files)
    run = {file.format: file.difference for file in exported.files if file.difference is not None}
    assert set(run) == {"python", "torch-export", "onnx"}
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
    wrong = exporting.python_source

    def spoiled(*values: Any, **named: Any) -> str:
        return wrong(*values, **named).replace("act='silu'", "act='relu'")

    monkeypatch.setattr(exporting, "python_source", spoiled)
    with pytest.raises(ExportProblem, match=r"python gives logits that differ by .* batch of 1"):
        export(model, tmp_path / "out", formats=QUICK)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_a_module_of_ones_own_is_exported_without_a_design(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean(dim=(2, 3))

    base = load_model("efficientnet-b0")
    model = replace(base, name="own", network=Own(), architecture=None, resolution=8)
    assert possible_formats(model) == ["safetensors", "torch-export", "onnx"]
    found = export(model, tmp_path, formats=["safetensors", "torch-export"])
    assert [file.path.name for file in found.files] == ["model.safetensors", "model.pt2"]
    assert set(read_weights(tmp_path / "model.safetensors").state) == {"conv.weight", "conv.bias"}


def test_weights_decide_how_many_classes_a_network_has(tmp_path: Path) -> None:
    path = saved(tmp_path, replace(small(), num_classes=7))
    (tmp_path / "design.yaml").write_text(small().to_yaml(), encoding="utf-8")
    model = load_model(str(tmp_path / "design.yaml"), weights=str(path))
    assert model.num_classes == 7


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
