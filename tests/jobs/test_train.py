import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoscale.datasets.data import load
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.published import published
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.inheritance import Begun, Inheritance
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.load import load_model
from autoscale.network.build import Network, build
from autoscale.network.weights import STYLES, to_timm
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.job_file import recorded_jobs
from autoscale.runs.store import StepFolder
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.failures import OutOfTime
from tests.conftest import Heard

SMALL = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, expand_ratio=1),
        Stage(width=16, expand_ratio=2, stride=2, depth=2),
    ),
    head=Head(width=16),
    num_classes=2,
)


@pytest.fixture
def design(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.to_yaml())
    return str(path)


def short(design: str, run: Path, photos: Path, **options: object) -> Trained:
    asked = {"epochs": 3, "batch_size": 8, "kernels": "torch", "drop_path": 0.2, "dropout": 0.1}
    return train(design, run, data=str(photos), **(asked | options))  # type: ignore[arg-type]


def test_a_training_leaves_metrics_a_result_and_weights_that_can_be_used(
    design: str, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = short(design, run, photos)
    assert len((run / "train" / "metrics.csv").read_text().splitlines()) == 4
    result = json.loads((run / "train" / "result.json").read_text())
    assert result["test_accuracy"] == found.test_accuracy
    assert result["validation_accuracy"] == max(e.accuracy or 0 for e in found.epochs)

    model = load_model(str(found.weights))
    assert model.num_classes == 3
    assert model.header.accuracy == found.best.accuracy
    images = load(str(photos), size=16)
    assert evaluate(model.network, images.validation, resolution=16) == found.best.accuracy
    assert images.test is not None
    assert evaluate(model.network, images.test, resolution=16) == found.test_accuracy


@pytest.mark.parametrize("recipe", ["proxy", "efficientnet", "sgd"])
def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(
    design: str, photos: Path, tmp_path: Path, recipe: str
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = short(design, whole, photos, recipe=recipe)
    with pytest.raises(KeyboardInterrupt):
        short(design, broken, photos, recipe=recipe, listener=Heard(stop_after=1))
    found = short(design, broken, photos, recipe=recipe)
    assert [(e.loss, e.accuracy) for e in found.epochs] == [
        (e.loss, e.accuracy) for e in expected.epochs
    ]
    assert found.test_accuracy == expected.test_accuracy
    one = read_snapshot(whole / "train" / "last.safetensors")
    other = read_snapshot(broken / "train" / "last.safetensors")
    assert one is not None
    assert other is not None
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    best = [read_weights(run / "train" / "best.safetensors").state for run in (whole, broken)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def test_memory_is_foretold_before_a_training(design: str, photos: Path, tmp_path: Path) -> None:
    listener = Heard()
    short(design, tmp_path / "run", photos, listener=listener)
    assert any("memory at the peak: about" in line for line in listener.notices)


def test_a_finished_training_is_not_done_again(design: str, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = short(design, run, photos)
    assert short(design, run, photos, listener=Heard(stop_after=1)) == found


def test_the_job_that_a_training_leaves_trains_the_same_network(
    design: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = short("small.yaml", tmp_path / "run", Path("photos"), epochs=1, mean=(0.5, 0.5, 0.5))
    (job,) = recorded_jobs(StepFolder(tmp_path / "run", "train"), TrainSettings)
    assert (job.network, job.data, job.threads) == (design, str(photos), 1)
    monkeypatch.chdir(photos)  # what is named holds in every working directory
    again = train(tmp_path / "again", job)
    assert again.result == found.result
    assert read_weights(again.weights).state.keys() == read_weights(found.weights).state.keys()


def test_other_threads_than_a_training_was_begun_with_are_told(
    design: str, photos: Path, tmp_path: Path
) -> None:
    for threads, told in ((1, []), (1, []), (2, ["threads 1 and goes on with 2"])):
        hears = Heard()
        short(design, tmp_path / "run", photos, epochs=1, threads=threads, listener=hears)
        lines = [line for line in hears.notices if "goes on with" in line]
        assert [line.partition("begun with ")[2].partition(";")[0] for line in lines] == told
    (job,) = recorded_jobs(StepFolder(tmp_path / "run", "train"), TrainSettings)
    assert job.threads == 2


def test_another_training_in_its_place_is_refused(
    design: str, photos: Path, tmp_path: Path
) -> None:
    short(design, tmp_path / "run", photos, epochs=1)
    with pytest.raises(RunConflict, match="--kernels torch there, asked for --kernels none"):
        short(design, tmp_path / "run", photos, epochs=1, kernels="none")


def test_a_damaged_checkpoint_is_named(design: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        short(design, tmp_path / "run", photos, listener=Heard(stop_after=1))
    (tmp_path / "run" / "train" / "last.safetensors").write_bytes(b"torn")
    with pytest.raises(RunConflict, match=r"last\.safetensors holds no training to go on with"):
        short(design, tmp_path / "run", photos)


def test_the_learning_rate_follows_the_batch_size(
    design: str, photos: Path, tmp_path: Path
) -> None:
    short(design, tmp_path / "run", photos, epochs=1, batch_size=16)
    settings = json.loads((tmp_path / "run" / "train" / "settings.json").read_text())["settings"]
    recipe = settings["recipe"]
    assert recipe["batch_size"] == 16
    assert recipe["learning_rate"] == pytest.approx(0.1 / 4)


def test_a_published_network_loses_strides_for_small_images_and_says_so(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    found = short("mnasnet-a1", tmp_path / "run", photos, epochs=1, resolution=16, listener=heard)
    assert "reduction 32 becomes 4" in " ".join(heard.notices)
    model = load_model(str(found.weights))
    assert model.architecture is not None
    assert model.architecture.reduction == 4
    assert published("mnasnet-a1").reduction == 32


def test_a_design_of_its_own_size_is_trained_as_it_is(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    strided = replace(SMALL, resolution=8)  # a last map of 2 x 2
    path.write_text(strided.to_yaml())
    found = short(str(path), tmp_path / "run", photos, epochs=1)
    model = load_model(str(found.weights))
    assert model.architecture == replace(strided, num_classes=3)


def test_wrong_settings_are_refused_before_anything_is_written(
    design: str, photos: Path, tmp_path: Path
) -> None:
    for options, message in (
        ({"recipe": "best"}, "no recipe 'best'"),
        ({"device": "warp"}, "cannot use the device 'warp'"),
        ({"kernels": "fast"}, "no kernels 'fast'"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
    ):
        with pytest.raises(InvalidSetting, match=message):
            short(design, tmp_path / "run", photos, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_train_one_network(design: str, photos: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", "29671", "-m", "--",
        "autoscale", "train", design, "--data", str(photos), "--epochs", "2", "--batch-size", "8",
        "--kernels", "torch",
        "--device", "cpu", "--json",
    ]  # fmt: skip
    answers, states = [], []
    for name in ("one", "two"):
        done = subprocess.run(
            [*command, "--run", str(tmp_path / name)],
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
        states.append(read_weights(tmp_path / name / "train" / "best.safetensors").state)
    assert answers[0]["epochs"] == 2
    assert answers[0]["test_accuracy"] == answers[1]["test_accuracy"]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert len((tmp_path / "one" / "train" / "metrics.csv").read_text().splitlines()) == 3


def test_a_training_may_start_from_weights_and_learn_other_classes(
    photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(SMALL.to_yaml())
    start = tmp_path / "start.safetensors"
    torch.manual_seed(7)
    earlier = build(SMALL).state_dict()  # two classes
    write_weights(start, earlier, Header(architecture=SMALL.to_dict()))
    heard = Heard()
    slow = {"epochs": 1, "recipe": "sgd", "batch_size": 2, "listener": heard}
    begun = short(str(path), tmp_path / "run", photos, weights=str(start), **slow)
    assert "know 2 classes and the network 3" in " ".join(heard.notices)
    fresh = short(str(path), tmp_path / "fresh", photos, **slow)
    moved, other = (read_weights(found.weights).state for found in (begun, fresh))
    name = "stem.0.weight"
    assert (moved[name] - earlier[name]).norm() < (other[name] - earlier[name]).norm() / 2
    with pytest.raises(RunConflict, match="--weights"):
        short(str(path), tmp_path / "run", photos, **slow)


def test_weights_of_timms_names_keep_their_padding_and_epsilon(
    photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.to_yaml())
    start = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    write_weights(start, to_timm(build(SMALL, padding="same").state_dict()), Header())
    with pytest.raises(InvalidSetting, match="add --style tf"):
        short(str(path), tmp_path / "run", photos, epochs=8, weights=str(start))
    found = short(str(path), tmp_path / "run", photos, epochs=8, weights=str(start), style="tf")
    model = load_model(str(found.weights))
    assert model.style.padding == "same"
    assert model.preparation.mean == (0.485, 0.456, 0.406)
    assert evaluate_model(model, str(photos), split="validation").accuracy == found.best.accuracy


def test_weights_of_another_network_are_refused(design: str, photos: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    wide = replace(SMALL, head=Head(width=24))
    write_weights(start, build(wide).state_dict(), Header())
    with pytest.raises(InvalidSetting, match="the weights are another network's"):
        short(design, tmp_path / "run", photos, weights=str(start))


def test_a_training_over_its_time_keeps_what_it_has(
    design: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutOfTime, match="after 1e-06 seconds; allow more"):
        short(design, tmp_path / "run", photos, time_limit=1e-6)
    with pytest.raises(InvalidSetting, match="time_limit must be above 0"):
        short(design, tmp_path / "run", photos, time_limit=0)
    limited = short(design, tmp_path / "run", photos, time_limit=3600)
    assert limited.epochs[-1].loss == short(design, tmp_path / "free", photos).epochs[-1].loss


#: The second process alone would never be over its time.
HASTE = """\
import os, sys
from autoscale.cli.app import main
sys.exit(main([*sys.argv[1:], "--time-limit", "15" if os.environ["RANK"] == "0" else "3600"]))
"""


@pytest.mark.slow
def test_two_processes_stop_together_when_the_time_of_one_is_over(
    design: str, photos: Path, tmp_path: Path
) -> None:
    script = tmp_path / "haste.py"
    script.write_text(HASTE)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", "29673", "--", str(script),
        "train", design, "--data", str(photos), "--batch-size", "8", "--epochs", "100000",
        "--kernels", "torch", "--device", "cpu", "--run", str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("autoscale: ")]
    assert len(said) == 1, done.stderr
    assert "after 15 seconds; allow more, or fewer epochs" in said[0]
    # Processes end by themselves with our status, or torchrun ends the slower one (SIGTERM) when it
    # sees the first gone; none falls over another's end.
    ends = dict(re.findall(r"rank +: (\d) .*\n +exitcode +: (-?\d+) ", done.stderr))
    assert "1" in ends.values()
    assert set(ends.values()) <= {"1", "-15"}
    assert "RuntimeError" not in done.stderr
    kept = read_snapshot(tmp_path / "run" / "train" / "last.safetensors")
    assert kept is not None
    assert kept.epochs


def start_of(folder: Path, classes: tuple[str, ...], **header: object) -> Path:
    """Weights of a design whose classifier knows these classes."""
    path = folder / "start.safetensors"
    torch.manual_seed(7)
    design = replace(SMALL, num_classes=len(classes))
    state = build(design).state_dict()
    write_weights(path, state, Header(classes=classes, **header))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("classes", "kept", "said"),
    [
        (("blue", "green", "red"), {0: 0, 1: 1, 2: 2}, None),
        (("red", "blue", "green"), {0: 1, 1: 2, 2: 0}, "keep what the classifier knows of them"),
        (("cat", "green", "dog"), {1: 1}, "new and to be trained: blue, red"),
        (("cat", "dog", "cow"), {}, "know other classes (cat, dog, cow); the classifier is new"),
        (("red", "cat"), {2: 0}, "red keeps what the classifier knows"),
    ],
)
def test_rows_of_the_classifier_go_on_by_name_and_others_start_anew(
    design: str, photos: Path, tmp_path: Path, classes: tuple[str, ...], kept: dict[int, int],
    said: str | None, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    begun: list[dict[str, torch.Tensor]] = []
    put = Inheritance.into

    def noted(inheritance: Inheritance, module: Network, architecture: Architecture) -> Begun:
        fresh = module.head.classifier.weight.detach().clone()  # type: ignore[union-attr]
        beginning = put(inheritance, module, architecture)
        found = module.head.classifier.weight.detach().clone()  # type: ignore[union-attr]
        begun.append({"fresh": fresh, "found": found})
        return beginning

    monkeypatch.setattr(Inheritance, "into", noted)
    start, heard = start_of(tmp_path, classes), Heard()
    short(design, tmp_path / "run", photos, epochs=1, weights=str(start), listener=heard)
    theirs = read_weights(start).state["head.classifier.weight"]
    ((fresh, found),) = [tuple(each.values()) for each in begun]
    for row in range(3):
        expected = theirs[kept[row]] if row in kept else fresh[row]
        assert torch.equal(found[row], expected)
    lines = [line for line in heard.notices if "classif" in line]
    assert len(lines) == (said is not None)
    assert said is None or said in lines[0]


def test_nameless_weights_of_as_many_classes_go_on_in_order_and_that_is_said(
    photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "three.yaml"
    path.write_text(replace(SMALL, num_classes=3).to_yaml())
    start = tmp_path / "start.pth"
    torch.save(build(replace(SMALL, num_classes=3)).state_dict(), start)
    heard = Heard()
    short(str(path), tmp_path / "run", photos, epochs=1, weights=str(start), listener=heard)
    assert any("in the data's order, blue, green, red" in line for line in heard.notices)


@pytest.mark.parametrize("kernels", ["torch", "none"])
def test_a_broken_training_from_tensorflows_weights_ends_as_the_unbroken_one(
    design: str, photos: Path, tmp_path: Path, kernels: str
) -> None:
    said = {"style": STYLES["tf"], "preparation": Preparation(mean=(0.4, 0.5, 0.6))}
    options = {
        "kernels": kernels, "interpolation": "bicubic",
        "weights": str(start_of(tmp_path, ("a", "b"), **said)),
    }  # fmt: skip
    expected = short(design, tmp_path / "whole", photos, **options)
    with pytest.raises(KeyboardInterrupt):
        short(design, tmp_path / "broken", photos, listener=Heard(stop_after=1), **options)
    found = short(design, tmp_path / "broken", photos, **options)
    assert [(e.loss, e.accuracy) for e in found.epochs] == [
        (e.loss, e.accuracy) for e in expected.epochs
    ]
    one, other = (read_weights(trained.weights) for trained in (expected, found))
    assert all(torch.equal(value, other.state[name]) for name, value in one.state.items())
    assert one.header == other.header
    with pytest.raises(RunConflict, match="--interpolation bicubic there"):
        short(design, tmp_path / "broken", photos, **{**options, "interpolation": "bilinear"})


def test_a_run_that_was_begun_with_other_padding_than_it_says_is_refused_by_name(
    design: str, photos: Path, tmp_path: Path
) -> None:
    """Earlier versions recorded the weights' style, and trained with autoscale's."""
    run = tmp_path / "run"
    options = {"epochs": 1, "weights": str(start_of(tmp_path, ("a", "b"))), "style": "tf"}
    short(design, run, photos, **options)
    path = run / "train" / "settings.json"
    content = json.loads(path.read_text())
    content["settings"]["style"] = {"padding": "same", "norm_eps": 1e-3}
    del content["settings"]["expects"]
    path.write_text(json.dumps(content))
    with pytest.raises(RunConflict, match="style"):
        short(design, run, photos, **options)


def test_the_state_of_a_training_is_no_start(design: str, photos: Path, tmp_path: Path) -> None:
    short(design, tmp_path / "run", photos, epochs=1)
    last = tmp_path / "run" / "train" / "last.safetensors"
    with pytest.raises(InvalidSetting, match=r"name best\.safetensors beside it"):
        short(design, tmp_path / "other", photos, weights=str(last))
    assert not (tmp_path / "other").exists()
