"""Trainings that begin with what another design has learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoscale.datasets.data import load
from autoscale.design.architecture import Architecture, Head, Stage
from autoscale.design.published import published
from autoscale.design.style import STYLES
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.inheritance import Inheritance, share_table
from autoscale.jobs.start import Start
from autoscale.jobs.train.settings import TrainSettings
from autoscale.network.build import build
from autoscale.network.inheritance.inherit import Share, inherit
from autoscale.network.naming import lukemelas_names
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.training.batches import to_input
from tests.conftest import Heard
from tests.jobs import test_train
from tests.jobs.test_train import short

SMALL = replace(test_train.SMALL, num_classes=3)
LARGE = replace(
    SMALL,
    resolution=32,
    stages=(SMALL.stages[0], replace(SMALL.stages[1], width=24, expand_ratio=3, kernel=5)),
    head=Head(width=24),
    num_classes=4,
)
FUSED = replace(SMALL, stages=(Stage(block="fused-mbconv", width=8),))


def written(path: Path, design: Architecture) -> str:
    path.write_text(design.to_yaml())
    return str(path)


@pytest.fixture
def small(tmp_path: Path) -> str:
    return written(tmp_path / "small.yaml", SMALL)


def weights(folder: Path, design: Architecture = LARGE, **header: object) -> str:
    """A file of weights of a design."""
    torch.manual_seed(7)
    path = folder / "large.safetensors"
    write_weights(path, build(design).state_dict(), Header(**header))  # type: ignore[arg-type]
    return str(path)


def begun(small: str, folder: Path, photos: Path, **options: object) -> tuple[Start, list[str]]:
    """What a training would start from, and what it says, without an epoch; for three classes."""
    settings = TrainSettings(network=small, data=str(photos), **options)  # type: ignore[arg-type]
    start = Start.of(settings, SMALL)
    images = load(str(photos), size=16, preparation=start.expected.preparation)
    torch.manual_seed(0)
    module = build(SMALL, **start.expected.style.options)
    notes = Inheritance(start, images, seed=0).into(module, SMALL).notes if start.held else ()
    torch.save(module.state_dict(), folder / "begun.pth")
    return start, [*start.notes, *notes]


def test_a_network_takes_over_weights_of_another_design_by_its_own_images(
    small: str, photos: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, architecture=LARGE.to_dict())
    _, notes = begun(small, tmp_path, photos, weights=path)
    images = load(str(photos), size=16)
    every = to_input(images.train.pixels, resolution=16)
    expected = inherit(
        read_weights(path).state, LARGE, SMALL, channels="rebuild", images=every, seed=0
    )
    found = read_weights(tmp_path / "begun.pth").state
    for name, value in expected.network.state_dict().items():
        assert torch.equal(found[name], value), name
    told = "\n".join(notes)
    assert "the weights are of another design, large.safetensors" in told
    assert "parameters" in told
    assert "stage 2 100%" in told
    assert "classifier   0%" in told
    assert "know 4 classes and the data 3" in told


def test_the_images_that_weights_are_taken_over_by_are_drawn_by_the_seed(
    photos: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, architecture=LARGE.to_dict())
    settings = TrainSettings(network="small.yaml", weights=path)
    start = Start.of(settings, SMALL)
    assert start.origin is not None
    start = replace(start, origin=replace(start.origin, images=5))
    images = load(str(photos), size=16)

    def drawn(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        module = build(SMALL)
        Inheritance(start, images, seed=seed).into(module, SMALL)
        return dict(module.state_dict())

    one, same, other = (drawn(seed) for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_large_source_is_watched_with_fewer_images(tmp_path: Path) -> None:
    path = weights(tmp_path, published("efficientnet-lite0"), classes=None)
    counts = []
    for side in (32, 224, 4000):
        start = Start.of(TrainSettings(network="x", weights=path), replace(SMALL, resolution=side))
        assert start.origin is not None
        counts.append(start.origin.images)
    assert counts[0] == 256
    assert 32 < counts[1] < 128
    assert counts[2] == 16


def test_a_broken_training_from_another_designs_weights_ends_as_the_unbroken_one(
    small: str, photos: Path, tmp_path: Path
) -> None:
    options = {
        "weights": weights(tmp_path, architecture=LARGE.to_dict()),
        "recipe": "finetune",
        "epochs": 2,
    }
    expected = short(small, tmp_path / "whole", photos, **options)
    with pytest.raises(KeyboardInterrupt):
        short(small, tmp_path / "broken", photos, listener=Heard(stop_after=1), **options)
    found = short(small, tmp_path / "broken", photos, **options)
    assert [(e.loss, e.accuracy) for e in found.epochs] == [
        (e.loss, e.accuracy) for e in expected.epochs
    ]
    one, other = (read_weights(trained.weights) for trained in (expected, found))
    assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
    assert "begun with weights of large.safetensors" in (one.header.provenance or "")
    settings = json.loads((tmp_path / "whole" / "train" / "settings.json").read_text())["settings"]
    assert len(settings["start"]) == 12
    assert settings["inherits"]["design"] == LARGE.to_dict()
    assert settings["inherits"]["channels"] == "rebuild"
    with pytest.raises(RunConflict, match=r"--weights .* there, asked for no --weights"):
        short(small, tmp_path / "broken", photos, recipe="finetune")


def test_classes_that_another_designs_weights_know_keep_their_rows(
    small: str, photos: Path, tmp_path: Path
) -> None:
    known = ("cat", "red", "dog", "blue")
    header = {"architecture": LARGE.to_dict(), "classes": known}
    path = weights(tmp_path, replace(LARGE, head=SMALL.head), **header)
    # As the header has another head than the weights, nobody knows whose they are.
    with pytest.raises(InvalidSetting, match=r"another network's: .*; if theirs is .*--weights-of"):
        begun(small, tmp_path, photos, weights=path)
    header["architecture"] = replace(LARGE, head=SMALL.head).to_dict()
    path = weights(tmp_path, replace(LARGE, head=SMALL.head), **header)
    _, notes = begun(small, tmp_path, photos, weights=path)  # blue, green, red
    theirs = read_weights(path).state["head.classifier.weight"]
    found = read_weights(tmp_path / "begun.pth").state["head.classifier.weight"]
    assert torch.equal(found[0], theirs[3])
    assert torch.equal(found[2], theirs[1])
    assert not any(torch.equal(found[1], row) for row in theirs)
    assert any("blue, red keep what the classifier knows" in note for note in notes)


def test_weights_that_do_not_say_whose_they_are_are_asked_for_and_checked(
    small: str, photos: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path)
    with pytest.raises(InvalidSetting, match=r"another network's: .*; if theirs is .*--weights-of"):
        begun(small, tmp_path, photos, weights=path)
    with pytest.raises(InvalidSetting, match="does not hold weights of efficientnet-lite0"):
        begun(small, tmp_path, photos, weights=path, weights_of="efficientnet-lite0")
    with pytest.raises(InvalidSetting, match="give the file as --weights"):
        begun(small, tmp_path, photos, weights_of="efficientnet-lite0")
    large = written(tmp_path / "large.yaml", LARGE)
    start, _ = begun(small, tmp_path, photos, weights=path, weights_of=large)
    assert start.origin is not None
    assert start.origin.architecture == LARGE


def test_weights_of_the_network_itself_are_taken_as_they_are(
    small: str, photos: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, SMALL)
    for said in (None, small):
        start, notes = begun(small, tmp_path, photos, weights=path, weights_of=said)
        assert start.origin is None
        assert "inherits" not in start.settings()
        found, theirs = (read_weights(file).state for file in (tmp_path / "begun.pth", path))
        assert all(torch.equal(found[name], theirs[name]) for name in theirs)
        assert len(notes) == 1  # of the classes


def test_blocks_that_cannot_give_weights_are_refused_before_images_are_read(
    small: str, tmp_path: Path
) -> None:
    path = weights(tmp_path, FUSED, architecture=FUSED.to_dict())
    with pytest.raises(
        InvalidSetting,
        match=r"another network's, large\.safetensors: stage 1 of the source has fused-mbconv "
        "blocks, and weights are inherited between mbconv, separable and mobilenet-v3 blocks only",
    ):
        Start.of(TrainSettings(network=small, data="nowhere", weights=path), SMALL)
    path = weights(tmp_path, architecture=LARGE.to_dict())
    with pytest.raises(InvalidSetting, match="stage 1 of the network has fused-mbconv blocks"):
        Start.of(TrainSettings(network="fused.yaml", weights=path), FUSED)


def test_published_weights_bring_what_they_expect_into_another_design(tmp_path: Path) -> None:
    lite = published("efficientnet-lite0")
    state = build(lite).state_dict()
    names = lukemelas_names(state)
    path = tmp_path / "lite.pth"
    torch.save({names[name]: value for name, value in state.items()}, path)
    start = Start.of(TrainSettings(network="small.yaml", weights=str(path)), SMALL)
    assert start.origin is not None
    assert start.origin.name == "efficientnet-lite0"
    assert start.expected.style == STYLES["tf"]
    assert start.expected.preparation.mean == (0.5, 0.5, 0.5)
    assert start.expected.preparation.deviation == (0.5, 0.5, 0.5)


def test_the_table_of_shares_fits_eighty_columns_and_rounds_no_part_up_to_whole() -> None:
    stages = [Share(f"stage {number}", 1000, 999) for number in range(1, 18)]
    shares = [Share("stem", 10, 10), *stages, Share("head", 5000, 0), Share("classifier", 90, 0)]
    lines = share_table(shares, "efficientnet-lite0").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("of 22,100 parameters 76% begin as efficientnet-lite0's")
    assert "stem 100%" in lines[1]
    assert "stage 1  99%" in lines[1]
    assert "head   0% classifier   0%" in lines[-1]


def test_a_learning_rate_that_is_given_takes_the_recipes_place(
    small: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSetting, match="learning_rate must be above 0, got 0"):
        short(small, tmp_path / "run", photos, learning_rate=0)
    short(small, tmp_path / "run", photos, epochs=1, learning_rate=0.02)
    file = tmp_path / "run" / "train" / "settings.json"
    assert json.loads(file.read_text())["settings"]["recipe"]["learning_rate"] == 0.02
    with pytest.raises(RunConflict, match=r"--learning-rate 0\.02 there"):
        short(small, tmp_path / "run", photos, epochs=1, learning_rate=0.03)
