"""Searches that shared weights guide: trained once, kept, gone on with, and how far they agree."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from autoscale import search_baseline
from autoscale.cli.app import main
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.read_run import load_run
from autoscale.inspection.status import run_status
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.shared.paths import FairPaths, drawn_round
from autoscale.jobs.shared.scores import SharedScores
from autoscale.jobs.shared.training import SharedTraining
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent
from autoscale.network.shared.weights import SharedWeights
from autoscale.report.searching import search_section
from tests.conftest import Heard


def searched(run: Path, photos: Path, **options: Any) -> Any:
    asked: dict[str, Any] = {
        "trials": 8, "epochs": 1, "kernels": "none", "space": "tiny", "resolution": 16,
        "shared_weights": True, "shared_epochs": 2, "shared_designs": 12,
    }  # fmt: skip
    return search_baseline(run, data=str(photos), **(asked | options))


def content(run: Path) -> dict[str, bytes]:
    """What decides a search and comes of it, without times."""
    step = run / "search"
    return {name: (step / name).read_bytes() for name in ("shared.jsonl", "baseline.json")}


def tensors(run: Path) -> dict[str, torch.Tensor]:
    from autoscale.runs.checkpoint import read_snapshot

    found = read_snapshot(run / "search" / "shared.safetensors")
    assert found is not None
    return dict(found.tensors)


def test_a_search_with_shared_weights_says_how_far_they_agree(photos: Path, tmp_path: Path) -> None:
    run, heard = tmp_path / "run", Heard()
    found = searched(run, photos, listener=heard)
    assert any("2 epochs for all 64 designs of tiny" in line for line in heard.notices)
    assert found.shared is not None
    assert found.shared.networks == 8
    told = f"tau {found.shared.tau:.2f} over 8 networks"
    assert found.shared.told == told
    table = pd.read_csv(run / "search" / "shared.csv")
    assert len(table) == 12
    assert table.score.between(0, 1).all()
    assert len(table.drop(columns=["score", "macs", "params"]).drop_duplicates()) == 12
    # What looks at the run says it too.
    (step,) = run_status(run).steps
    assert step.facts["shared_weights"] == {"tau": found.shared.tau, "networks": 8}
    assert any(told in line for line in search_section(load_run(run)).text)


def test_the_command_prints_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search-baseline", "--run", str(tmp_path / "run"), "--data", str(photos), "--space",
             "tiny", "--resolution", "16", "--epochs", "1", "--trials", "8", "--shared-weights",
             "--shared-epochs", "1", "--shared-designs", "8", "--kernels", "none"]  # fmt: skip
    assert main(words) == 0
    assert "Shared weights agree with trainings: tau " in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shared_weights"]["networks"] == 8


def test_the_scores_change_what_is_searched(photos: Path, tmp_path: Path) -> None:
    with_them = searched(tmp_path / "with", photos)
    without = searched(
        tmp_path / "without", photos, shared_weights=False, shared_epochs=None, shared_designs=None
    )
    assert [t.params for t in with_them.trials] != [t.params for t in without.trials]
    assert without.shared is None
    names = {path.name for path in (tmp_path / "without" / "search").iterdir()}
    assert not any(name.startswith("shared") for name in names)
    assert "shared_weights" not in json.loads(
        (tmp_path / "without" / "search" / "baseline.json").read_text()
    )


def test_a_search_that_was_broken_off_goes_on_to_the_same_bytes(
    photos: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    searched(whole, photos)
    for stop_after in (1, 2, 5, 16):  # an epoch, both, some scores, some trainings
        broken = tmp_path / f"broken-{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            searched(broken, photos, listener=Heard(stop_after=stop_after))
        if stop_after == 5:  # a process that is killed may leave half a line
            with (broken / "search" / "shared.jsonl").open("a") as out:
                out.write('{"params": {"sta')
        searched(broken, photos)
        assert content(broken) == content(whole)
        one, other = tensors(whole), tensors(broken)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_weights_are_made_once(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    searched(run, photos)
    heard = Heard()
    searched(run, photos, trials=9, listener=heard)
    assert not any("random ones are scored" in line for line in heard.notices)
    assert sum("shared weights" in one.note for one in heard.done) == 0


def test_weights_of_other_settings_are_not_gone_on_with(photos: Path, tmp_path: Path) -> None:
    run, fresh = tmp_path / "run", tmp_path / "fresh"
    with pytest.raises(KeyboardInterrupt):  # no network is trained, so nothing is bound
        searched(run, photos, seed=1, listener=Heard(stop_after=6))
    searched(run, photos)
    searched(fresh, photos)
    assert content(run) == content(fresh)
    with pytest.raises(RunConflict, match="shared"):
        searched(run, photos, shared_epochs=3)
    with pytest.raises(RunConflict, match="shared"):
        searched(run, photos, shared_weights=False, shared_epochs=None, shared_designs=None)


def test_ranked_designs_keep_the_limits(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    searched(run, photos, max_macs=300_000)
    table = pd.read_csv(run / "search" / "shared.csv")
    assert (table.macs <= 300_000).all()
    with pytest.raises(InvalidSetting, match="at least 8 are needed"):
        searched(tmp_path / "narrow", photos, max_macs=140_000)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shared-epochs", "2"], "--shared-epochs 2 needs --shared-weights"),
        (["--shared-weights", "--sampler", "random"], "--sampler guided"),
        (["--shared-weights", "--weights", "x"], "--shared-weights and --weights x exclude"),
        (["--shared-weights", "--teacher", "x"], "--shared-weights and --teacher x exclude"),
        (["--shared-weights", "--shared-designs", "3"], "at least 8"),
        (["--shared-weights", "--hours", "0.000001"], "shared weights before the first training"),
    ],
    ids=["needs", "sampler", "weights", "teacher", "designs", "hours"],
)
def test_what_cannot_be_is_said_in_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    run = ["--run", str(tmp_path / "run"), "--data", str(photos), "--space", "tiny"]
    assert main(["search-baseline", *run, *words]) in (1, 2)
    told = capsys.readouterr().err.replace("\n", " ")
    assert said in told
    assert "Traceback" not in told


# Which designs learn


@pytest.mark.parametrize("name", ["tiny", "mbconv-small", "nas-bench-macro", "mcu"])
def test_in_a_round_every_option_of_a_choice_learns_equally_often(name: str) -> None:
    space = load_space(name)
    torch.manual_seed(0)
    drawn = drawn_round(space)
    most = max(len(one.options) for one in space.parameters)
    assert len(drawn) == most
    for place, parameter in enumerate(space.parameters):
        counts = Counter(point[place] for point in drawn)
        assert len(counts) == len(parameter.options)
        assert max(counts.values()) - min(counts.values()) <= 1
    torch.manual_seed(1)
    assert drawn_round(space) != drawn


def test_an_epoch_draws_alike_whatever_came_before() -> None:
    space = SearchSpace.from_yaml(
        "name: one\nresolution: 8\nstem: {width: 8}\nstages: [{width: [8, 16, 24]}]\nnum_classes: 3"
    )
    weights = SharedWeights(space)
    again, fresh = FairPaths(weights, "none"), FairPaths(weights, "none")

    def widths(paths: FairPaths, seed: int, steps: int) -> list[int]:
        torch.manual_seed(seed)
        found = [paths()[0].network for _ in range(steps)]
        return [sum(p.numel() for p in network.parameters()) for network in found]

    first = widths(again, 1, 4)  # which ends within a round
    assert widths(again, 2, 4) == widths(fresh, 2, 4)
    assert widths(again, 1, 4) == first


# Scores


def proxy_of(photos: Path, kernels: str = "none") -> Proxy:
    source = ImageSource(data=str(photos), seed=0)
    recipe = replace(recipe_named("proxy", epochs=1), batch_size=8)
    return Proxy(source=source, recipe=recipe, kernels=kernels).load(size=16)


def training_of(photos: Path, tmp_path: Path, *, epochs: int, space: SearchSpace) -> SharedTraining:
    return SharedTraining(
        space=space, proxy=proxy_of(photos), epochs=epochs, seed=0,
        file=tmp_path / "last.safetensors", listener=Silent(),
    )  # fmt: skip


def test_weights_that_learned_answer_better_and_keep_their_scores(
    photos: Path, tmp_path: Path
) -> None:
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    training = training_of(photos, tmp_path, epochs=12, space=space)
    torch.manual_seed(0)
    fresh = SharedScores(weights=SharedWeights(space), proxy=training.proxy, task=training.task)
    points = [(0,) * 6, (1,) * 6, (0, 1, 0, 1, 0, 1)]
    before = [fresh.of(point) for point in points]
    learned = SharedScores(weights=training.run(), proxy=training.proxy, task=training.task)
    after = [learned.of(point) for point in points]
    assert sum(after) > sum(before) + 0.5  # of three classes, so that chance is a third
    # What was asked in between does not matter.
    assert [learned.of(point) for point in reversed(points)] == after[::-1]


def test_designs_of_several_resolutions_and_activations_are_trained_and_scored(
    photos: Path, tmp_path: Path
) -> None:
    space = SearchSpace.from_yaml(
        "name: one\nresolution: [8, 16]\nactivation: [relu6, silu]\nstem: {width: 8}\n"
        "stages: [{width: [8, 16], kernel: [3, 5]}]\nnum_classes: 3"
    )
    training = training_of(photos, tmp_path, epochs=2, space=space)
    assert training.task.resolution == 16
    scores = SharedScores(weights=training.run(), proxy=training.proxy, task=training.task)
    for point in [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1)]:
        assert cost(space.architecture_at(point)).macs > 0
        assert 0 <= scores.of(point) <= 1
