"""A family trained in one set of weights, and the networks that are cut out of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import autoscale
from autoscale.cli.app import main
from autoscale.errors import (
    AutoscaleError,
    BudgetUnreachable,
    DataProblem,
    InvalidSetting,
    RunConflict,
)
from autoscale.inspection.commands import commands
from autoscale.inspection.status import run_status
from autoscale.jobs.nested.result import TrainedFamily
from autoscale.jobs.nested.settings import TrainFamilySettings
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.load import load_model
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.job_file import recorded_jobs
from autoscale.runs.store import StepFolder
from autoscale.runs.weights import read_weights
from autoscale.training.recipe import RECIPES
from tests.conftest import Heard, draw_photos
from tests.families import (
    BASE,
    RULE,
    family,
    kill_within,
    run_to_its_end,
    train_family_command,
)


def together(run: Path, photos: Path, **options: Any) -> TrainedFamily:
    asked = {"epochs": 3, "batch_size": 8, "kernels": "torch", "recipe": "proxy"}
    return autoscale.train_family(run, data=str(photos), **(asked | options))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return family(tmp_path / "run")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, TrainedFamily]:
    """A run whose family was trained together, its images, and the answer."""
    folder = tmp_path_factory.mktemp("together")
    run, photos = family(folder / "run"), draw_photos(folder / "photos")
    return run, photos, together(run, photos)


def test_a_family_leaves_a_table_of_its_members_and_weights_that_can_be_used(
    run: Path, photos: Path
) -> None:
    heard = Heard()
    found = together(run, photos, listener=heard)
    assert [member.name for member in found.members] == ["phi-0", "phi-1", "phi-2"]
    assert [member.pixels for member in found.members] == [12, 16, 16]
    assert len((run / "nested" / "members.csv").read_text().splitlines()) == 4
    assert len((run / "nested" / "metrics.csv").read_text().splitlines()) == 4
    model = load_model(found.largest.weights)
    assert model.architecture is not None
    assert model.resolution == 16
    largest = found.members[-1]
    assert largest.validation_accuracy == found.largest.best.accuracy
    assert largest.test_accuracy == found.largest.test_accuracy
    assert [progress.done for progress in heard.done] == [1, 2, 3]
    assert heard.done[0].seconds_left is not None


def test_members_evaluate_as_inside_the_weights_of_all(
    trained: tuple[Path, Path, TrainedFamily],
) -> None:
    run, photos, found = trained
    for member in found.members:
        cut = autoscale.cut(run, member=member.name)
        assert cut.trained == member
        held = evaluate_model(cut.weights, data=str(photos), split="validation")
        assert held.accuracy == member.validation_accuracy
        assert member.test_accuracy is not None
        assert evaluate_model(cut.weights, data=str(photos)).accuracy == member.test_accuracy
        own, whole = read_weights(cut.weights).state, read_weights(found.largest.weights).state
        for name, tensor in own.items():
            if "running" not in name:
                assert torch.equal(tensor, whole[name][tuple(map(slice, tensor.shape))])


def test_members_with_other_shortcuts_share_their_weights(tmp_path: Path, photos: Path) -> None:
    first = replace(BASE.stages[0], width=9)
    base = replace(BASE, stages=(first, *BASE.stages[1:]))
    run = family(tmp_path / "run", phi="0..1", rule="1,1.4,1", base=base)
    found = together(run, photos, epochs=1)
    cut = autoscale.cut(run, member="phi-0")
    own, whole = (read_weights(file).state for file in (cut.weights, found.largest.weights))
    one, other = "stages.0.0.project.0.weight", "stages.0.0.branch.project.0.weight"
    assert own[one].shape[0] == 9
    assert whole[other].shape[0] == 12  # as wide as the stem, so that the block adds its input
    assert torch.equal(own[one], whole[other][:9, : own[one].shape[1]])
    held = evaluate_model(cut.weights, data=str(photos))
    assert held.accuracy == found.members[0].test_accuracy


def test_a_cut_network_is_one_for_the_other_commands(
    trained: tuple[Path, Path, TrainedFamily], tmp_path: Path
) -> None:
    run, photos, _ = trained
    cut = autoscale.cut(run, member="phi-1", output=tmp_path / "one.safetensors")
    assert cut.weights == tmp_path / "one.safetensors"
    header = read_weights(cut.weights).header
    assert header.provenance is not None
    assert header.provenance.startswith("autoscale cut, phi-1 out of autoscale train-family")
    assert header.accuracy == cut.trained.validation_accuracy
    assert autoscale.export(cut.weights, tmp_path / "out", formats=["python"]).files
    further = autoscale.train(
        run / "family" / "phi-1.yaml", tmp_path / "further", data=str(photos),
        weights=str(cut.weights), epochs=1, batch_size=8, kernels="none",
    )  # fmt: skip
    assert further.weights.exists()


def test_a_cut_gives_the_same_bytes_again(
    trained: tuple[Path, Path, TrainedFamily], tmp_path: Path
) -> None:
    run = trained[0]
    one = autoscale.cut(run, max_cost=["macs=1M"], output=tmp_path / "one.safetensors")
    other = autoscale.cut(run, max_cost=["macs=1M"], output=tmp_path / "other.safetensors")
    assert one.weights.read_bytes() == other.weights.read_bytes()


def test_a_limit_gives_the_largest_design_between_members(
    trained: tuple[Path, Path, TrainedFamily],
) -> None:
    run, photos, found = trained
    small, middle, large = (member.macs for member in found.members)
    assert autoscale.cut(run, max_cost=[f"macs={large}"]).name == "phi-2"
    assert autoscale.cut(run, max_cost=[f"macs={middle}"]).macs <= middle
    between = autoscale.cut(run, max_cost=[f"macs={large - 1}"])
    assert middle < between.macs < large
    assert 1 < between.phi < 2
    assert between.trained is None
    assert between.weights.name == f"phi-{between.phi:g}.safetensors"
    held = evaluate_model(between.weights, data=str(photos))
    assert held.accuracy >= 0
    assert autoscale.cut(run, max_cost=[f"macs={small}"]).name == "phi-0"


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"max_cost": ["macs=10"]}, BudgetUnreachable, "at most 10 multiply-adds; the smallest, p"),
        ({"max_cost": ["latency=5ms"]}, InvalidSetting, "latency is measured on a device"),
        (
            {"member": "phi-7"},
            InvalidSetting,
            "no member 'phi-7' was trained; choose from phi-0",
        ),
        ({}, InvalidSetting, "say which network is to be cut"),
        ({"member": "phi-0", "max_cost": ["macs=1M"]}, InvalidSetting, "exclude each other"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    trained: tuple[Path, Path, TrainedFamily],
    options: dict[str, Any],
    kind: type[AutoscaleError],
    why: str,
) -> None:
    with pytest.raises(kind, match=why):
        autoscale.cut(trained[0], **options)


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors", ""])
def test_the_weights_of_the_family_are_not_written_over(
    trained: tuple[Path, Path, TrainedFamily], name: str
) -> None:
    folder = trained[0] / "nested"
    before = (folder / "best.safetensors").read_bytes()
    with pytest.raises(InvalidSetting, match=r"whole family|is a folder"):
        autoscale.cut(trained[0], member="phi-0", output=folder / name)
    assert (folder / "best.safetensors").read_bytes() == before


def test_weights_of_another_network_in_their_place_are_refused(
    trained: tuple[Path, Path, TrainedFamily], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    own = autoscale.cut(run, member="phi-0")
    shutil.copy(own.weights, run / "nested" / "best.safetensors")
    with pytest.raises(RunConflict, match="does not hold phi-2"):
        autoscale.cut(run, member="phi-0")


def test_a_member_cut_before_the_end_is_no_stranger(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        together(run, photos, listener=Heard(stop_after=1))
    assert main(["cut", "--run", str(run), "--member", "phi-0"]) == 0
    assert "its training is not finished" in " ".join(capsys.readouterr().out.split())


def test_nothing_is_cut_before_a_training(run: Path) -> None:
    with pytest.raises(InvalidSetting, match="begin with: autoscale train-family --run"):
        autoscale.cut(run, member="phi-0")


def test_images_that_have_changed_are_refused(run: Path, photos: Path) -> None:
    together(run, photos, epochs=1)
    for picture in (photos / "red").glob("0*.png"):
        picture.unlink()
    with pytest.raises(DataProblem, match="not those that the family was trained on"):
        autoscale.cut(run, member="phi-0")


def test_a_run_without_a_family_says_how_to_write_one(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-family", "--run", str(tmp_path / "none"), "--data", str(photos)]) == 2
    assert "holds no family; write one with: autoscale family --run" in " ".join(
        capsys.readouterr().err.split()
    )


def test_members_that_do_not_nest_are_named(tmp_path: Path, photos: Path) -> None:
    run = family(tmp_path / "run", rule="1,0.8,1.6")
    with pytest.raises(RunConflict, match="phi-0 does not nest in phi-2: its stem has a w"):
        together(run, photos)
    assert not (run / "nested").exists()


def test_a_family_of_one_is_refused(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(RunConflict, match="at least 2 members, this one 1"):
        together(family(tmp_path / "run", phi="1"), photos)


def test_several_processes_are_refused(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidSetting, match="in one process, torchrun started 2"):
        together(run, photos)


def same_bytes(one: Path, other: Path) -> None:
    """Weights and results are the same; of the state all but how long the epochs took."""
    for name in ("best.safetensors", "result.json", "members.csv"):
        assert (one / "nested" / name).read_bytes() == (other / "nested" / name).read_bytes(), name
    last = [read_snapshot(run / "nested" / "last.safetensors") for run in (one, other)]
    assert last[0] is not None
    assert last[1] is not None
    assert last[0].tensors.keys() == last[1].tensors.keys()
    assert all(torch.equal(t, last[1].tensors[name]) for name, t in last[0].tensors.items())


@pytest.mark.parametrize("step", ["one", "sandwich"])
@pytest.mark.parametrize("recipe", ["proxy", "full", "small-images"])
def test_a_training_that_was_interrupted_goes_on_to_the_same_bytes(
    tmp_path: Path, photos: Path, recipe: str, step: str
) -> None:
    whole, broken = family(tmp_path / "whole"), family(tmp_path / "broken")
    together(whole, photos, recipe=recipe, each_step=step)
    with pytest.raises(KeyboardInterrupt):
        together(broken, photos, recipe=recipe, each_step=step, listener=Heard(stop_after=1))
    assert run_status(broken).steps[-1].state == "unfinished"
    together(broken, photos, recipe=recipe, each_step=step)
    same_bytes(whole, broken)


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path, photos: Path) -> None:
    whole, broken = family(tmp_path / "whole"), family(tmp_path / "broken")
    run_to_its_end(train_family_command(whole, photos))
    kill_within(train_family_command(broken, photos), broken / "nested" / "epochs.jsonl")
    run_to_its_end(train_family_command(broken, photos))
    same_bytes(whole, broken)


def test_another_training_in_its_place_is_refused(run: Path, photos: Path) -> None:
    together(run, photos, epochs=1)
    with pytest.raises(RunConflict, match="--seed 0 there, asked for --seed 1"):
        together(run, photos, epochs=1, seed=1)
    family(run, phi="3")
    with pytest.raises(
        RunConflict, match="phi-0, phi-1, phi-2, and the family has phi-0, phi-1, p"
    ):
        together(run, photos, epochs=1)


def test_a_training_that_is_finished_is_not_done_again(run: Path, photos: Path) -> None:
    found = together(run, photos)
    assert together(run, photos, listener=Heard(stop_after=1)) == found


@pytest.mark.parametrize(("step", "epochs"), [("one", 6), ("sandwich", 4)])
def test_it_takes_epochs_by_the_recipe_if_none_are_asked_for(
    run: Path, photos: Path, step: str, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale.jobs.nested.job.SHARE", 0.5)  # of three members
    assert RECIPES["proxy"].epochs == 4
    found = together(run, photos, epochs=None, each_step=step)
    assert len(found.largest.epochs) == epochs


def test_epochs_of_a_recipe_of_ones_own_are_kept(run: Path, photos: Path) -> None:
    found = together(run, photos, epochs=None, set=("epochs=2",))
    assert len(found.largest.epochs) == 2


def test_a_step_of_another_kind_is_another_training(run: Path, photos: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        together(run, photos, listener=Heard(stop_after=1))
    with pytest.raises(RunConflict, match="--each-step one there, asked for --each-step sandw"):
        together(run, photos, each_step="sandwich")
    with pytest.raises(InvalidSetting, match="no each step 'all'; choose from one, sandwich"):
        together(run, photos, each_step="all")
    with pytest.raises(InvalidSetting, match="sandwich and --grow exclude each other"):
        together(run, photos, each_step="sandwich", grow=True)


def test_the_weights_beside_the_largest_member_are_what_all_begin_with(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    first = autoscale.train(
        run / "family" / "phi-2.yaml", tmp_path / "first", data=str(photos), epochs=1,
        batch_size=8, kernels="none",
    )  # fmt: skip
    autoscale.write_family(
        run, phi="0..2", baseline=str(run / "base.yaml"), coefficients=RULE,
        rounding="nearest,divisor=2", weights=str(first.weights), data=str(photos),
    )  # fmt: skip
    heard = Heard()
    together(run, photos, epochs=1, listener=heard)
    assert any("phi-2 begins with the weights that family wrote" in line for line in heard.notices)
    (run / "family" / "phi-2.safetensors").unlink()
    with pytest.raises(RunConflict, match=r"phi-2\.safetensors, with which .* was begun, is gone"):
        together(run, photos, epochs=1)


def test_the_command_answers_and_leaves_a_job_that_repeats_it(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-family", "--run", str(run), "--data", str(photos), "--epochs", "1",
             "--batch-size", "8", "--kernels", "none", "--recipe", "proxy"]  # fmt: skip
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [member["name"] for member in told["members"]] == ["phi-0", "phi-1", "phi-2"]
    assert main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 epoch, each image once in each by one member -> " in shown
    assert "autoscale cut --run" in shown
    assert main(["cut", "--run", str(run), "--member", "phi-0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained"] == told["members"][0]
    assert main(["cut", "--run", str(run), "--limit", "macs=10"]) == 1
    assert "raise the limit" in " ".join(capsys.readouterr().err.split())
    (job,) = recorded_jobs(StepFolder(run, "nested"), TrainFamilySettings)
    assert (job.data, job.epochs) == (str(photos), 1)
    assert any(line.startswith("autoscale train-family") for _, line in commands(run))
    (status,) = [step for step in run_status(run).steps if step.step == "nested"]
    assert (status.state, status.done, status.asked) == ("finished", 1, 1)
