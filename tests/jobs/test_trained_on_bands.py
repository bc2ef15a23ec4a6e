"""Networks of bands, from their images to their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoscale.datasets.data import load
from autoscale.datasets.pictures.measured import measured
from autoscale.datasets.pictures.preparation import OURS, ours
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import AutoscaleError, DataProblem, InvalidSetting, RunConflict
from autoscale.jobs.family.job import write_family
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.starts.job import try_weights
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.models.count import count
from autoscale.models.export import export
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.inference.predict import predict
from autoscale.models.load import load_model
from autoscale.network.build import build
from autoscale.network.weights import STYLES
from autoscale.runs.weights import Header, read_weights, write_weights
from tests.conftest import Heard
from tests.datasets.arrays import draw_arrays

COLOUR = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(Stage(width=8, expand_ratio=2, stride=2),),
    head=Head(width=16),
    num_classes=2,
)
DESIGN = replace(COLOUR, channels=6)
SPACE = """
name: bands
resolution: 16
channels: 6
stem: {width: 8}
stages:
  - {block: mbconv, width: [8, 16], depth: [1, 2], kernel: 3, expand_ratio: 2, stride: 2}
head: {width: 16}
"""


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(draw_arrays(tmp_path_factory.mktemp("bands") / "arrays"))


def written(folder: Path, design: Architecture = DESIGN) -> str:
    path = folder / f"of-{design.channels}.yaml"
    path.write_text(design.to_yaml())
    return str(path)


def short(folder: Path, data: str, **options: object) -> Trained:
    asked = {"epochs": 2, "batch_size": 8, "kernels": "torch"} | options
    listener = asked.pop("listener", None)
    design = asked.pop("design", None) or written(folder)
    return train(design, folder / "run", data=data, listener=listener, **asked)  # type: ignore[arg-type]


def test_what_is_measured_of_the_training_images_stays_with_the_network(
    arrays: str, tmp_path: Path
) -> None:
    heard = Heard()
    found = short(tmp_path, arrays, listener=heard)
    images = load(arrays, size=16, preparation=ours(6))
    mean, deviation, _ = measured(images.train.pixels)
    assert read_weights(found.weights).header.preparation == replace(
        ours(6), mean=mean, deviation=deviation
    )
    settings = json.loads((tmp_path / "run" / "train" / "settings.json").read_text())["settings"]
    assert settings["expects"]["mean"] == list(mean)
    assert any("of the training images: mean" in line for line in heard.notices)
    # Other images are prepared as these.
    model = load_model(str(found.weights))
    assert model.preparation.mean == mean
    evaluated = evaluate_model(model, data=arrays, split="validation")
    assert evaluated.accuracy == found.best.accuracy


def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(
    arrays: str, tmp_path: Path
) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = short(tmp_path / "whole", arrays)
    with pytest.raises(KeyboardInterrupt):
        short(tmp_path / "broken", arrays, listener=Heard(stop_after=1))
    broken = short(tmp_path / "broken", arrays)
    assert whole.weights.read_bytes() == broken.weights.read_bytes()


def test_a_training_with_another_mean_is_another_one(arrays: str, tmp_path: Path) -> None:
    short(tmp_path, arrays, epochs=1)
    with pytest.raises(RunConflict, match="--mean"):
        short(tmp_path, arrays, epochs=1, mean="0.4", deviation="0.2")


def test_means_that_are_given_are_not_measured(arrays: str, tmp_path: Path) -> None:
    given = "0.1,0.2,0.3,0.4,0.5,0.6"
    found = short(tmp_path, arrays, epochs=1, mean=given, deviation="0.2")
    known = read_weights(found.weights).header.preparation
    assert known is not None
    assert known.mean == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert known.deviation == (0.2,) * 6


def test_of_pictures_mean_and_deviation_are_measured_when_that_is_asked(
    photos: Path, tmp_path: Path
) -> None:
    design = written(tmp_path, COLOUR)
    found = short(tmp_path, str(photos), epochs=1, mean="measured", design=design)
    mean, deviation, _ = measured(load(str(photos), size=16).train.pixels)
    known = read_weights(found.weights).header.preparation
    assert known == replace(OURS, mean=mean, deviation=deviation)


@pytest.mark.parametrize("area", ["padded", "squashed"])
def test_the_area_stays_with_the_network_and_another_one_is_told(
    photos: Path, tmp_path: Path, area: str
) -> None:
    design = written(tmp_path, COLOUR)
    found = short(tmp_path, str(photos), epochs=1, area=area, design=design)
    assert load_model(str(found.weights)).preparation.area == area
    (note,) = load_model(str(found.weights), area="centre-square").notes
    assert f"bilinear resizing, centre-square, and not as {found.weights} says" in note
    assert note.endswith(area)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mean": "0.1,0.2"}, "is of 2 bands, and the network takes 6 channels"),
        ({"mean": "0.1,0.2,0.3"}, "give both --mean and --deviation, or --mean measured"),
        ({"mean": "0.1,0.2,0.3", "deviation": "0.2"}, "mean must be 6 numbers or one"),
        ({"mean": "measured", "deviation": "0.2"}, "leave one of them out"),
        ({"mean": "0.5,0.4", "deviation": "0.1,0.2,0.3,0.4"}, "deviation must be 2 numbers or one"),
    ],
)
def test_numbers_for_other_channels_are_refused_before_work(
    arrays: str, tmp_path: Path, options: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        short(tmp_path, arrays, **options)
    assert not (tmp_path / "run").exists()


def test_nothing_is_measured_without_a_training(arrays: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="--mean measured is for trainings"):
        evaluate_model(written(tmp_path), data=arrays, mean="measured")


@pytest.mark.parametrize(
    ("channels", "data", "said"),
    [(6, "photos", "no array of bands"), (6, "synthetic", "in colour or grey"),
     (3, "arrays", "takes 3 channels; .* channels: 6"), (5, "arrays", "of 6 bands")],
)  # fmt: skip
def test_images_that_the_network_does_not_take_are_refused(
    channels: int, data: str, said: str, arrays: str, photos: Path, tmp_path: Path
) -> None:
    named = {"photos": str(photos), "arrays": arrays}
    design = written(tmp_path, replace(DESIGN, channels=channels))
    with pytest.raises(DataProblem, match=said):
        short(tmp_path, named.get(data, data), design=design)


# Weights and teachers


def colour_weights(folder: Path) -> str:
    torch.manual_seed(0)
    header = Header(
        architecture=COLOUR.to_dict(), style=STYLES["autoscale"], preparation=OURS,
        classes=("bright", "dark"),
    )  # fmt: skip
    path = folder / "colour.safetensors"
    write_weights(path, build(COLOUR).state_dict(), header)
    return str(path)


def test_weights_for_colours_begin_a_network_of_bands(arrays: str, tmp_path: Path) -> None:
    file = colour_weights(tmp_path)
    found = train(written(tmp_path), tmp_path / "run", data=arrays, weights=file, freeze="features")
    stem = read_weights(found.weights).state["stem.0.weight"]
    own = read_weights(file).state["stem.0.weight"]
    assert torch.allclose(stem, own.sum(1, keepdim=True).expand(-1, 6, -1, -1) / 6)
    assert found.best.accuracy == 1.0


def test_weights_for_bands_do_not_begin_a_network_of_others(arrays: str, tmp_path: Path) -> None:
    bands = short(tmp_path, arrays, epochs=1)
    for channels in (3, 5):
        design = written(tmp_path, replace(DESIGN, channels=channels))
        with pytest.raises(AutoscaleError, match=r"images of 6 bands|another design"):
            short(tmp_path, arrays, design=design, weights=str(bands.weights))


def test_a_teacher_of_colours_teaches_no_network_of_bands(arrays: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="of 3 channels, and the networks take 6"):
        short(tmp_path, arrays, teacher=colour_weights(tmp_path))


def test_a_teacher_of_another_area_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="sees pictures centre-square, and the networks padd"):
        short(
            tmp_path,
            str(photos),
            design=written(tmp_path, COLOUR),
            teacher=colour_weights(tmp_path),
            area="padded",
        )


def test_networks_of_other_images_are_not_tried_together(arrays: str, tmp_path: Path) -> None:
    networks = (written(tmp_path), written(tmp_path, COLOUR))
    with pytest.raises(InvalidSetting, match=r"of 6 channels and of-3 of 3; .* one after the oth"):
        try_weights(
            colour_weights(tmp_path), tmp_path / "run", network=networks, data=arrays, epochs=1
        )


# Searches, families and files


def test_a_search_of_bands_gives_a_family_of_bands(arrays: str, tmp_path: Path) -> None:
    space = tmp_path / "bands.yaml"
    space.write_text(SPACE)
    run = tmp_path / "run"
    search_baseline(
        run, space=str(space), data=arrays, trials=2, epochs=1, confirm=1,
    )  # fmt: skip
    settings = json.loads((run / "search" / "settings.json").read_text())["settings"]
    assert len({*settings["expects"]["mean"]}) > 1
    grid_search(run, flops_budget="2x", max_candidates=1, epochs=None)
    family = write_family(run, phi="0..1", weights=colour_weights(tmp_path))
    assert all(member.architecture.channels == 6 for member in family.members)  # type: ignore[union-attr]
    for file in (run / "family").glob("*.safetensors"):
        known = read_weights(file).header.preparation
        assert known is not None
        assert known.channels == 6
        assert len({*known.mean}) > 1


def test_the_stem_of_bands_is_counted(tmp_path: Path) -> None:
    colour = count(written(tmp_path, COLOUR)).cost
    bands = count(written(tmp_path)).cost
    stem = 8 * 9  # numbers of a 3 x 3 kernel, by its width
    assert bands.params - colour.params == 3 * stem
    assert bands.macs - colour.macs == 3 * stem * 8 * 8


def test_files_of_a_network_of_bands_say_so(arrays: str, tmp_path: Path) -> None:
    found = short(tmp_path, arrays, epochs=1)
    export(str(found.weights), tmp_path / "out", formats=("python", "torch-export", "timm"))
    told = json.loads((tmp_path / "out" / "preparation.json").read_text())
    assert told["channel_order"] == [1, 2, 3, 4, 5, 6]
    assert len(told["mean"]) == len(told["deviation"]) == 6
    assert "background" not in told
    answer = json.loads((tmp_path / "out" / "reference.json").read_text())
    assert answer["picture"] == "reference.npy"
    values = np.load(tmp_path / "out" / "reference.npy")
    assert values.shape[2] == 6
    rows = predict(str(found.weights), [tmp_path / "out" / "reference.npy"]).table
    assert rows["class"][0] == answer["first"]["class"]
    assert rows["probability"][0] == pytest.approx(answer["first"]["probability"])
