"""Searches, checks, grids and families whose networks begin with published weights."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from autoscale.cli.app import main
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Stage
from autoscale.design.rounding import Coefficients
from autoscale.errors import AutoscaleError, InvalidSetting, RunConflict
from autoscale.inspection.read_run import load_run
from autoscale.jobs import inheritance as inheritance_module
from autoscale.jobs import start as start_module
from autoscale.jobs.check import check_baseline
from autoscale.jobs.family.job import write_family
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.inheritance import Inheritance
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import load_proxy, load_trials
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.start import Start
from autoscale.jobs.train.job import train
from autoscale.jobs.workers.estimate import estimate_seconds
from autoscale.jobs.workers.pool import TrainingRequest, make_worker
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.network.build import build
from autoscale.network.inheritance.inherit import inherit_into
from autoscale.network.weights import STYLES
from autoscale.report.page import page
from autoscale.runs.weights import Header, file_digest, read_weights, write_weights
from autoscale.training.batches import to_input
from autoscale.training.fit import fit
from autoscale.training.task import TrainingTask
from tests.conftest import Heard
from tests.designs import SOURCE, trained

#: Half of its designs have blocks that cannot take weights over.
MIXED = """
name: mixed
resolution: 16
stem: {width: 8}
stages:
  - {block: [mbconv, fused-mbconv], expand_ratio: 2, width: [8, 16], depth: 1}
  - {block: mbconv, expand_ratio: [2, 3], width: [16, 24], stride: 2, depth: 1}
head: {width: 16}
"""
SHIFTED = Preparation(mean=(0.4, 0.5, 0.6), deviation=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(SOURCE, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def expecting(source: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same weights, as if they expected other padding and pixels."""
    path = tmp_path_factory.mktemp("expecting") / "other.safetensors"
    held = read_weights(source)
    header = replace(held.header, style=STYLES["tf"], preparation=SHIFTED)
    write_weights(path, held.state, header)
    return str(path)


def searched(run: Path, **options: Any) -> Any:
    usual: dict[str, Any] = {"space": "tiny", "resolution": 16, "epochs": 1, "limit": 48}
    usual |= {"sampler": "random", "kernels": "none", "trials": 3}
    return search_baseline(run, **usual | options)


@pytest.fixture(scope="module")
def begun(expecting: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that began with weights."""
    run = tmp_path_factory.mktemp("begun")
    searched(run, weights=expecting)
    return run


def scores(found: Any) -> list[tuple[float, float | None]]:
    return [(t.score.accuracy, t.score.inherited) for t in found.trials if t.score]


def settings_of(run: Path, step: str = "search") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / step / "settings.json").read_text())
    return found


def test_every_candidate_begins_with_the_weights_and_what_they_expect(
    begun: Path, expecting: str
) -> None:
    """A trial's accuracy is that of the parts put together by hand."""
    line = json.loads((begun / "search" / "trials.jsonl").read_text().splitlines()[0])
    proxy = load_proxy(begun).load(size=16)

    design = load_trials(begun)[2][0].architecture
    torch.manual_seed(0)
    style = STYLES["tf"]
    module = build(design, norm_momentum=proxy.recipe.norm_momentum, **style.options)
    chosen = np.sort(np.random.default_rng(0).permutation(48)[:256])
    images = to_input(proxy.images.train.pixels[chosen], resolution=16, preparation=SHIFTED)
    state = read_weights(expecting).state
    shares = inherit_into(
        module, design, state, SOURCE, channels="rebuild", images=images, style=style
    )
    task = TrainingTask(
        train=proxy.images.train,
        validation=proxy.images.validation,
        recipe=proxy.recipe_of(design),
        resolution=16,
        seed=0,
        preparation=SHIFTED,
    )
    fitted = fit(module, task)
    assert line["score"]["accuracy"] == fitted.accuracy
    taken = sum(s.inherited for s in shares) / sum(s.params for s in shares)
    assert line["score"]["inherited"] == taken > 0.5
    # The same ten classes: the classifier goes on, row by row.
    assert [share.share > 0.5 for share in shares if share.part == "classifier"] == [True]


def test_a_search_records_what_it_began_with_by_content(begun: Path, expecting: str) -> None:
    record = settings_of(begun)
    assert record["settings"]["start"] == file_digest(expecting)
    assert record["settings"]["inherits"]["design"] == SOURCE.to_dict()
    assert record["settings"]["expects"]["padding"] == "same"
    assert len(record["settings"]["known_classes"]) == 10
    assert record["notes"]["weights"] == expecting
    assert record["notes"]["start"] == "other.safetensors"
    assert f"weights: {expecting}" in (begun / "search" / "job.yaml").read_text()
    table = pd.read_csv(begun / "search" / "trials.csv")
    assert (table.inherited > 0.5).all()


def test_a_search_without_weights_records_nothing_of_them(tmp_path: Path) -> None:
    searched(tmp_path, trials=1)
    line = json.loads((tmp_path / "search" / "trials.jsonl").read_text())
    assert "inherited" not in line["score"]
    assert "inherited" not in (tmp_path / "search" / "trials.csv").read_text()
    settings = settings_of(tmp_path)["settings"]
    assert not {"start", "inherits", "expects", "known_classes"} & set(settings)
    assert settings["white_level"] == 65535


def test_a_broken_search_goes_on_with_a_file_that_was_moved_and_with_no_other(
    begun: Path, expecting: str, source: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        searched(run, weights=expecting, listener=Heard(stop_after=1))
    with pytest.raises(RunConflict, match=r"--weights .* there, asked for"):
        searched(run, weights=source)
    with pytest.raises(RunConflict, match=r"--weights .* there, asked for"):
        searched(run)
    moved = shutil.copy(expecting, tmp_path / "moved.safetensors")
    found = searched(run, weights=str(moved))
    lines = [json.loads(x) for x in (begun / "search" / "trials.jsonl").read_text().splitlines()]
    expected = [(one["score"]["accuracy"], one["score"]["inherited"]) for one in lines]
    assert scores(found) == expected


@pytest.mark.slow
def test_workers_give_the_scores_of_one_process(
    begun: Path, expecting: str, tmp_path: Path
) -> None:
    found = searched(tmp_path, weights=expecting, workers=2)
    lines = (begun / "search" / "trials.jsonl").read_text().splitlines()
    accuracies = {str(one["params"]): one["score"]["accuracy"] for one in map(json.loads, lines)}
    assert {str(dict(t.params)): t.score.accuracy for t in found.trials} == accuracies


def test_a_worker_is_sent_a_place_and_reads_the_weights_once(
    expecting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(
        source=ImageSource(data="synthetic", limit=16),
        recipe=recipe_named("proxy", epochs=1),
        transfer=Transfer.for_many(SearchSettings(weights=expecting)),
    ).load(size=16)
    sent = pickle.dumps(proxy.for_worker())
    assert len(sent) < 20_000
    counted = {"read": 0, "donors": 0}
    read, donor = start_module.read_weights, inheritance_module.Donor

    def reading(path: str) -> Any:
        counted["read"] += 1
        return read(path)

    def giving(*given: Any, **more: Any) -> Any:
        counted["donors"] += 1
        return donor(*given, **more)

    monkeypatch.setattr(start_module, "read_weights", reading)
    monkeypatch.setattr(inheritance_module, "Donor", giving)
    work = make_worker(pickle.loads(sent))
    small = replace(SOURCE, stages=(replace(SOURCE.stages[0], width=8), SOURCE.stages[1]))
    results = [work(TrainingRequest(network=small, seed=seed)) for seed in (0, 1)]
    assert counted == {"read": 1, "donors": 1}
    for seed, result in enumerate(results):
        here = train_and_score(proxy, small, seed=seed)
        assert result.score.accuracy == here.accuracy
        assert result.score.inherited == here.inherited
    assert len(pickle.dumps(TrainingRequest(network=small, seed=0))) < 3_000
    write_weights(Path(expecting).with_name("x.safetensors"), read(expecting).state, Header())
    transfer = pickle.loads(sent).transfer
    place = str(Path(expecting).with_name("x.safetensors"))
    stale = replace(transfer, start=replace(transfer.start, file=place))
    with pytest.raises(RunConflict, match="does not hold the weights that the work began with"):
        make_worker(replace(pickle.loads(sent), transfer=stale))


def test_designs_that_cannot_take_weights_over_start_fresh_and_it_is_said(
    source: str, tmp_path: Path
) -> None:
    space = tmp_path / "mixed.yaml"
    space.write_text(MIXED)
    heard = Heard()
    options: dict[str, Any] = {"space": str(space), "trials": 5}
    found = searched(tmp_path / "begun", weights=source, listener=heard, **options)
    scratch = searched(tmp_path / "scratch", **options)
    assert any("50% of the designs of mixed can take over weights" in n for n in heard.notices)
    kinds = {t.architecture.stages[0].block for t in found.trials}
    assert kinds == {"mbconv", "fused-mbconv"}
    for one, other in zip(found.trials, scratch.trials, strict=True):
        fused = one.architecture.stages[0].block == "fused-mbconv"
        assert one.architecture == other.architecture
        assert (one.score.inherited == 0.0) == fused
        if fused:
            assert one.score.accuracy == other.score.accuracy
    assert set(found.table.inherited == 0) == {True, False}


def bad_sources(tmp_path: Path, source: str) -> dict[str, tuple[str, str]]:
    """Files that no search can begin with, and what is said of them."""
    fused = replace(SOURCE, stages=(Stage(block="fused-mbconv", width=8),))
    held = read_weights(source)
    write_weights(tmp_path / "unknown.safetensors", held.state, Header())
    write_weights(
        tmp_path / "fused.safetensors",
        build(fused).state_dict(),
        Header(architecture=fused.to_dict()),
    )
    content = Path(source).read_bytes()
    (tmp_path / "truncated.safetensors").write_bytes(content[: len(content) // 2])
    return {
        "unknown": ("unknown.safetensors", "does not tell which design its weights are of"),
        "fused": ("fused.safetensors", "stage 1 of the source has fused-mbconv blocks"),
        "truncated": ("truncated.safetensors", "is no readable safetensors file"),
        "missing": ("missing.safetensors", "no such file of weights"),
    }


@pytest.mark.parametrize("kind", ["unknown", "fused", "truncated", "missing"])
def test_weights_that_cannot_be_are_refused_in_one_line_before_images_are_read(
    kind: str, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, said = bad_sources(tmp_path, source)[kind]
    design = tmp_path / "base.yaml"
    design.write_text(SOURCE.to_yaml())
    base = ["--baseline", str(design), "--data", "synthetic"]
    for command in (
        ["search-baseline", "--data", str(tmp_path / "nowhere")],
        ["grid", *base],
        ["family", *base, "--coefficients", "1.2,1.1,1.15", "--phi", "1"],
    ):
        run = tmp_path / "run"
        assert main([*command, "--run", str(run), "--weights", str(tmp_path / name)]) == 2
        shown = " ".join(capsys.readouterr().err.split())
        assert said in shown
        assert "Traceback" not in shown
        assert "epoch" not in shown
        assert not list(run.glob("*/*.jsonl"))


def test_a_space_of_other_blocks_is_refused_before_images_are_read(
    source: str, tmp_path: Path
) -> None:
    space = tmp_path / "fused.yaml"
    space.write_text(
        MIXED.replace("mixed", "fused").replace("[mbconv, fused-mbconv]", "[conv, fused-mbconv]")
    )
    with pytest.raises(
        InvalidSetting,
        match=r"no design of fused can take over .*: stage 1 of the designs has conv blocks, .* "
        "between mbconv, separable and mobilenet-v3 blocks only",
    ):
        searched(tmp_path / "run", space=str(space), weights=source, data="nowhere")


def test_a_name_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="give the file as --weights"):
        searched(tmp_path, weights_of="efficientnet-b0", data="nowhere")


def test_the_later_steps_of_a_run_go_on_with_its_weights(
    begun: Path, expecting: str, source: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(begun, run)
    check_baseline(run, networks=2, seeds=2)
    options: dict[str, Any] = {"max_candidates": 2, "seeds": 1, "rivals": False}
    heard = Heard()
    grid_search(run, listener=heard, **options)
    digest = file_digest(expecting)
    for step in ("check", "grid"):
        record = settings_of(run, step)
        assert record["settings"]["start"] == digest
        assert record["settings"]["expects"] == settings_of(run)["settings"]["expects"]
        lines = (run / step / "trainings.jsonl").read_text().splitlines()
        assert all(json.loads(one)["score"]["inherited"] > 0.5 for one in lines)
    assert any("begin with weights of other.safetensors" in one for one in heard.notices)
    for work in (check_baseline, grid_search):
        with pytest.raises(RunConflict, match="does not hold the weights that the work began"):
            work(run, weights=source)
    with pytest.raises(InvalidSetting, match=r"the search in .* has decided --style"):
        grid_search(run, style="timm", **options)
    shown = page(load_run(run))
    assert "Networks began with weights of other.safetensors" in shown


def test_a_run_that_began_fresh_may_have_a_grid_with_weights(source: str, tmp_path: Path) -> None:
    searched(tmp_path, trials=2)
    with pytest.raises(InvalidSetting, match="began without weights"):
        check_baseline(tmp_path, weights=source, networks=2, seeds=2)
    grid_search(tmp_path, weights=source, max_candidates=2, seeds=1, rivals=False)
    assert settings_of(tmp_path, "grid")["settings"]["start"] == file_digest(source)


def test_a_model_of_the_users_own_takes_no_weights(source: str, tmp_path: Path) -> None:
    with pytest.raises(AutoscaleError, match="not into a model of your own"):
        grid_search(tmp_path, model="torch.nn:Linear", weights=source, data="synthetic")


def test_members_have_weights_that_a_training_begins_with(
    begun: Path, expecting: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(begun, run)
    point = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
    heard = Heard()
    family = write_family(run, phi="0,1", coefficients=point, weights=expecting, listener=heard)
    proxy = replace(load_proxy(run), transfer=Transfer.for_many(SearchSettings(weights=expecting)))
    proxy = proxy.load(size=family.members[-1].architecture.resolution)
    for member in family.members:
        written = run / "family" / f"{member.name}.safetensors"
        held = read_weights(written)
        assert held.header.architecture == member.architecture.to_dict()
        assert held.header.style == STYLES["tf"]
        assert held.header.preparation == SHIFTED
        again = Start.of(SearchSettings(weights=str(written)), member.architecture)
        assert again.origin is None
        torch.manual_seed(0)
        module = build(member.architecture, **STYLES["tf"].options)
        Inheritance(proxy.transfer.start, proxy.images, seed=0).into(module, member.architecture)
        for name, value in module.state_dict().items():
            assert torch.equal(held.state[name], value), name
    assert sum("of its parameters begin as those of" in one for one in heard.notices) == 2
    begun_with = train(
        run=tmp_path / "trained",
        network=str(run / "family" / "phi-1.yaml"),
        weights=str(run / "family" / "phi-1.safetensors"),
        recipe="finetune",
        epochs=1,
        limit=48,
        kernels="none",
    )
    assert read_weights(begun_with.weights).header.style == STYLES["tf"]


def test_a_member_begins_with_the_weights_beside_it_unless_they_are_declined(
    begun: Path, expecting: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(begun, run)
    point = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
    write_family(run, phi="0", coefficients=point, weights=expecting)
    member = run / "family" / "phi-0.yaml"
    usual: dict[str, Any] = {"network": str(member), "epochs": 1, "limit": 48, "kernels": "none"}
    heard = Heard()
    found = train(run=tmp_path / "beside", listener=heard, **usual)
    beside = str(member.with_suffix(".safetensors"))
    (told,) = [line for line in heard.notices if "family wrote beside it" in line]
    assert beside in told
    named = train(run=tmp_path / "named", weights=beside, **usual)
    one, other = (read_weights(trained.weights) for trained in (found, named))
    assert one.header.style == STYLES["tf"]
    assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
    assert f"weights: {beside}" in (tmp_path / "beside" / "train" / "job.yaml").read_text()

    moved = shutil.move(beside, tmp_path / "moved.safetensors")
    with pytest.raises(RunConflict, match="is gone; restore it, say with --weights where it lies"):
        train(run=tmp_path / "beside", **usual)
    assert train(run=tmp_path / "beside", weights=moved, **usual).best == found.best
    shutil.move(moved, beside)

    heard = Heard()
    fresh = train(run=tmp_path / "fresh", weights="none", listener=heard, **usual)
    assert not [line for line in heard.notices if "beside it" in line]
    assert read_weights(fresh.weights).header.style == STYLES["autoscale"]
    assert "weights: none" in (tmp_path / "fresh" / "train" / "job.yaml").read_text()
    assert "start" not in settings_of(tmp_path / "fresh", "train")["settings"]

    # Weights of another design under the same name, as an earlier family leaves them.
    held = read_weights(beside)
    other_design = {**(held.header.architecture or {}), "resolution": 36}
    write_weights(Path(beside), held.state, replace(held.header, architecture=other_design))
    with pytest.raises(InvalidSetting, match="holds what an earlier phi-0 began with"):
        train(run=tmp_path / "again", **usual)

    # What the user put there is nobody's but the user's.
    write_weights(Path(beside), read_weights(beside).state, Header())
    heard = Heard()
    train(run=tmp_path / "own", listener=heard, **usual)
    assert not [line for line in heard.notices if "beside it" in line]
    Path(beside).write_bytes(b"torn")
    with pytest.raises(InvalidSetting, match="or begin without it by --weights none"):
        train(run=tmp_path / "torn", **usual)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no images to fit the weights by; name them with --data"),
        ({"data": "synthetic"}, "tell 7 classes apart, and synthetic has 10"),
    ],
)
def test_a_family_whose_weights_cannot_be_fitted_is_refused(
    options: dict[str, Any], said: str, source: str, tmp_path: Path
) -> None:
    design = tmp_path / "base.yaml"
    design.write_text(replace(SOURCE, num_classes=7).to_yaml())
    point = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
    with pytest.raises(InvalidSetting, match=said):
        write_family(
            tmp_path, baseline=str(design), coefficients=point, phi="0", weights=source, **options
        )


@pytest.mark.parametrize("option", ["data", "weights_of", "style"])
def test_a_family_ignores_nothing_that_is_said_of_weights(option: str, tmp_path: Path) -> None:
    flag = option.replace("_", "-")
    with pytest.raises(InvalidSetting, match=f"--{flag} says something of weights"):
        write_family(tmp_path, phi="0", **{option: "tf"})


def test_what_a_search_will_take_includes_taking_weights_over(
    expecting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(
        source=ImageSource(data="synthetic", limit=16),
        recipe=recipe_named("proxy", epochs=1),
        transfer=Transfer.for_many(SearchSettings(weights=expecting)),
    ).load(size=16)
    assert estimate_seconds(proxy, [SOURCE] * 3) < 900
    monkeypatch.setattr(Inheritance, "seconds", lambda *_: 300.0)
    assert estimate_seconds(proxy, [SOURCE] * 3) > 900
