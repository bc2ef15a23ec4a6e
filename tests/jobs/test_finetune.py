"""Trainings that begin with other weights: the head first, parts frozen, rates by part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from autoscale.datasets.data import load
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.train.result import Trained
from autoscale.models.load import load_model
from autoscale.network.build import build
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.training.evaluation.evaluate import evaluate
from tests.conftest import Heard
from tests.jobs.test_train import SMALL, short


@pytest.fixture
def design(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.to_yaml())
    return str(path)


@pytest.fixture
def start(tmp_path: Path) -> str:
    """Weights of the design for two classes of other names."""
    path = tmp_path / "start.safetensors"
    torch.manual_seed(7)
    header = Header(architecture=SMALL.to_dict(), classes=("cat", "dog"))
    write_weights(path, build(SMALL).state_dict(), header)
    return str(path)


def tuned(design: str, run: Path, photos: Path, start: str, **options: Any) -> Trained:
    asked = {"recipe": "finetune", "weights": start, **options}
    return short(design, run, photos, **asked)


def probed(design: str, run: Path, photos: Path, start: str, **options: Any) -> Trained:
    plain = dict.fromkeys(("epochs", "batch_size", "dropout", "drop_path"))
    return tuned(design, run, photos, start, **plain, freeze="features", **options)


def state_of(trained: Trained) -> dict[str, torch.Tensor]:
    return dict(read_weights(trained.weights).state)


def recipe_of(run: Path) -> dict[str, Any]:
    settings = json.loads((run / "train" / "settings.json").read_text())["settings"]
    found: dict[str, Any] = settings["recipe"]
    return found


def test_a_new_classifier_is_fitted_before_the_first_step(
    design: str, photos: Path, tmp_path: Path, start: str
) -> None:
    hears = Heard()
    tuned(design, tmp_path / "run", photos, start, epochs=1, listener=hears)
    (told,) = [line for line in hears.notices if "fitted first" in line]
    assert recipe_of(tmp_path / "run")["head_first"] is True
    # What it says of the head is what a training of the head alone gives.
    head = probed(design, tmp_path / "head", photos, start)
    assert f"accuracy {head.best.accuracy:.4f} on" in told


@pytest.mark.parametrize("known", ["no weights", "its classes"])
def test_a_classifier_that_is_not_new_or_has_no_features_is_not_fitted_first(
    design: str, photos: Path, tmp_path: Path, start: str, known: str
) -> None:
    if known == "its classes":
        first = tuned(design, tmp_path / "first", photos, start, epochs=1)
        options: dict[str, Any] = {"weights": str(first.weights)}
    else:
        options = {"weights": None}
    hears = Heard()
    tuned(design, tmp_path / "run", photos, start, epochs=1, listener=hears, **options)
    assert not [line for line in hears.notices if "fitted first" in line]


@pytest.mark.parametrize("freeze", [None, "norms", "1"])
def test_a_fine_tuning_that_was_interrupted_goes_on_to_the_same_bits(
    design: str, photos: Path, tmp_path: Path, start: str, freeze: str | None
) -> None:
    options = {"freeze": freeze, "layer_decay": 0.7, "patience": 3}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = tuned(design, whole, photos, start, **options)
    with pytest.raises(KeyboardInterrupt):
        tuned(design, broken, photos, start, listener=Heard(stop_after=1), **options)
    found = tuned(design, broken, photos, start, **options)
    assert [e.loss for e in found.epochs] == [e.loss for e in expected.epochs]
    one, other = (read_snapshot(run / "train" / "last.safetensors") for run in (whole, broken))
    assert one is not None
    assert other is not None
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("kernels", ["none", "torch"])
def test_frozen_stages_are_those_of_the_weights(
    design: str, photos: Path, tmp_path: Path, start: str, kernels: str
) -> None:
    found = tuned(design, tmp_path / "run", photos, start, epochs=1, freeze="1", kernels=kernels)
    before, after = read_weights(start).state, state_of(found)
    frozen = {name for name in after if torch.equal(after[name], before[name].to(after[name]))}
    assert frozen >= {name for name in after if name.startswith(("stem.", "stages.0."))}
    assert not any("weight" in name for name in frozen if name.startswith("stages.1."))


def test_the_classifier_alone_is_trained_on_frozen_features(
    design: str, photos: Path, tmp_path: Path, start: str
) -> None:
    hears, run = Heard(), tmp_path / "run"
    found = probed(design, run, photos, start, listener=hears)
    assert any("the classifier alone is trained" in line for line in hears.notices)
    before, after = read_weights(start).state, state_of(found)
    assert {name for name in after if name.startswith("head.classifier")} == {
        name for name in after if after[name].shape != before[name].shape
    }
    assert all(
        torch.equal(after[name], before[name])
        for name in after
        if not name.startswith("head.classifier")
    )
    model = load_model(str(found.weights))
    images = load(str(photos), size=16)
    assert images.test is not None
    assert evaluate(model.network, images.validation, resolution=16) == found.best.accuracy
    assert evaluate(model.network, images.test, resolution=16) == found.test_accuracy
    assert "the classifier alone" in (model.header.provenance or "")
    # Done once; other parts frozen is another training.
    assert probed(design, run, photos, start, listener=Heard(stop_after=1)) == found
    with pytest.raises(RunConflict, match="freeze"):
        tuned(design, run, photos, start, epochs=1, freeze="1")


def test_what_is_given_takes_the_recipes_place(
    design: str, photos: Path, tmp_path: Path, start: str
) -> None:
    tuned(design, tmp_path / "run", photos, start, epochs=1, layer_decay=0.5, patience=4)
    recipe = recipe_of(tmp_path / "run")
    assert (recipe["layer_decay"], recipe["patience"]) == (0.5, 4)
    for options, message in (
        ({"layer_decay": 1.5}, r"layer_decay must be in \(0, 1\]; got 1.5"),
        ({"patience": -1}, "patience must be at least 0, got -1"),
        ({"freeze": "9"}, "the network has 2 stages, and 9 are to be frozen"),
    ):
        with pytest.raises(InvalidSetting, match=message):
            tuned(design, tmp_path / "other", photos, start, **options)


def test_patience_ends_a_training_and_the_best_weights_are_kept(
    design: str, photos: Path, tmp_path: Path, start: str
) -> None:
    run = tmp_path / "run"
    found = tuned(design, run, photos, start, epochs=40, patience=2, learning_rate=1e-6)
    assert len(found.epochs) == found.best.number + 2
    assert found.result.epochs < 40
    assert tuned(
        design, run, photos, start, epochs=40, patience=2, learning_rate=1e-6,
        listener=Heard(stop_after=1),
    ) == found  # fmt: skip


def test_a_training_of_an_older_version_goes_on(design: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        short(design, tmp_path / "run", photos, listener=Heard(stop_after=1))
    file = tmp_path / "run" / "train" / "settings.json"
    record = json.loads(file.read_text())
    for name in ("layer_decay", "head_first", "patience", "start_regularisation"):
        del record["settings"]["recipe"][name]
    del record["settings"]["freeze"]
    file.write_text(json.dumps(record))
    assert len(short(design, tmp_path / "run", photos).epochs) == 3
