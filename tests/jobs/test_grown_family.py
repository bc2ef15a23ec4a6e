"""A family whose members grow out of each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import autoscale
from autoscale.cli.app import main
from autoscale.cli.terminal import records
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.commands import commands
from autoscale.inspection.status import run_status
from autoscale.jobs.grown.result import GrownMember, first_as_good
from autoscale.jobs.nested.result import TrainedFamily
from autoscale.jobs.nested.settings import TrainFamilySettings
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.job_file import recorded_jobs
from autoscale.runs.store import StepFolder
from autoscale.runs.weights import read_weights
from autoscale.training.failures import OutOfTime
from autoscale.training.state import Epoch
from tests.conftest import Heard, draw_photos
from tests.families import (
    MEMBERS,
    family,
    kill_within,
    run_to_its_end,
    train_family_command,
)


def grown(run: Path, photos: Path, **options: Any) -> TrainedFamily:
    asked = {"epochs": 3, "batch_size": 8, "kernels": "torch", "recipe": "proxy", "grow": True}
    return autoscale.train_family(run, data=str(photos), **(asked | options))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return family(tmp_path / "run")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, TrainedFamily]:
    """A run whose family grew, its images, and the answer."""
    folder = tmp_path_factory.mktemp("grown")
    run, photos = family(folder / "run"), draw_photos(folder / "photos")
    return run, photos, grown(run, photos)


def test_each_member_has_a_file_of_its_own_and_a_row_of_what_was_measured(
    trained: tuple[Path, Path, TrainedFamily],
) -> None:
    run, _, found = trained
    assert [member.name for member in found.members] == MEMBERS
    assert len((run / "grown" / "members.csv").read_text().splitlines()) == 4
    told = records(found.table)
    assert told == [member.to_dict() for member in found.members]
    assert {type(one["overtakes_after"]) for one in told} <= {int, type(None)}
    first, *others = found.members
    assert isinstance(first, GrownMember)
    assert (first.begins_at, first.overtakes_after) == (None, None)
    for member in others:
        assert isinstance(member, GrownMember)
        assert member.begins_at is not None
        assert (member.epochs, member.seconds > 0) == (3, True)
        weights = read_weights(run / "grown" / member.name / "best.safetensors")
        assert weights.header.accuracy == member.validation_accuracy
        assert weights.header.architecture["resolution"] == member.pixels
    assert found.largest.weights == run / "grown" / "phi-2" / "best.safetensors"


def test_growth_is_what_train_does_with_the_weights_of_the_member_before(
    trained: tuple[Path, Path, TrainedFamily], tmp_path: Path
) -> None:
    run, photos, found = trained
    alone = autoscale.train(
        run / "family" / "phi-2.yaml", tmp_path / "alone", data=str(photos), epochs=3,
        batch_size=8, kernels="torch", recipe="proxy",
        weights=str(run / "grown" / "phi-1" / "best.safetensors"),
    )  # fmt: skip
    assert alone.weights.read_bytes() == found.largest.weights.read_bytes()
    assert alone.result == found.largest.result


def test_a_member_of_as_many_pixels_begins_exactly_where_the_one_before_ended(
    tmp_path: Path, photos: Path
) -> None:
    run = family(tmp_path / "run", rule="2,1.25,1")
    found = grown(run, photos)
    assert [member.pixels for member in found.members] == [12, 12, 12]
    assert len({member.params for member in found.members}) == 3
    for before, member in zip(found.members, found.members[1:], strict=False):
        assert isinstance(member, GrownMember)
        assert member.begins_at == before.validation_accuracy


def same_bytes(one: Path, other: Path) -> None:
    """All members' weights are the same; of their state all but how long the epochs took."""
    for name in MEMBERS:
        pair = [run / "grown" / name for run in (one, other)]
        best, results = ([f / n for f in pair] for n in ("best.safetensors", "result.json"))
        assert best[0].read_bytes() == best[1].read_bytes(), name
        assert results[0].read_bytes() == results[1].read_bytes(), name
        first, second = (read_snapshot(folder / "last.safetensors") for folder in pair)
        assert first is not None
        assert second is not None
        assert all(torch.equal(t, second.tensors[key]) for key, t in first.tensors.items())


@pytest.mark.parametrize("after", [2, 4])
def test_a_growth_that_was_interrupted_goes_on_to_the_same_bytes(
    trained: tuple[Path, Path, TrainedFamily], tmp_path: Path, after: int
) -> None:
    whole, photos, found = trained
    broken = family(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        grown(broken, photos, listener=Heard(stop_after=after))
    (status,) = [step for step in run_status(broken).steps if step.step == "grown"]
    assert (status.state, status.done, status.asked) == ("unfinished", after, 9)
    again = grown(broken, photos)
    same_bytes(whole, broken)
    assert [m.validation_accuracy for m in again.members] == [
        m.validation_accuracy for m in found.members
    ]
    assert grown(broken, photos, listener=Heard(stop_after=1)) == again


@pytest.mark.slow
def test_a_growth_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path, photos: Path) -> None:
    whole, broken = family(tmp_path / "whole"), family(tmp_path / "broken")
    run_to_its_end(train_family_command(whole, photos, "--grow"))
    second = broken / "grown" / "phi-1" / "epochs.jsonl"
    kill_within(train_family_command(broken, photos, "--grow"), second)
    run_to_its_end(train_family_command(broken, photos, "--grow"))
    same_bytes(whole, broken)


def test_a_family_that_gains_a_larger_member_grows_on(run: Path, photos: Path) -> None:
    before = grown(run, photos, epochs=1)
    family(run, phi="3")
    heard = Heard()
    found = grown(run, photos, epochs=1, listener=heard)
    assert found.members[:3] == before.members
    assert [member.name for member in found.members] == [*MEMBERS, "phi-3"]
    assert len(heard.done) == 1


def test_grown_members_have_epochs_and_a_rate_of_their_own(run: Path, photos: Path) -> None:
    found = grown(run, photos, epochs=2, grown_epochs=1, grown_learning_rate=0.001)
    assert [m.epochs for m in found.members if isinstance(m, GrownMember)] == [2, 1, 1]
    recipes = [
        json.loads((run / "grown" / name / "settings.json").read_text())["settings"]["recipe"]
        for name in MEMBERS
    ]
    assert [recipe["learning_rate"] for recipe in recipes][1:] == [0.001, 0.001]
    assert recipes[0]["learning_rate"] != 0.001
    with pytest.raises(RunConflict, match="--grown-epochs 1 there, asked for --grown-epochs 3"):
        grown(run, photos, epochs=2, grown_epochs=3, grown_learning_rate=0.001)


def test_another_growth_in_its_place_is_refused_and_changes_nothing(
    run: Path, photos: Path
) -> None:
    grown(run, photos, epochs=1)
    before = (run / "grown" / "settings.json").read_bytes()
    with pytest.raises(RunConflict, match="--seed 0 there, asked for --seed 1"):
        grown(run, photos, epochs=1, seed=1)
    with pytest.raises(RunConflict, match="--epochs 1 there, asked for --epochs 2"):
        grown(run, photos, epochs=2)
    assert (run / "grown" / "settings.json").read_bytes() == before


def test_what_cannot_grow_is_refused_before_anything_is_trained(
    tmp_path: Path, photos: Path
) -> None:
    with pytest.raises(InvalidSetting, match=r"the family of .* has phi-1 alone; write more with"):
        grown(family(tmp_path / "one", phi="1"), photos)
    run = tmp_path / "other"
    autoscale.write_family(
        run, phi="0..1", baseline="resnet-18", coefficients="1.2,1.1,1.15", resolution=32
    )
    with pytest.raises(InvalidSetting, match="member phi-0"):
        grown(run, photos)
    assert not (run / "grown").exists()
    with pytest.raises(InvalidSetting, match="--grown-epochs 2 needs --grow"):
        TrainFamilySettings(grown_epochs=2)


def test_a_limit_of_time_is_one_of_all_members(run: Path, photos: Path) -> None:
    with pytest.raises(OutOfTime, match=r"seconds were over before phi-1|the training was at"):
        grown(run, photos, epochs=1, time_limit=1e-9)


def test_images_and_regularisation_may_grow_within_each_member(run: Path, photos: Path) -> None:
    options: dict[str, Any] = {"epochs": 4, "start_size": 0.5, "start_regularisation": 0.5}
    with pytest.raises(KeyboardInterrupt):
        grown(run, photos, **options, listener=Heard(stop_after=6))
    found = grown(run, photos, **options)
    whole = family(run.parent / "whole")
    assert [m.validation_accuracy for m in grown(whole, photos, **options).members] == [
        m.validation_accuracy for m in found.members
    ]
    same_bytes(whole, run)


def test_the_command_answers_and_leaves_a_job_that_repeats_it(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-family", "--run", str(run), "--data", str(photos), "--epochs", "1", "--grow",
             "--batch-size", "8", "--kernels", "none", "--recipe", "proxy"]  # fmt: skip
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [member["name"] for member in told["members"]] == MEMBERS
    assert main(words) == 0
    assert "grown/NAME/best.safetensors" in "".join(capsys.readouterr().out.split())
    (job,) = recorded_jobs(StepFolder(run, "grown"), TrainFamilySettings)
    assert (job.data, job.epochs, job.grow) == (str(photos), 1, True)
    assert any("train-family" in line and "--grow" in line for _, line in commands(run))
    (status,) = [step for step in run_status(run).steps if step.step == "grown"]
    assert (status.state, status.done, status.asked) == ("finished", 3, 3)


def test_the_first_epoch_as_good_is_found() -> None:
    epochs = [Epoch(n, 1.0, share, 1.0) for n, share in enumerate((0.2, 0.6, None, 0.5), start=1)]
    assert first_as_good(epochs, 0.5) == 2
    assert first_as_good(epochs, 0.7) is None
