"""Weights that are tried in short pairs, on tiny images: trained, resumed, told, pointed to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.cli.app import main
from autoscale.design.architecture import Stage
from autoscale.design.cost import cost
from autoscale.errors import AutoscaleError, BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.inspection.status import run_status
from autoscale.jobs.equal_cost import epochs_by_whole
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.start import Start
from autoscale.jobs.starts import job
from autoscale.jobs.starts.job import try_weights
from autoscale.jobs.starts.networks import networks_to_try
from autoscale.jobs.starts.result import WeightsTried, advice_in
from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.jobs.train.job import train
from autoscale.jobs.workers.answers import packed, unpacked
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.runs.weights import file_digest
from autoscale.search.objective import Score
from autoscale.training.recipe import INHERITING_RATE, RECIPES
from tests import designs
from tests.conftest import Heard

SOURCE = replace(designs.SOURCE, resolution=20)
SMALL = replace(SOURCE, resolution=16, stages=(Stage(width=8), Stage(width=16, stride=2)))
USUAL: dict[str, Any] = {"limit": 48, "epochs": 1, "pairs": 2, "kernels": "none"}
EPOCHS = 2  # of a fresh start here


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that autoscale has trained on the synthetic shapes, and that say so."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "small.yaml").write_text(SMALL.to_yaml())
    design = folder / "source.yaml"
    design.write_text(SOURCE.to_yaml())
    return str(train(design, folder, limit=64, epochs=1, kernels="none").weights)


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs as if a machine had always given the weights in the same time."""
    monkeypatch.setattr(job, "epochs_by_whole", lambda *_, **__: EPOCHS)


@pytest.fixture(scope="module")
def small(source: str) -> str:
    return str(Path(source).parents[1] / "small.yaml")


@pytest.fixture(scope="module")
def tried(
    source: str, small: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, WeightsTried]:
    """A trial with a size of the weights' own design and one of another."""
    run = tmp_path_factory.mktemp("tried") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "epochs_by_whole", lambda *_, **__: EPOCHS)
        return run, try_weights(source, run, network=[small], budgets="120K", **USUAL)


def lines_of(run: Path) -> list[dict[str, Any]]:
    journal = run / "advice" / "trainings.jsonl"
    return [json.loads(one) for one in journal.read_text().splitlines()]


def answers_of(found: WeightsTried) -> list[list[bool]]:
    return [
        [bool(one) for one in side.right[seed]]
        for network in found.compared
        for side in (network.weights, network.scratch)
        for seed in (0, 1)
    ]


def test_a_pair_is_the_parts_put_together_by_hand(
    tried: tuple[Path, WeightsTried], source: str
) -> None:
    """Same seed and images, each at its rate, the fresh one for the epochs that were decided."""
    _, found = tried
    one = found.compared[0]
    assert one.tried.architecture == SMALL
    plain = Proxy(source=ImageSource(data="synthetic", limit=48), recipe=recipe_named("proxy"))
    start = Start.for_many(TryWeightsSettings(weights=source, budgets="1x"))
    size = max(network.tried.architecture.resolution for network in found.compared)
    for side, way, epochs, rate in (
        (one.weights, replace(plain, transfer=Transfer(start=start)), 1, INHERITING_RATE),
        (one.scratch, plain, EPOCHS, RECIPES["proxy"].learning_rate),
    ):
        ready = replace(way, recipe=recipe_named("proxy", epochs=epochs)).load(size=size)
        assert (side.epochs, side.rate) == (epochs, rate)
        assert ready.recipe_of(SMALL).learning_rate == rate
        for seed in (0, 1):
            assert side.right[seed].mean() == train_and_score(ready, SMALL, seed=seed).accuracy
    assert one.weights.inherited is not None
    assert one.weights.inherited > 0.2
    assert one.scratch.inherited is None


def test_which_images_were_right_is_what_the_accuracy_counts(
    tried: tuple[Path, WeightsTried],
) -> None:
    run, _ = tried
    lines = lines_of(run)
    assert len(lines) == 8
    for line in lines:
        right = unpacked(line["score"]["right"], 600)
        assert right.mean() == line["score"]["accuracy"]


def test_answers_are_only_kept_where_they_are_asked_for() -> None:
    proxy = Proxy(source=ImageSource(data="synthetic", limit=32), recipe=recipe_named("proxy"))
    ready = replace(proxy, recipe=recipe_named("proxy", epochs=1)).load(size=16)
    plain, asked = (
        train_and_score(ready, SMALL, seed=0, measurement=Measurement(answers=answers))
        for answers in (False, True)
    )
    assert plain.right is None
    assert "right" not in plain.to_dict()
    assert asked.right
    assert asked == replace(plain, seconds=asked.seconds)


def test_a_broken_trial_ends_as_the_unbroken_one(
    tried: tuple[Path, WeightsTried], source: str, small: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    asked = {"network": [small], "budgets": "120K", **USUAL}
    with pytest.raises(KeyboardInterrupt):
        try_weights(source, run, listener=Heard(stop_after=3), **asked)
    assert len(lines_of(run)) == 3
    status = run_status(run).steps[0]
    assert (status.step, status.done, status.asked, status.state) == ("advice", 3, 8, "unfinished")
    found = try_weights(source, run, **asked)
    assert answers_of(found) == answers_of(tried[1])
    before = (run / "advice" / "trainings.jsonl").read_bytes()
    again = try_weights(source, run, **asked)
    assert (run / "advice" / "trainings.jsonl").read_bytes() == before
    assert again.to_dict() == found.to_dict()


def test_epochs_that_were_decided_stay(
    tried: tuple[Path, WeightsTried],
    source: str,
    small: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(tried[0], tmp_path / "run")
    monkeypatch.setattr(job, "epochs_by_whole", lambda *_, **__: pytest.fail("decided again"))
    found = try_weights(source, tmp_path / "run", network=[small], **{**USUAL, "pairs": 3})
    assert found.compared[0].scratch.epochs == EPOCHS
    assert found.compared[0].lead.pairs == 3
    assert len(lines_of(tmp_path / "run")) == 10
    status = run_status(tmp_path / "run").steps[0]
    assert (status.done, status.asked, status.state) == (10, 10, "finished")


def test_further_networks_stand_beside_those_of_earlier_calls(
    tried: tuple[Path, WeightsTried], source: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tried[0], run)
    try_weights(source, run, budgets="70K", **USUAL)
    plain = json.loads((run / "advice" / "advice.json").read_text())
    assert [one["macs"] < 70_000 for one in plain["networks"]] == [True, True, False]
    assert len(advice_in(run, file_digest(source))) == 3
    assert advice_in(run, "0" * 64) == ()
    assert advice_in(tmp_path / "elsewhere", file_digest(source)) == ()


def test_other_images_or_epochs_are_another_trial(
    tried: tuple[Path, WeightsTried], source: str, small: str
) -> None:
    for changes, why in (({"limit": 64}, "--limit 48 there"), ({"epochs": 2}, "--epochs 1 there")):
        with pytest.raises(RunConflict, match=why):
            try_weights(source, tried[0], network=[small], **{**USUAL, **changes})


# Epochs


@pytest.mark.parametrize(
    ("aim", "cost", "epochs"), [(13.7, 8.8, 5), (10.0, 9.0, 3), (10.0, 100.0, 1), (5.0, 0.0, 3)]
)
def test_epochs_are_in_proportion_to_a_training_that_was_timed(
    aim: float, cost: float, epochs: int
) -> None:
    first = Score(accuracy=0.5, macs=1, params=1, activations=1, cpu_seconds=cost)
    assert epochs_by_whole(aim, first, epochs=3) == epochs


def test_a_fresh_start_is_timed_and_gets_the_epochs_that_cost_as_much(
    source: str, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "epochs_by_whole", epochs_by_whole)
    found = try_weights(source, tmp_path, network=[small], **USUAL)
    (decided,) = (tmp_path / "advice" / "epochs.jsonl").read_text().splitlines()
    told, one = json.loads(decided), found.compared[0]
    assert told["cpu_seconds_aimed_at"] == pytest.approx(one.weights.training_cost)
    ratio = told["cpu_seconds_aimed_at"] / told["cpu_seconds"]
    assert one.scratch.epochs == told["epochs"] == max(1, round(ratio))


def test_a_training_that_was_timed_and_cost_as_much_is_not_made_again(
    source: str, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "epochs_by_whole", lambda *_, **__: 1)
    found = try_weights(source, tmp_path, network=[small], **USUAL)
    (decided,) = (tmp_path / "advice" / "epochs.jsonl").read_text().splitlines()
    scores = {line["key"][-9:]: line["score"] for line in lines_of(tmp_path)}
    assert len(lines_of(tmp_path)) == 4
    assert scores["scratch/0"]["cpu_seconds"] == json.loads(decided)["cpu_seconds"]
    assert found.compared[0].lead.pairs == 2


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_answers_are_read_back_from_a_text(right: list[bool]) -> None:
    text = packed(np.array(right))
    assert unpacked(text, len(right)).tolist() == right
    for other in (text + "00", text[:-2], "zz"):
        with pytest.raises(RunConflict, match=f"not those to {len(right)} images"):
            unpacked(other, len(right))


# What is said


def test_the_command_shows_both_starts_and_the_advice(
    tried: tuple[Path, WeightsTried], source: str, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, found = tried
    words = ["try-weights", source, "--network", small, "--limit", "48", "--epochs", "1"]
    words += ["--pairs", "2", "--kernels", "none", "--run", str(run)]
    assert main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    sentence = found.compared[0].sentence
    assert f"{sentence[0].upper()}{sentence[1:]}." in shown
    assert "95% interval" in sentence
    assert "weights" in shown
    assert "scratch" in shown
    assert main([*words, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["networks"][0]["sentence"] == sentence
    assert [side["start"] for side in plain["networks"][0]["starts"]] == ["weights", "scratch"]
    assert (run / "advice" / "starts.csv").read_text().count("\n") == 5  # with the other network


def test_budgets_that_come_to_one_network_and_those_above_the_design_are_told(source: str) -> None:
    heard = Heard()
    settings = TryWeightsSettings(weights=source, budgets="1x,2x,120K,120001", pairs=2)
    tried = networks_to_try(settings, Start.for_many(settings), heard, classes=10)
    assert [one.name.rpartition(" at ")[2] for one in tried] == ["1x", "120K"]
    above, *same = heard.notices
    assert above.startswith("--budgets 2x: ")
    assert "is not enlarged" in above
    assert [line.partition(" is the same network as ")[::2] for line in same] == [
        (f"{tried[0].name[:-2]}2x", f"{tried[0].name}, and tried with it"),
        (f"{tried[0].name[:-2]}120001", f"{tried[1].name}, and tried with it"),
    ]


def fused(folder: Path) -> str:
    """A design that takes no weights over."""
    path = folder / "fused.yaml"
    design = replace(SMALL, stages=(Stage(block="fused-mbconv", width=8),))
    path.write_text(design.to_yaml())
    return str(path)


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({}, InvalidSetting, "--budgets 10M,30M, or a design as --network FILE"),
        ({"budgets": "1K"}, BudgetUnreachable, r"--budgets 1K: .* nearest costs .* --network"),
        ({"budgets": "fast"}, InvalidSetting, "the budget is"),
        ({"budgets": "12ms", "measure": "latency"}, InvalidSetting, "budgets are of what can be"),
        ({"network": ["fused"]}, InvalidSetting, "fused.yaml cannot take over .* fused-mbconv"),
        ({"network": ["nowhere.yaml"]}, InvalidSetting, "no such file: nowhere.yaml"),
        ({"budgets": "120K", "pairs": 1}, InvalidSetting, "pairs must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_images_are_read(
    source: str, tmp_path: Path, changes: dict[str, Any], error: type[AutoscaleError], why: str
) -> None:
    if changes.get("network") == ["fused"]:
        changes = {"network": [fused(tmp_path)]}
    with pytest.raises(error, match=why):
        try_weights(source, tmp_path / "run", **{**USUAL, **changes})
    assert not (tmp_path / "run").exists()


def test_networks_of_another_aspect_are_tried_in_a_run_of_their_own(
    tried: tuple[Path, WeightsTried], source: str, small: str, tmp_path: Path
) -> None:
    both = {"network": [small], "budgets": "120K", "aspect": "4/3"}
    found = try_weights(source, tmp_path / "run", **both, **USUAL)
    for one, square in zip(found.compared, tried[1].compared, strict=True):
        size = one.tried.architecture.image_size
        assert size.width == round(size.height * 4 / 3)
        assert one.tried.key != square.tried.key
    assert cost(found.compared[1].tried.architecture).macs <= 120_000
    with pytest.raises(RunConflict, match="aspect"):
        try_weights(source, shutil.copytree(tried[0], tmp_path / "squares"), **both, **USUAL)


def test_a_search_with_weights_points_to_the_command_or_says_the_advice(
    tried: tuple[Path, WeightsTried], source: str, tmp_path: Path
) -> None:
    shutil.copytree(tried[0], tmp_path / "advised")
    usual: dict[str, Any] = {"space": "tiny", "resolution": 16, "epochs": 1, "limit": 48}
    usual |= {"sampler": "random", "kernels": "none", "trials": 1, "target": "300K"}
    told = {}
    for name, weights in (("bare", source), ("advised", source), ("fresh", None)):
        heard = Heard()
        search_baseline(tmp_path / name, weights=weights, listener=heard, **usual)
        told[name] = [n for n in heard.notices if "try-weights" in n or "advice of this" in n]
    (line,) = told["bare"]
    assert f"autoscale try-weights {source} --data synthetic --budgets 300000" in line
    assert told["advised"] == [f"advice of this run: {s}" for s in tried[1].sentences]
    assert told["fresh"] == []


# The rate


def test_candidates_that_begin_with_weights_have_a_rate_that_suits_them(source: str) -> None:
    start = Start.for_many(TryWeightsSettings(weights=source, budgets="1x"))
    proxy = Proxy(
        source=ImageSource(data="synthetic"),
        recipe=recipe_named("proxy"),
        transfer=Transfer(start=start),
    )
    fused_design = replace(SMALL, stages=(Stage(block="fused-mbconv", width=8),))
    assert proxy.recipe_of(SMALL).learning_rate == INHERITING_RATE
    assert proxy.recipe_of(SOURCE).learning_rate == INHERITING_RATE
    assert proxy.recipe_of(fused_design) == proxy.recipe
    tuned = replace(proxy, recipe=recipe_named("finetune"))
    assert tuned.recipe_of(SMALL).learning_rate == INHERITING_RATE
    assert tuned.recipe_of(SOURCE) == tuned.recipe
    assert tuned.recipe_of(replace(SOURCE, resolution=8)) == tuned.recipe, "nothing was cut"
    assert replace(proxy, recipe=RECIPES["full"]).recipe_of(SMALL) == RECIPES["full"]


def test_the_rate_is_on_record_and_older_runs_keep_theirs(source: str) -> None:
    start = Start.for_many(TryWeightsSettings(weights=source, budgets="1x"))
    plain = Proxy(
        source=ImageSource(data="synthetic"),
        recipe=recipe_named("proxy"),
        transfer=Transfer(start=start),
    )
    record = plain.record() | {"known_classes": {}}
    assert record["inheriting_rate"] == INHERITING_RATE
    back = Proxy.from_record(record, notes={"data": "synthetic", "weights": source})
    assert back.recipe_of(SMALL).learning_rate == INHERITING_RATE
    del record["inheriting_rate"]
    older = Proxy.from_record(record, notes={"data": "synthetic", "weights": source})
    assert older.recipe_of(SMALL) == older.recipe
    assert "inheriting_rate" not in older.record()
    assert "inheriting_rate" not in replace(plain, transfer=Transfer()).record()


def test_a_training_says_at_which_rate_it_takes_weights_over(
    source: str, small: str, tmp_path: Path
) -> None:
    heard, usual = Heard(), {"weights": source, "recipe": "finetune", **USUAL}
    del usual["pairs"]
    train(small, tmp_path / "one", listener=heard, **usual)
    assert any("peak learning rate is 0.003 in place of the recipe's 0.001" in n
               for n in heard.notices)  # fmt: skip
    other = Heard()
    train(small, tmp_path / "two", listener=other, learning_rate=0.01, **usual)
    assert not any("peak learning rate" in n for n in other.notices)
    settings = json.loads((tmp_path / "two" / "train" / "settings.json").read_text())["settings"]
    assert settings["recipe"]["learning_rate"] == 0.01
