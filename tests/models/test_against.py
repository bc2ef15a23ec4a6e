"""Two trained networks on the same images: `evaluate --against`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscale.cli.app import main
from autoscale.errors import InvalidSetting
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.models.inference.evaluation import evaluate_model
from tests.conftest import draw_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs and three networks of them, the last of another seed and so of another cut."""
    folder = tmp_path_factory.mktemp("against")
    photos = draw_photos(folder / "photos", count=30)
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    design = folder / "small.yaml"
    design.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    for name, epochs, resolution, seed in (
        ("one", 4, 16, 0),
        ("two", 1, 24, 0),
        ("apart", 1, 16, 1),
    ):
        train(
            str(design), folder / name, data=str(photos), epochs=epochs, batch_size=8, seed=seed,
            resolution=resolution, kernels="none",
        )  # fmt: skip
    return folder


def weights(folder: Path, name: str) -> str:
    return str(folder / name / "train" / "best.safetensors")


def test_each_network_answers_as_it_does_alone(folder: Path) -> None:
    photos = str(folder / "photos")
    one, two = weights(folder, "one"), weights(folder, "two")
    found = evaluate_model(one, photos, against=two)
    alone = evaluate_model(two, photos)
    assert found.against is not None
    assert found.against.accuracy == alone.accuracy
    paired = found.against.paired
    assert paired.images == found.images == len(found.right)
    assert paired.both == int((found.right & alone.right).sum())
    assert paired.lead == pytest.approx(found.accuracy - alone.accuracy)
    assert evaluate_model(one, photos).against is None


def test_a_network_beside_itself_is_tied_and_differs_nowhere(folder: Path) -> None:
    one = weights(folder, "one")
    found = evaluate_model(one, str(folder / "photos"), against=one).against
    assert found is not None
    assert (found.paired.own, found.paired.other, found.paired.standing) == (0, 0, "tied")


def test_a_network_that_was_trained_on_these_images_is_told_of(folder: Path) -> None:
    one, apart = weights(folder, "one"), weights(folder, "apart")
    found = evaluate_model(one, str(folder / "photos"), against=apart).against
    assert found is not None
    assert any("the accuracy flatters" in notice for notice in found.notices)


def test_the_command_says_who_is_ahead(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = weights(folder, "one"), weights(folder, "two")
    asked = ["evaluate", one, "--data", str(folder / "photos"), "--against", two]
    assert main(asked) == 0
    assert "95% interval" in " ".join(capsys.readouterr().out.split())
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["against"]
    assert told["network"] == two
    assert told["interval"][0] < told["lead"] < told["interval"][1]


def test_what_has_no_weights_is_refused(folder: Path) -> None:
    one = weights(folder, "one")
    with pytest.raises(InvalidSetting, match="has no weights"):
        evaluate_model(one, str(folder / "photos"), against=str(folder / "small.yaml"))
