"""Published networks beside the candidates of a check and a grid."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoscale.cli.app import main
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting
from autoscale.inspection.commands import step_commands
from autoscale.inspection.read_run import load_run
from autoscale.inspection.status import run_status
from autoscale.jobs.check import check_baseline
from autoscale.jobs.equal_cost import epochs_by_one
from autoscale.jobs.grid.plan import plan_grid
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.inheritance import Inheritance
from autoscale.jobs.reference.network import find_references
from autoscale.jobs.reference.result import Own, Reference, ReferenceScores, reference_table
from autoscale.jobs.reference.settings import ReferenceSettings, split_pixels
from autoscale.jobs.reference.training import EPOCHS, TRAININGS
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import load_proxy
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Silent
from autoscale.network.build import build
from autoscale.network.weights import STYLES
from autoscale.report.page import page
from autoscale.runs.store import StepFolder
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.search.objective import Score
from tests.conftest import Heard
from tests.designs import trained

#: Blocks that give no weights to other designs; a rival is the network itself.
SOURCE = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(
        Stage(block="fused-mbconv", width=8, expand_ratio=2),
        Stage(width=16, expand_ratio=2, stride=2),
    ),
    head=Head(width=16),
    num_classes=10,
)
#: What every check here is asked for.
CHECK: dict[str, Any] = {"networks": 2, "seeds": 2}
SHIFTED = Preparation(mean=(0.4, 0.5, 0.6), deviation=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that autoscale has trained on the synthetic shapes; they expect other pixels."""
    folder = tmp_path_factory.mktemp("source")
    held = read_weights(trained(SOURCE, folder))
    path = folder / "published.safetensors"
    header = replace(held.header, style=STYLES["tf"], preparation=SHIFTED)
    write_weights(path, held.state, header)
    return str(path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small search, to be copied."""
    run = tmp_path_factory.mktemp("searched")
    search_baseline(
        run, space="tiny", resolution=16, epochs=1, limit=96, sampler="random", kernels="none",
        trials=3,
    )  # fmt: skip
    return run


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Path:
    shutil.copytree(plain, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def plain(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search with a check that has no rival."""
    run = tmp_path_factory.mktemp("plain") / "run"
    shutil.copytree(searched, run)
    check_baseline(run, **CHECK)
    return run


@pytest.fixture(scope="module")
def checked(plain: Path, source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The check, with a rival later."""
    run = tmp_path_factory.mktemp("checked") / "run"
    shutil.copytree(plain, run)
    check_baseline(run, reference=(source,), **CHECK)
    return run


def lines_of(run: Path, step: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in (run / step / name).read_text().splitlines()]


def result_of(run: Path, step: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / step / name).read_text())
    return found


# The trainings


def test_a_rival_is_fine_tuned_from_its_weights_with_what_they_expect(
    checked: Path, source: str
) -> None:
    """Its accuracy is that of the parts put together by hand."""
    (plan,) = lines_of(checked, "check", EPOCHS)
    lines = lines_of(checked, "check", TRAININGS)
    proxy = load_proxy(checked)
    found = find_references(
        ReferenceSettings(reference=(source,)), resolution=16, classes=10, listener=Silent()
    )
    ready = replace(
        proxy,
        transfer=Transfer(start=found[0].start),
        recipe=recipe_named("finetune", epochs=plan["epochs"]),
    ).load(size=16, test=True)
    score = train_and_score(ready, SOURCE, seed=1000, measurement=Measurement(held_out=True))
    assert {line["key"].rpartition("/")[2] for line in lines} == {"1000", "1001"}
    first = next(line for line in lines if line["key"].endswith("/1000"))
    assert first["score"]["accuracy"] == score.accuracy
    assert first["score"]["inherited"] == 1.0
    assert first["score"]["macs"] == cost(SOURCE).macs
    assert ready.preparation == SHIFTED


def test_a_check_keeps_the_rival_and_what_it_was_compared_by(checked: Path) -> None:
    check = result_of(checked, "check", "check.json")
    (found,) = check["references"]
    (plan,) = lines_of(checked, "check", EPOCHS)
    scores = [line["score"] for line in lines_of(checked, "check", "trainings.jsonl")[:2]]
    aim = sum(score["cpu_seconds"] for score in scores) / 2
    assert plan["cpu_seconds_aimed_at"] == pytest.approx(aim)
    assert found["epochs"] == plan["epochs"] == epochs_by_one(aim, Score(**plan["first_epoch"]))
    assert found["name"] == "published"
    assert found["macs_ratio"] == pytest.approx(cost(SOURCE).macs / check["baseline_macs"])
    assert found["training_ratio"] == pytest.approx(found["cpu_seconds"] / aim)
    leads = [a - b for a, b in zip(check["baseline"], found["accuracies"], strict=True)]
    assert found["lead"] == pytest.approx(sum(leads) / 2)
    assert (found["seeds"], found["level"]) == (2, 0.95)
    assert len(check["each_random_macs"]) == len(check["random"])


def test_a_broken_check_goes_on_as_the_unbroken_one(
    run: Path, checked: Path, source: str, tmp_path: Path
) -> None:
    """It stops after the first training of the rival; the epochs that were decided stay."""
    for name in (EPOCHS, TRAININGS):
        shutil.copy(checked / "check" / name, run / "check" / name)
    (run / "check" / "check.json").unlink()
    trainings = run / "check" / TRAININGS
    trainings.write_text(trainings.read_text().splitlines(keepends=True)[0])
    plan = (run / "check" / EPOCHS).read_text()
    moved = str(shutil.copy(source, tmp_path / "moved.safetensors"))  # the same content
    found = check_baseline(run, reference=(moved,), **CHECK)
    kept = result_of(checked, "check", "check.json")
    assert [*found.references[0].scores.accuracies.values()] == kept["references"][0]["accuracies"]
    assert (run / "check" / EPOCHS).read_text() == plan
    before = trainings.read_text()
    assert len(before.splitlines()) == 2
    again = check_baseline(run, reference=(moved,), **CHECK)
    assert trainings.read_text() == before
    assert again == found


def test_an_interrupted_rival_is_trained_on_and_counted(
    run: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With one epoch the training by which they are counted is one of them.
    monkeypatch.setattr("autoscale.jobs.reference.training.epochs_by_one", lambda *_: 2)
    with pytest.raises(KeyboardInterrupt):
        check_baseline(run, listener=Heard(stop_after=1), reference=(source,), **CHECK)
    assert len(lines_of(run, "check", TRAININGS)) == 1
    status = next(step for step in run_status(run).steps if step.step == "check")
    assert (status.done, status.asked) == (5, 6)
    check_baseline(run, reference=(source,), **CHECK)
    status = next(step for step in run_status(run).steps if step.step == "check")
    assert (status.done, status.asked, status.state) == (6, 6, "finished")
    assert len(lines_of(run, "check", EPOCHS)) == 1


def test_a_finished_check_may_get_a_rival_and_lose_it(
    plain: Path, checked: Path, source: str, tmp_path: Path
) -> None:
    without, beside = (result_of(run, "check", "check.json") for run in (plain, checked))
    assert "references" not in without
    assert beside.pop("references")
    assert len(beside.pop("each_random_macs")) == CHECK["networks"]
    assert beside == without
    journals = [(run / "check" / "trainings.jsonl").read_bytes() for run in (plain, checked)]
    assert journals[0] == journals[1]
    (command,) = step_commands(StepFolder(checked, "check"))
    assert f"--rival {source}" in command
    shutil.copytree(checked, tmp_path / "run")
    check_baseline(tmp_path / "run", **CHECK)
    assert result_of(tmp_path / "run", "check", "check.json") == without


@pytest.mark.slow
def test_workers_give_the_scores_of_one_process(run: Path, checked: Path, source: str) -> None:
    shutil.copy(checked / "check" / EPOCHS, run / "check" / EPOCHS)
    found = check_baseline(run, reference=(source,), **CHECK, workers=2)
    kept = result_of(checked, "check", "check.json")
    assert [*found.references[0].scores.accuracies.values()] == kept["references"][0]["accuracies"]


def test_a_rival_whose_trainings_fail_costs_nobody_the_check(
    run: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale.jobs.reference.training.epochs_by_one", lambda *_: 1)
    into = Inheritance.into

    def breaks(self: Inheritance, *given: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Inheritance, "into", breaks)
    heard = Heard()
    found = check_baseline(run, reference=(source,), **CHECK, listener=heard)
    assert "its trainings failed (memory ran out)" in found.references[0].verdict
    assert any("published: memory ran out" in notice for notice in heard.notices)
    assert "memory ran out" in page(load_run(run))
    monkeypatch.setattr(Inheritance, "into", into)
    again = check_baseline(run, reference=(source,), **CHECK)
    assert again.references[0].accuracy is not None


# Epochs


@pytest.mark.parametrize(
    ("aim", "epochs"), [(0.1, 1), (5.0, 1), (6.4, 1), (6.6, 2), (9.0, 3), (21.0, 9)]
)
def test_epochs_are_those_that_cost_nearest_to_the_aim(aim: float, epochs: int) -> None:
    """Each takes 2 CPU-seconds; 3 are spent once."""
    first = Score(accuracy=0.5, macs=1, params=1, activations=1, cpu_seconds=5.0,
                  epoch_cpu_seconds=2.0)  # fmt: skip
    expected = min(range(1, 20), key=lambda n: abs(3 + 2 * n - aim))
    assert epochs_by_one(aim, first) in (epochs, expected)
    assert abs(3 + 2 * epochs_by_one(aim, first) - aim) == abs(3 + 2 * expected - aim)


def test_one_epoch_that_costs_more_is_trained_once_and_said_to(
    run: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale.jobs.reference.training.epochs_by_one", lambda *_: 1)
    found = check_baseline(run, reference=(source,), **CHECK)
    (plan,) = lines_of(run, "check", EPOCHS)
    lines = lines_of(run, "check", TRAININGS)
    assert found.references[0].scores.epochs == plan["epochs"] == 1
    assert lines[0]["score"] == plan["first_epoch"]
    assert len(lines) == 2


# Grid


def test_a_grid_compares_its_pick_and_shows_that(
    run: Path,
    source: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autoscale.jobs.reference.training.epochs_by_one", lambda *_: 1)
    options = ["grid", "--run", str(run), "--max-candidates", "2", "--seeds", "2", "--no-rivals",
               "--no-race", "--rival", f"{source}@20", "--rival", source]  # fmt: skip
    assert main([*options, "--json"]) == 0, capsys.readouterr().err
    told = json.loads(capsys.readouterr().out)
    small, usual = told["references"]
    field = {row["pixels"] for row in told["candidates"]}
    assert (small["pixels"], usual["pixels"]) == (20, max(field))
    assert small["seeds"] == 2
    assert result_of(run, "grid", "coefficients.json")["references"] == told["references"]
    status = next(step for step in run_status(run).steps if step.step == "grid")
    assert (status.done, status.asked) == (8, 8)
    before = (run / "grid" / TRAININGS).read_text()
    assert main(options) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Published networks, and the lead of the pick" in shown
    assert usual["verdict"][1:30] in shown
    assert (run / "grid" / TRAININGS).read_text() == before
    drawn = page(load_run(run))
    assert 'id="grid-published"' in drawn
    assert "fine-tuned for" in drawn


def test_a_plan_counts_rivals_and_trains_none(run: Path, source: str) -> None:
    heard = Heard()
    options: dict[str, Any] = {"max_candidates": 2, "seeds": 2}
    plain = plan_grid(run, **options)
    found = plan_grid(run, reference=(source,), listener=heard, **options)
    assert (plain.reference_trainings, found.reference_trainings) == (0, 2)
    assert found.trainings == plain.trainings
    assert any("beside them: published at" in notice for notice in heard.notices)
    assert not (run / "grid" / TRAININGS).exists()


def test_a_page_marks_the_rival_of_a_check(checked: Path) -> None:
    shown = page(load_run(checked))
    assert 'id="check-published"' in shown
    (found,) = result_of(checked, "check", "check.json")["references"]
    assert found["verdict"][1:40] in shown
    figures = shown.split('id="check-published"')[1].split("</figure>")[0]
    assert figures.count("mark diamond other") >= 1
    assert ">published<" in figures


# Refusals


def bad_rivals(tmp_path: Path, source: str) -> dict[str, tuple[str, str]]:
    held = read_weights(source)
    write_weights(tmp_path / "unknown.safetensors", held.state, Header())
    broken = {name: value * float("nan") for name, value in build(SOURCE).state_dict().items()
              if value.is_floating_point()}  # fmt: skip
    whole = build(SOURCE).state_dict() | broken
    write_weights(tmp_path / "nan.safetensors", whole, Header(architecture=SOURCE.to_dict()))
    content = Path(source).read_bytes()
    (tmp_path / "truncated.safetensors").write_bytes(content[: len(content) // 2])
    return {
        "unknown": ("unknown.safetensors", "does not tell which design its weights are of"),
        "nan": ("nan.safetensors", "stem.0.weight holds"),
        "truncated": ("truncated.safetensors", "is no readable safetensors file"),
        "missing": ("missing.safetensors", "no such file of weights"),
        "pixels": ("published.safetensors@2", "resolution must be at least 4 pixels"),
    }


@pytest.mark.parametrize("kind", ["unknown", "nan", "truncated", "missing", "pixels"])
@pytest.mark.parametrize("command", ["check-baseline", "grid"])
def test_rivals_that_cannot_be_are_refused_in_one_line_before_any_training(
    kind: str, command: str, searched: Path, source: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    shutil.copy(source, tmp_path / "published.safetensors")
    name, said = bad_rivals(tmp_path, source)[kind]
    assert main([command, "--run", str(run), "--rival", str(tmp_path / name)]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "--rival" in shown
    assert "Traceback" not in shown
    assert not [*run.glob("check/*.jsonl"), *run.glob("grid/*.jsonl")]


def test_a_rival_named_twice_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="named twice"):
        ReferenceSettings(reference=("a.pth@32", "a.pth@32"))


@pytest.mark.parametrize("text", ["@128", "a.pth@0", ""])
def test_what_names_no_rival_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="not a rival"):
        ReferenceSettings(reference=(text,))


@pytest.mark.parametrize(
    ("text", "source", "pixels"),
    [
        ("a/b.pth", "a/b.pth", None),
        ("a/b.pth@128", "a/b.pth", 128),
        ("hf:timm/lite0@main", "hf:timm/lite0@main", None),
        ("hf:timm/lite0@main@96", "hf:timm/lite0@main", 96),
    ],
)
def test_pixels_stand_behind_the_source(text: str, source: str, pixels: int | None) -> None:
    asked = split_pixels(text)
    assert (asked.source, asked.pixels) == (source, pixels)


def test_a_file_with_such_a_name_is_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net@128").touch()
    assert split_pixels("net@128").pixels is None


# What is said


def test_a_table_has_a_row_for_a_rival_without_scores() -> None:
    own = Own(name="the pick", macs=100, accuracies={0: 0.5, 1: 0.6}, training_cost=2.0, images=50)
    failed = ReferenceScores(
        name="a", pixels=16, macs=400, params=7, epochs=None, accuracies={}, training_cost=None,
        cause="memory ran out",
    )  # fmt: skip
    trained = replace(
        failed, epochs=3, accuracies={0: 0.4, 1: 0.5}, training_cost=3.0, cause="", name="b"
    )
    table = reference_table([Reference(scores=s, own=own) for s in (failed, trained)])
    assert table.network.tolist() == ["a", "b"]
    assert table.accuracy.isna().tolist() == [True, False]
    assert table.training_ratio[1] == 1.5
    assert table.lead[1] == pytest.approx(0.1)
    assert "not at equal training cost" in Reference(scores=trained, own=own).verdict
