"""Where weights come from, and under which terms, goes with everything that begins with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import InvalidSetting
from autoscale.jobs.train.job import train
from autoscale.models.export import export
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.load import load_model
from autoscale.network.build import build
from autoscale.network.weights import to_timm
from autoscale.runs.weights import read_weights
from tests.conftest import Heard
from tests.sources import COMMIT, hub_model

SMALL = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(Stage(width=8), Stage(width=16, expand_ratio=2, stride=2)),
    head=Head(width=16),
    num_classes=3,
)
SOURCE = "hf:someone/small"
CONFIG = {
    "architecture": "tf_efficientnet_small",
    "pretrained_cfg": {"mean": [0.4] * 3, "std": [0.2] * 3, "interpolation": "bicubic"},
}


@pytest.fixture
def design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A network, whose published weights lie in the hub's cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(3)
    state = to_timm(build(SMALL).state_dict())
    hub_model(tmp_path / "hub", "someone/small", state, config=CONFIG)
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.to_yaml())
    return str(path)


def test_origin_licence_and_what_is_expected_reach_the_card_and_the_next_training(
    design: str, photos: Path, tmp_path: Path
) -> None:
    heard, options = Heard(), {"data": str(photos), "epochs": 1, "kernels": "torch"}
    first = train(design, tmp_path / "a", weights=SOURCE, listener=heard, **options)  # type: ignore[arg-type]
    origin = f"{SOURCE}@{COMMIT}"
    assert any(f"the weights are {origin}; licence: apache-2.0" in line for line in heard.notices)
    header = read_weights(first.weights).header
    assert (header.origin, header.licence) == (origin, "apache-2.0")
    assert header.style is not None
    assert header.style.padding == "same"
    assert header.preparation is not None
    assert header.preparation.mean == (0.4, 0.4, 0.4)
    second = train(design, tmp_path / "b", weights=str(first.weights), **options)  # type: ignore[arg-type]
    assert read_weights(second.weights).header.origin == origin
    folder = tmp_path / "out"
    export(second.weights, folder, formats=("safetensors",))
    card = " ".join((folder / "MODEL_CARD.md").read_text().split())
    assert f"They began with hf:someone/small@{COMMIT}." in card
    assert "Licence of those: apache-2.0." in card
    assert read_weights(folder / "model.safetensors").header.licence == "apache-2.0"


def test_evaluate_and_export_take_the_same_sources_as_train(
    design: str, photos: Path, tmp_path: Path
) -> None:
    model = load_model(design, weights=SOURCE)
    assert (model.header.origin, model.style.padding) == (f"{SOURCE}@{COMMIT}", "same")
    assert evaluate_model(design, data=str(photos), weights=SOURCE, split="all").images
    export(design, tmp_path / "out", weights=SOURCE, formats=("safetensors",))
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "Not said by the weights. They are hf:someone/small@" in card


def test_a_source_that_has_moved_is_the_same_to_a_resumed_training(
    design: str, photos: Path, tmp_path: Path
) -> None:
    options = {"data": str(photos), "epochs": 1, "kernels": "torch"}
    first = train(design, tmp_path / "a", weights=SOURCE, **options)  # type: ignore[arg-type]
    held = tmp_path / "hub" / "models--someone--small" / "snapshots" / COMMIT
    moved = tmp_path / "moved"
    shutil.copytree(held, moved)
    again = train(design, tmp_path / "a", weights=str(moved / "model.safetensors"), **options)  # type: ignore[arg-type]
    assert again.result == first.result


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "no readable safetensors file"),
        (lambda file: (file.unlink(), file.mkdir()), "is a folder; name a file of weights in it"),
        (lambda file: file.rename(file.with_name("model.safetensors.index.json")),
         "no such file of weights"),
    ],
)  # fmt: skip
def test_files_that_hold_no_weights_are_refused_in_a_line_before_images_are_read(
    design: str, tmp_path: Path, spoil: object, message: str
) -> None:
    state = build(SMALL).state_dict()
    held = hub_model(tmp_path / "hub", "someone/other", to_timm(state))
    file = tmp_path / "model.safetensors"
    shutil.copy(held / "model.safetensors", file)
    spoil(file)  # type: ignore[operator]
    with pytest.raises(InvalidSetting, match=message) as refusal:
        train(design, tmp_path / "run", data="nowhere", weights=str(file))
    assert "\n" not in str(refusal.value)
