"""Networks of grey images, from the design to the files of other runtimes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from autoscale.datasets.data import load
from autoscale.datasets.pictures.preparation import ours
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.distribution import missing
from autoscale.errors import InvalidArchitecture, InvalidSetting, InvalidSpace
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.models.export import export
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.inference.predict import predict
from autoscale.models.load import load_model
from autoscale.models.quantized.quantize import quantize
from autoscale.network.measuring.trace import traced_cost
from autoscale.runs.weights import read_weights
from tests.designs import SOURCE
from tests.designs import trained as trained_in_colour
from tests.models.networks import saved, small

GREY = replace(SOURCE, channels=1)
needs_onnx = pytest.mark.skipif(bool(missing("export")), reason="needs the extra export")
needs_litert = pytest.mark.skipif(bool(missing("litert")), reason="needs the extra litert")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A short training on the drawn set in grey."""
    folder = tmp_path_factory.mktemp("grey")
    (folder / "grey.yaml").write_text(GREY.to_yaml())
    asked = {"limit": 400, "epochs": 4, "kernels": "none", "batch_size": 16}
    return folder, train(folder / "grey.yaml", folder, **asked)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn pictures as files, in colour."""
    folder = tmp_path_factory.mktemp("pictures")
    pixels = load("synthetic", size=16).validation.pixels[:12]
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


def test_the_weights_say_that_they_are_of_grey_images(run: tuple[Path, Trained]) -> None:
    header = read_weights(run[1].weights).header
    assert header.architecture is not None
    assert header.architecture["channels"] == 1
    assert header.preparation == ours(1)
    assert run[1].macs == cost(replace(GREY, num_classes=10)).macs


def test_it_is_evaluated_and_predicts_pictures_in_colour(
    run: tuple[Path, Trained], pictures: list[Path]
) -> None:
    model = load_model(run[1].weights)
    assert traced_cost(model.network, resolution=16) == cost(GREY)
    found = evaluate_model(model, "synthetic", split="validation")
    assert found.accuracy == run[1].best.accuracy
    assert len(predict(model, pictures).table) == 3 * len(pictures)


@needs_onnx
def test_an_onnx_file_answers_as_predict_does(
    run: tuple[Path, Trained], pictures: list[Path], tmp_path: Path
) -> None:
    import onnxruntime

    model = load_model(run[1].weights)
    export(model, tmp_path, formats=("onnx", "python", "safetensors", "torch-export"))
    told = json.loads((tmp_path / "preparation.json").read_text())
    assert (told["channel_order"], told["mean"]) == ("L", [0.5])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    first = predict(model, pictures, top=1).table
    labels = (tmp_path / "labels.txt").read_text().splitlines()
    for path, expected in zip(pictures, first["class"], strict=True):
        grey = np.asarray(Image.open(path).convert("L").resize((16, 16))).astype(np.float32)
        images = (grey / 255 - told["mean"][0]) / told["deviation"][0]
        logits = session.run(None, {"images": images[None, None].astype(np.float32)})[0]
        assert labels[int(logits.argmax())] == expected


@needs_litert
def test_a_litert_file_of_bytes_agrees_with_the_float_network(
    run: tuple[Path, Trained], tmp_path: Path
) -> None:
    found = quantize(run[1].weights, tmp_path, data="synthetic", calibration_images=100)
    assert found.agreement > 0.9
    exported = export(run[1].weights, tmp_path, formats=("litert",))
    assert exported.files[0].difference is not None


def test_weights_in_colour_are_taken_over(tmp_path: Path) -> None:
    weights = trained_in_colour(SOURCE, tmp_path)
    (tmp_path / "grey.yaml").write_text(GREY.to_yaml())
    wider = replace(GREY, stem=replace(GREY.stem, width=24))
    (tmp_path / "wider.yaml").write_text(wider.to_yaml())
    for design in ("grey", "wider"):
        found = train(
            tmp_path / f"{design}.yaml",
            tmp_path / design,
            weights=weights,
            limit=48,
            epochs=1,
            kernels="none",
        )
        assert read_weights(found.weights).header.preparation == ours(1)
        stem = read_weights(found.weights).state["stem.0.weight"]
        assert stem.shape[1] == 1


def test_grey_weights_are_refused_for_colour(run: tuple[Path, Trained], tmp_path: Path) -> None:
    (tmp_path / "colour.yaml").write_text(SOURCE.to_yaml())
    with pytest.raises(InvalidSetting, match="weights for grey images"):
        train(tmp_path / "colour.yaml", tmp_path / "run", weights=str(run[1].weights), epochs=1)
    with pytest.raises(InvalidSetting):
        load_model(tmp_path / "colour.yaml", weights=str(run[1].weights))


def test_several_means_are_refused_for_grey(run: tuple[Path, Trained], tmp_path: Path) -> None:
    means = {"mean": (0.4, 0.5, 0.6), "deviation": (0.2, 0.2, 0.2)}
    with pytest.raises(InvalidSetting, match="mean must be one number"):
        load_model(run[1].weights, **means)
    with pytest.raises(InvalidSetting, match="mean must be one number"):
        train(run[0] / "grey.yaml", tmp_path, limit=48, epochs=1, **means)  # type: ignore[arg-type]
    assert load_model(run[1].weights, mean=(0.4,) * 3).preparation.mean == (0.4,)


def test_a_space_says_so_at_the_top(tmp_path: Path) -> None:
    text = Path(__file__).parents[2].joinpath("search_spaces", "tiny.yaml").read_text()
    grey = tmp_path / "tiny-grey.yaml"
    grey.write_text(f"{text}\nchannels: 1\n")
    space = load_space(str(grey))
    assert all(one.channels == 1 for one in space.enumerate())
    assert not space.contains(load_space("tiny").architecture_at((0,) * len(space.parameters)))
    found = search_baseline(
        tmp_path / "run",
        data="synthetic",
        space=str(grey),
        resolution=16,
        trials=2,
        limit=96,
        epochs=1,
        max_macs=10**9,
    )
    assert found.trial.architecture.channels == 1


@pytest.mark.parametrize("channels", [33, -1, 0, True])
def test_other_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(InvalidArchitecture, match="channels must be 3"):
        replace(SOURCE, channels=channels)
    with pytest.raises(InvalidSpace, match="channels must be 3"):
        replace(load_space("tiny"), channels=channels)


def test_files_from_before_are_read_and_written_as_they_were() -> None:
    assert "channels" not in SOURCE.to_dict()
    assert Architecture.from_dict(SOURCE.to_dict()) == SOURCE
    assert Architecture.from_dict(GREY.to_dict()) == GREY


def test_a_module_of_the_users_is_grey_if_its_first_convolution_is(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grey_net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(4, 3))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.save(load_model("grey_net:net").network.state_dict(), tmp_path / "net.pth")
    model = load_model("grey_net:net", weights="net.pth", resolution=16)
    assert model.preparation == ours(1)
    assert len(predict(model, pictures[:2], top=1).table) == 2


def test_files_for_timm_take_one_channel_and_say_so(tmp_path: Path) -> None:
    design = replace(small(), channels=1)
    model = load_model(saved(tmp_path, design, classes=("x", "y", "z"), preparation=ours(1)))
    export(model, tmp_path / "out", formats=["timm"])
    assert "in_chans=1," in (tmp_path / "out" / "timm_network.py").read_text()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["pretrained_cfg"]["input_size"] == [1, 24, 24]
    (tmp_path / "design.yaml").write_text(design.to_yaml())
    torch.save(load_file(tmp_path / "out" / "timm.safetensors"), tmp_path / "out" / "tuned.pth")
    back = load_model(tmp_path / "design.yaml", weights=tmp_path / "out" / "tuned.pth", style="tf")
    assert back.preparation == model.preparation
