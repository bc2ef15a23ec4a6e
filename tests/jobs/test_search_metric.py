"""`search-baseline --metric`, and the steps after it: what they go by and what they call it."""

from __future__ import annotations

import json
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.status import run_status
from autoscale.jobs.check import check_baseline
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.calibrate import calibrate_w
from autoscale.jobs.search.result import load_baseline, load_proxy
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.metrics.choice import MetricChoice
from tests.conftest import Heard
from tests.jobs.as_a_worker import scores_of_a_worker

COMMAND = [
    "--data", "synthetic", "--limit", "64", "--space", "tiny", "--resolution", "16", "--sampler",
    "random", "--kernels", "none", "--trials", "4", "--epochs", "1", "--metric", "auroc",
]  # fmt: skip


def search(run: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"metric": "auroc", "trials": 4, "epochs": 1, **options}
    return autoscale.search_baseline(
        run, data="synthetic", limit=64, space="tiny", resolution=16, sampler="random",
        kernels="none", **settings,
    )  # fmt: skip


def lines(run: Path) -> list[dict[str, Any]]:
    """The journal without times."""
    records = [json.loads(line) for line in (run / "search/trials.jsonl").read_text().splitlines()]
    for record in records:
        for name in ("seconds", "cpu_seconds", "epoch_cpu_seconds"):
            record["score"].pop(name)
    return records


def judge(metric: str, *, epochs: int = 1) -> Proxy:
    return Proxy(
        source=ImageSource(data="synthetic", limit=64),
        recipe=recipe_named("proxy", epochs=epochs),
        chosen=MetricChoice.named(metric),
    ).load(size=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search by the area under the curve."""
    folder = tmp_path_factory.mktemp("metric") / "run"
    search(folder)
    return folder


@pytest.fixture(scope="module")
def whole(run: Path) -> Path:
    """The same run, checked and grown."""
    check_baseline(run, networks=2, seeds=2)
    grid_search(run, flops_budget="1.5x", max_candidates=2, seeds=1)
    return run


def test_the_metric_decides_and_is_kept_beside_accuracy(run: Path) -> None:
    scores = [line["score"] for line in lines(run)]
    table = pd.read_csv(run / "search/trials.csv")
    assert [*table.auroc] == [score["quality"] for score in scores]
    assert [*table.accuracy] == [score["accuracy"] for score in scores]
    assert [*table.auroc] != [*table.accuracy]
    found = load_baseline(run)
    assert found.trial.score is not None
    assert found.judged == (found.trial.score.quality,)
    assert found.accuracies == (found.trial.score.accuracy,)
    kept = json.loads((run / "search/baseline.json").read_text())
    assert kept["qualities"] == list(found.judged)


def test_no_other_network_of_the_front_is_as_good_and_cheaper(run: Path) -> None:
    table = pd.read_csv(run / "search/trials.csv")
    for row in table[table.on_front].itertuples():
        assert not ((table.auroc >= row.auroc) & (table.macs < row.macs)).any()


def test_trainings_are_those_of_a_search_by_accuracy(run: Path, tmp_path: Path) -> None:
    search(tmp_path / "plain", metric="accuracy")
    plain = lines(tmp_path / "plain")
    assert all("quality" not in line["score"] for line in plain)
    assert [line["score"]["accuracy"] for line in plain] == [
        line["score"]["accuracy"] for line in lines(run)
    ]
    record = json.loads((tmp_path / "plain/search/settings.json").read_text())["settings"]
    assert "metric" not in record
    assert load_proxy(tmp_path / "plain").chosen.usual
    assert "auroc" not in pd.read_csv(tmp_path / "plain/search/trials.csv")


def test_a_broken_search_goes_on_by_its_metric_and_by_no_other(run: Path, tmp_path: Path) -> None:
    search(tmp_path / "run", trials=1)
    with pytest.raises(RunConflict, match="--metric auroc there, asked for --metric accuracy"):
        search(tmp_path / "run", metric="accuracy")
    search(tmp_path / "run")
    assert lines(tmp_path / "run") == lines(run)


def test_workers_know_the_metric(run: Path) -> None:
    kept, again = scores_of_a_worker(run)
    assert again == kept
    assert all(score.quality is not None for score in again)


@pytest.mark.slow
def test_worker_processes_know_the_metric(run: Path, tmp_path: Path) -> None:
    search(tmp_path / "run", workers=2, trials=2)
    own = {json.dumps(line["params"]): line["score"] for line in lines(run)}
    for line in lines(tmp_path / "run"):
        assert own[json.dumps(line["params"])] == line["score"]


def test_a_candidate_scores_what_the_same_training_scores(tmp_path: Path) -> None:
    space = load_space("tiny").for_task(resolution=16, num_classes=10)
    proxy = judge("macro-f1")
    classes = len(proxy.images.classes)
    design = replace(space.architecture_at((0,) * len(space.parameters)), num_classes=classes)
    (tmp_path / "design.yaml").write_text(design.to_yaml())
    trained = train(
        str(tmp_path / "design.yaml"), tmp_path / "run", data="synthetic", limit=64, epochs=1,
        recipe="proxy", kernels="none", metric="macro-f1",
    )  # fmt: skip
    score = train_and_score(proxy, design, seed=0)
    assert score.quality == trained.best.score
    assert score.accuracy == trained.best.accuracy
    assert score.judged == score.quality


def test_rungs_are_told_the_share_that_decides() -> None:
    proxy = judge("log-loss", epochs=2)
    space = load_space("tiny").for_task(resolution=16, num_classes=len(proxy.images.classes))
    told: list[tuple[int, float]] = []

    def look(epochs: int, share: float) -> bool:
        told.append((epochs, share))
        return True

    network = space.architecture_at((0,) * len(space.parameters))
    score = train_and_score(proxy, network, seed=0, measurement=Measurement(rungs=(1,), look=look))
    assert told == [(1, score.quality)]
    assert 0 < told[0][1] < 1
    metric = proxy.metric
    assert metric is not None
    assert exp(-metric.of_quality(told[0][1])) == pytest.approx(told[0][1])


def test_the_check_and_the_grid_go_by_it_and_name_it(whole: Path) -> None:
    check = json.loads((whole / "check/check.json").read_text())
    assert (check["metric"], check["quality"]) == ("auroc", "AUROC")
    journal = (whole / "check/trainings.jsonl").read_text().splitlines()
    kept = [json.loads(line)["score"]["quality"] for line in journal]
    assert kept == [*check["baseline"], *check["random"]]
    grid = pd.read_csv(whole / "grid/grid.csv")
    assert {"auroc", "auroc_sd", "estimate"} <= set(grid)
    assert not [name for name in grid if "accuracy" in name]
    assert "auroc" in pd.read_csv(whole / "grid/rivals.csv")
    journal = (whole / "grid/trainings.jsonl").read_text().splitlines()
    scores = [json.loads(line)["score"]["quality"] for line in journal]  # one a candidate
    assert sorted(grid.auroc.dropna()) == pytest.approx(sorted(scores))
    picked = json.loads((whole / "grid/coefficients.json").read_text())
    assert picked["auroc"] == pytest.approx(grid.auroc[0])
    assert "accuracy" not in picked
    assert "differences and scatter are of AUROC" in picked["verdict"]


def test_every_answer_of_the_commands_names_it(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--run", str(whole)]
    commands = {
        "AUROC 0.": ["search-baseline", *run, *COMMAND],
        "test images by AUROC: baseline 0.": ["check-baseline", *run, "--networks", "2", "--seeds",
                                              "2"],
        "suggest of the AUROC, its interval": ["grid", *run, "--flops-budget", "1.5x",
                                               "--max-candidates", "2", "--seeds", "1"],
        "baseline: trial": ["status", str(whole)],
    }  # fmt: skip
    for said, command in commands.items():
        assert main(command) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert said in out, out
        assert "auroc" in out.lower()


def test_status_gives_machines_the_metrics_name(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (searched,) = (step for step in run_status(whole).steps if step.step == "search")
    assert searched.facts["baseline"].judged == load_baseline(whole).judged[0]
    assert main(["status", str(whole), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["steps"][0]["facts"]["baseline"]
    assert set(told) == {"trial", "auroc", "macs"}


def test_the_page_names_it_wherever_numbers_stand(whole: Path, tmp_path: Path) -> None:
    design = whole / "search/baseline.yaml"
    for name, metric in (("same", "auroc"), ("other", "accuracy")):
        train(
            str(design), tmp_path / name, data="synthetic", limit=64, epochs=1, kernels="none",
            metric=metric,
        )  # fmt: skip
    file = autoscale.write_report(whole, trained=[tmp_path / "same", tmp_path / "other"])
    text = file.read_text(encoding="utf-8")
    for title in (
        "AUROC against cost",
        "AUROC on validation images",
        "AUROC on test images",
        "estimated AUROC",
        "points of AUROC",
        "AUROC by way of growing",
        "The goal was the network of the best AUROC",
        "no other network is as good",
    ):
        assert title in text, title
    assert "Accuracy" not in text
    assert "estimated accuracy" not in text
    figures = json.loads(
        text.partition('type="application/json"')[2].partition(">")[2].partition("<")[0]
    )
    shown = figures["figures"]["scaling"]
    rows = [dict(zip(shown["columns"], row, strict=True)) for row in shown["rows"]]
    full = [row for row in rows if row["training"].startswith("in full")]
    told = json.loads((tmp_path / "same/train/result.json").read_text())
    assert [row["AUROC"] for row in full] == [round(told["validation_quality"], 4)]


def test_what_a_doubling_buys_is_learnt_of_accuracy_alone(run: Path) -> None:
    with pytest.raises(InvalidSetting, match="was judged by AUROC, and what a doubling of cost"):
        calibrate_w(run)


def test_a_step_after_the_search_takes_no_other_metric(run: Path) -> None:
    with pytest.raises(InvalidSetting, match="has decided --metric"):
        grid_search(run, flops_budget="1.5x", metric="macro-f1")


def test_published_rivals_are_compared_by_accuracy_alone(run: Path) -> None:
    with pytest.raises(InvalidSetting, match="is compared by accuracy, and networks are judged by"):
        check_baseline(run, networks=2, seeds=2, reference=["efficientnet-lite0"])


def test_int8_networks_are_judged_by_accuracy_alone(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="in int8 are judged by accuracy, and --metric auroc"):
        search(tmp_path / "run", dtype="int8")


def test_a_grid_around_a_named_base_takes_a_metric(run: Path, tmp_path: Path) -> None:
    found = grid_search(
        tmp_path / "run", baseline=str(run / "search/baseline.yaml"), data="synthetic", limit=64,
        epochs=1, flops_budget="1.5x", max_candidates=2, seeds=1, metric="top-2",
    )  # fmt: skip
    assert found.quality.label == "top-2 accuracy"
    grid = pd.read_csv(tmp_path / "run/grid/grid.csv")
    assert grid.top_2.notna().any()
    record = json.loads((tmp_path / "run/grid/settings.json").read_text())["settings"]
    assert record["metric"] == {"name": "top-2"}


def test_confirmed_networks_are_chosen_by_it(tmp_path: Path) -> None:
    found = search(tmp_path / "run", confirm=2, trials=3)
    assert len(found.qualities) == 3
    (journal,) = (tmp_path / "run/search").glob("confirm-*.jsonl")
    assert len(journal.read_text().splitlines()) == 4
    assert found.trial.score is not None
    assert found.judged[0] == found.trial.score.quality
    again = [json.loads(line)["score"]["quality"] for line in journal.read_text().splitlines()]
    assert set(found.judged[1:]) <= set(again)


def test_a_search_is_told_when_it_learned_nothing(tmp_path: Path) -> None:
    hears = Heard()
    search(tmp_path / "run", metric="recall:" + judge("accuracy").images.classes[0], listener=hears)
    assert not [line for line in hears.notices if "nothing may have been learned" in line]
