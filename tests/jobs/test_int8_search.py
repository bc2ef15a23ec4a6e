"""Searches and grids whose networks are scored in int8, from the text of a command to its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.design.space import SearchSpace
from autoscale.devices.boards import load_board
from autoscale.errors import InvalidArchitecture, InvalidSetting, RunConflict
from autoscale.jobs.check import check_baseline
from autoscale.jobs.costs import hold_to_board
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.result import load_baseline, load_proxy
from autoscale.jobs.search.spaces import space_names
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.models.quantized import in_loop
from autoscale.models.quantized.in_loop import in_int8, require_int8_design, require_int8_space
from autoscale.search.objective import Score
from tests.conftest import Heard
from tests.designs import two_stages
from tests.jobs.as_a_worker import scores_of_a_worker

SPACE = """\
name: mixed
resolution: 16
stem: {width: 8}
stages:
  - op: [{block: mbconv, expand_ratio: 2}, {block: convnext}]
    width: [8, 16]
num_classes: 3
"""


def search(run: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"dtype": "int8", "trials": 3, "epochs": 2, **options}
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


def by_design(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {json.dumps(line["params"]): line["score"] for line in lines}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search in int8."""
    folder = tmp_path_factory.mktemp("int8") / "run"
    search(folder)
    return folder


def test_both_accuracies_are_kept_and_int8_is_what_counts(run: Path) -> None:
    scores = [Score(**line["score"]) for line in lines(run)]
    assert all(score.accuracy_float is not None for score in scores)
    assert any(score.accuracy_float != score.accuracy for score in scores)
    table = pd.read_csv(run / "search/trials.csv")
    assert [*table.accuracy] == [score.accuracy for score in scores]
    assert [*table.accuracy_float] == [score.accuracy_float for score in scores]
    baseline = load_baseline(run)
    assert baseline.trial.score is not None
    assert baseline.accuracies == (baseline.trial.score.accuracy,)
    assert baseline.accuracies_float == (baseline.trial.score.accuracy_float,)


def test_trained_it_is_the_network_of_the_search_in_float(run: Path, tmp_path: Path) -> None:
    search(tmp_path / "float", dtype="float32")
    floats = [line["score"] for line in lines(tmp_path / "float")]
    assert all("accuracy_float" not in score for score in floats)
    assert [s["accuracy"] for s in floats] == [s["score"]["accuracy_float"] for s in lines(run)]


def test_a_broken_search_goes_on_to_the_same_bits_and_not_in_float(
    run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    search(copy, trials=1)
    with pytest.raises(RunConflict, match=r"--dtype int8 there, asked for --dtype float32"):
        search(copy, dtype="float32")
    search(copy)
    assert lines(copy) == lines(run)


def test_a_worker_scores_in_int8(run: Path) -> None:
    kept, again = scores_of_a_worker(run)
    assert again == kept
    assert all(score.accuracy_float is not None for score in again)


@pytest.mark.slow
def test_workers_give_the_scores_of_one_process(run: Path, tmp_path: Path) -> None:
    search(tmp_path / "run", workers=2)  # which may be done in another order
    assert by_design(lines(tmp_path / "run")) == by_design(lines(run))


def test_what_comes_after_the_search_is_scored_as_it_was(run: Path) -> None:
    assert load_proxy(run).dtype == "int8"
    found = check_baseline(run, networks=2, seeds=2)
    assert len(found.baseline_float) == 2
    kept = json.loads((run / "check/check.json").read_text())
    assert kept["random_float"] == list(found.random_float)
    grid = grid_search(run, flops_budget="1.5x", max_candidates=2, rivals=False, seeds=1)
    assert grid.table.accuracy_float.notna().any()
    assert "accuracy_float" in pd.read_csv(run / "grid/grid.csv")
    assert "accuracy_float" in json.loads((run / "grid/coefficients.json").read_text())
    told = json.loads((run / "grid/settings.json").read_text())["settings"]
    assert told["dtype"] == "int8"


def test_page_and_command_show_both(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--run", str(run)]) == 0
    assert "accuracy in float" in (run / "report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    command = ["search-baseline", "--run", str(run), "--data", "synthetic", "--limit", "64",
               "--space", "tiny", "--resolution", "16", "--sampler", "random", "--kernels", "none",
               "--dtype", "int8", "--trials", "3", "--epochs", "2"]  # fmt: skip
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "in int8 (" in told
    assert "accuracy_float" in told


def test_a_stopped_training_is_not_quantised(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(
        source=ImageSource(data="synthetic", limit=48),
        recipe=recipe_named("proxy", epochs=2),
        dtype="int8",
    ).load(size=16)
    network = SearchSpace.from_yaml(SPACE).architecture_at((0, 0))
    network = replace(network, num_classes=len(proxy.images.classes))
    whole, stopped = (
        train_and_score(
            proxy,
            network,
            seed=0,
            measurement=Measurement(rungs=(1,), look=lambda epochs, accuracy, stop=stop: stop),
        )
        for stop in (False, True)
    )
    assert whole.accuracy_float is not None
    assert stopped.accuracy_float is None


def test_a_space_with_a_block_that_has_no_int8_is_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mixed.yaml"
    file.write_text(SPACE)
    run = str(tmp_path / "run")
    command = ["search-baseline", "--run", run, "--space", str(file), "--dtype", "int8"]
    assert main(command) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "stage1.op of the space 'mixed' may be convnext" in told
    assert "the convnext block of stage 1 has a layer norm, which LiteRT lacks" in told
    assert not (tmp_path / "run/search/trials.jsonl").exists()


def test_every_shipped_space_can_be_searched_in_int8() -> None:
    from autoscale.jobs.search.spaces import space_text

    for name in space_names():
        require_int8_space(SearchSpace.from_yaml(space_text(name)))


def test_a_base_without_int8_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InvalidArchitecture, match="convnext-tiny has no int8 network: the stem"):
        grid_search(run, baseline="convnext-tiny", data="synthetic", dtype="int8")
    with pytest.raises(InvalidSetting, match="is code of your own"):
        require_int8_design(object(), name="own:build")


def test_a_grid_may_be_scored_in_int8_where_its_search_was_not(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(two_stages(10))
    options: dict[str, Any] = {"data": "synthetic", "limit": 48, "epochs": 1, "seeds": 1,
                               "max_candidates": 2, "rivals": False}  # fmt: skip
    found = grid_search(tmp_path / "a", baseline=str(file), dtype="int8", **options)
    assert found.table.accuracy_float.notna().any()
    plain = grid_search(tmp_path / "b", baseline=str(file), **options)
    assert "accuracy_float" not in plain.table


def test_a_board_and_the_numbers_that_are_scored() -> None:
    heard, board = Heard(), load_board("nano-33-ble-sense")
    hold_to_board(board, "int8", heard)
    assert heard.notices == []
    hold_to_board(board, "float32", heard)
    assert "--dtype int8 scores what the board will run" in heard.notices[0]
    hold_to_board(replace(board, flash=None, ram=None), "float32", heard)
    assert len(heard.notices) == 1
    with pytest.raises(InvalidSetting, match="runs networks of float32; leave out --dtype int8"):
        hold_to_board(replace(board, dtype="float32"), "int8", heard)


def test_calibration_sees_the_same_images_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(source=ImageSource(data="synthetic", limit=300), recipe=recipe_named("proxy"))
    images = proxy.load(size=16).images
    network = SearchSpace.from_yaml(SPACE).architecture_at((0, 0))
    seen: list[int] = []
    real = in_loop.batches

    def batches(pixels: Any) -> Any:
        seen.append(hash(pixels.tobytes()))
        assert len(pixels) == 256
        return real(pixels)

    monkeypatch.setattr(in_loop, "batches", batches)
    for seed in (0, 0, 1):
        in_int8(
            proxy.realised(network), network, images.train, padding="symmetric",
            preparation=proxy.preparation, classes=len(images.classes), seed=seed,
        )  # fmt: skip
    assert seen[0] == seen[1] != seen[2]


def test_a_network_whose_maps_are_not_finite_fails_alone() -> None:
    proxy = Proxy(source=ImageSource(data="synthetic", limit=32), recipe=recipe_named("proxy"))
    images = proxy.load(size=16).images
    network = SearchSpace.from_yaml(SPACE).architecture_at((0, 0))
    module = proxy.realised(network)
    for parameter in module.parameters():
        parameter.data.fill_(1e30)
    with pytest.raises(autoscale.AutoscaleError, match="is not finite, so no steps of int8"):
        in_int8(
            module, network, images.train, padding="symmetric",
            preparation=proxy.preparation, classes=len(images.classes), seed=0,
        )  # fmt: skip
