"""`autoscale quantize --epochs`: an int8 network that learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from autoscale import distribution
from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.models.load import load_model
from autoscale.models.quantized import tune as tuning
from autoscale.models.quantized.calibrated import calibrate
from autoscale.models.quantized.files import content, file_logits
from autoscale.models.quantized.quantize import quantize
from autoscale.models.quantized.tune import tune
from autoscale.models.settings import QuantizeSettings
from autoscale.network.build import build
from autoscale.quantization.learning.fake import FakeQuantized
from autoscale.training.failures import TrainingDiverged
from autoscale.training.fit import Fit
from autoscale.training.state import Epoch, Snapshot
from tests.models.networks import saved, telling
from tests.quantization.designs import LITE

needs_litert = pytest.mark.skipif(
    bool(distribution.missing("litert")), reason="needs the extra litert"
)


@pytest.fixture
def weights(tmp_path: Path, photos: Path) -> Path:
    """A network that has not learned its three classes well."""
    pixels = load(str(photos), size=LITE.resolution).train.pixels
    images = Tensor(pixels / 255).permute(0, 3, 1, 2).float().sub(0.5).div(0.25)
    torch.manual_seed(0)
    return saved(
        tmp_path, LITE, telling(build(LITE), images), classes=("blue", "green", "red", "grey")
    )


def asked(photos: Path, **changes: object) -> QuantizeSettings:
    settings = {"data": str(photos), "epochs": 8, "learning_rate": 0.2, "calibration_images": 24}
    return QuantizeSettings(**{**settings, **changes})  # type: ignore[arg-type]


def test_it_learns_and_the_same_again_gives_the_same_integers(weights: Path, photos: Path) -> None:
    model, settings = load_model(weights), asked(photos)
    network = calibrate(model, str(photos), settings).network
    one, two = (tune(model, network, str(photos), settings) for _ in range(2))
    assert one.accuracies == two.accuracies
    assert len(one.accuracies) == 9
    assert one.best > 0
    assert one.accuracies[one.best] == max(one.accuracies) > one.accuracies[0]
    for name, kernel in one.network.kernels.items():
        assert np.array_equal(kernel.weight, two.network.kernels[name].weight)
        assert np.array_equal(kernel.bias, two.network.kernels[name].bias)
    moved = [
        not np.array_equal(kernel.weight, network.kernels[name].weight)
        for name, kernel in one.network.kernels.items()
    ]
    assert any(moved)
    assert one.network.maps == network.maps


@needs_litert
def test_the_file_answers_as_what_learned_does(weights: Path, photos: Path) -> None:
    model, settings = load_model(weights), asked(photos)
    found = tune(model, calibrate(model, str(photos), settings).network, str(photos), settings)
    pixels = load(str(photos), size=LITE.resolution).validation.pixels
    with torch.inference_mode():
        true = FakeQuantized(found.network)(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    answered = file_logits(content(model, found.network), pixels, found.network)
    assert np.abs(answered - true).mean() <= found.network.maps["head.classifier"].scale
    assert (answered.argmax(axis=1) == true.argmax(axis=1)).mean() >= 0.8


def test_what_was_before_is_kept_where_no_epoch_is_better(
    weights: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = load_model(weights), asked(photos, epochs=2)
    network = calibrate(model, str(photos), settings).network

    def fit(module: object, task: object, *, keep: object) -> Fit:
        epochs = tuple(Epoch(number, 1.0, 0.0, 1.0) for number in (1, 2))
        for number in (1, 2):
            keep(Snapshot(epochs[:number], {}))  # type: ignore[operator]
        return Fit(0.0, 1.0, epochs, 1.0, 1.0)

    monkeypatch.setattr(tuning, "fit", fit)
    found = tune(model, network, str(photos), settings)
    assert found.best == 0
    assert found.network is network
    assert "no epoch was better" in found.which


def test_a_training_that_diverges_ends_in_one_line(
    weights: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = load_model(weights), asked(photos)
    network = calibrate(model, str(photos), settings).network

    def fit(*_: object, **__: object) -> Fit:
        raise TrainingDiverged("the loss became nan")

    monkeypatch.setattr(tuning, "fit", fit)
    with pytest.raises(EvaluationFailed, match="fine-tuning in int8: the loss became nan"):
        tune(model, network, str(photos), settings)


@needs_litert
def test_the_command_prints_float_before_and_after(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(weights.parent / "out")
    command = ["quantize", str(weights), out, "--data", str(photos), "--epochs", "2"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "in float," in told
    assert "in int8 before," in told
    assert "in int8 after learning" in told
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["validation_accuracies"]) == 3
    assert found["images"] < 42


@needs_litert
def test_classes_that_are_not_the_networks_cannot_be_learned(
    weights: Path, tmp_path: Path, photos: Path
) -> None:
    (photos / "green").rename(photos / "olive")
    with pytest.raises(InvalidSetting, match="has the class 'olive'"):
        quantize(weights, tmp_path / "out", data=str(photos), epochs=1)
    assert not (tmp_path / "out" / "model-int8.tflite").exists()


def test_a_rate_without_epochs_says_nothing(photos: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"--learning-rate 0\.1 needs --epochs"):
        QuantizeSettings(data=str(photos), learning_rate=0.1)
