"""Search, check, grid and family on small pictures, through the public API."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch

import autoscale
from autoscale.cli.app import main
from autoscale.errors import InvalidSetting, RunConflict
from tests.conftest import Heard


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, check, grid and family."""
    from tests.conftest import draw_photos

    folder = tmp_path_factory.mktemp("recipe")
    photos = draw_photos(folder / "photos")
    here = folder / "run"
    autoscale.search_baseline(
        here, data=str(photos), space="tiny", resolution=16, trials=5, epochs=2, sampler="random"
    )
    autoscale.check_baseline(here, networks=2, seeds=2)
    settings = autoscale.GridSettings(tolerance=0.2, max_candidates=3, seeds=2)
    autoscale.grid_search(here, settings)
    autoscale.write_family(here, phi="-1..2")
    return here


def test_a_search_leaves_baseline_settings_table_and_storage(run: Path) -> None:
    found = autoscale.load_baseline(run)
    text = (run / "search" / "baseline.yaml").read_text()
    assert autoscale.Architecture.from_yaml(text) == found.trial.architecture
    assert found.trial.architecture.num_classes == 3
    assert found.trial.architecture.resolution == 16
    settings = json.loads((run / "search" / "settings.json").read_text())
    assert settings["settings"]["seed"] == 0
    assert settings["environment"]["torch"].startswith(torch.__version__.split("+")[0])
    table = pd.read_csv(run / "search" / "trials.csv")
    assert len(table) == 5
    assert table.on_front.any()


def test_the_storage_opens_in_plain_optuna(run: Path) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = str(run / "search" / "optuna.journal")
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    study = optuna.load_study(study_name=None, storage=storage)
    trained = [t for t in study.trials if t.user_attrs["status"] == "finished"]
    assert len(trained) == 5


def test_the_check_trains_anew_on_test_images(run: Path) -> None:
    found = json.loads((run / "check" / "check.json").read_text())
    assert found["split"] == "test"
    assert len(found["baseline"]) == 2
    assert len(found["random"]) == 2
    assert found["baseline_macs"] <= found["random_macs"]
    assert found["margin"] == pytest.approx(sum(found["baseline"]) / 2 - sum(found["random"]) / 2)


def test_the_grid_keeps_the_budget_and_shows_nominal_beside_measured(run: Path) -> None:
    table = pd.read_csv(run / "grid" / "grid.csv")
    base = autoscale.cost(autoscale.load_baseline(run).trial.architecture).macs
    assert (abs(table.macs / base / 2 - 1) <= 0.2).all()
    assert table.measured.to_numpy() == pytest.approx(table.macs.to_numpy() / base, abs=1e-4)
    nominal = table.alpha * table.beta**2 * table.gamma**2
    assert table.nominal.to_numpy() == pytest.approx(nominal.to_numpy(), rel=1e-3)
    assert table.seeds.max() == 2
    trained = table[table.seeds > 0]
    assert trained.estimate[0] == trained.estimate.max()
    assert ((table.low <= table.estimate) & (table.estimate <= table.high)).all()
    picked = json.loads((run / "grid" / "coefficients.json").read_text())
    assert picked["alpha"] == pytest.approx(table.alpha[0], abs=1e-6)
    assert picked["verdict"]
    assert picked["trainings"] == len((run / "grid" / "trainings.jsonl").read_text().splitlines())


def test_rivals_are_raced_at_the_same_cost_with_every_seed(run: Path) -> None:
    table = pd.read_csv(run / "grid" / "grid.csv")
    rivals = pd.read_csv(run / "grid" / "rivals.csv")
    assert len(rivals) >= 2
    assert (abs(rivals.growth / 2 - 1) <= 0.02).all()
    assert (table[table.rules.notna()].seeds == 2).all()
    assert ((rivals.low <= rivals.lead) & (rivals.lead <= rivals.high)).all()


def test_a_member_is_loaded_and_built_in_two_lines(run: Path) -> None:
    member = autoscale.load_member(run / "family" / "phi-1.yaml")
    network = autoscale.build(member.architecture, dropout=member.dropout)

    size = member.architecture.resolution
    assert network.eval()(torch.zeros(2, 3, size, size)).shape == (2, 3)
    assert sum(p.numel() for p in network.parameters()) == member.counts.params


def test_the_family_holds_the_baseline_and_grows(run: Path) -> None:
    table = pd.read_csv(run / "family" / "family.csv")
    assert list(table.sort_values("phi").phi) == [-1, 0, 1, 2]
    assert (table.macs.diff().dropna() >= 0).all()
    base = autoscale.load_baseline(run).trial.architecture
    assert autoscale.load_member(run / "family" / "phi-0.yaml").architecture == base


def test_members_of_a_later_call_join_the_earlier_ones(run: Path) -> None:
    autoscale.write_family(run, budgets="3x")
    base = autoscale.cost(autoscale.load_baseline(run).trial.architecture).macs
    member = autoscale.load_member(run / "family" / "3x.yaml")
    assert base < member.counts.macs <= 3 * base
    assert "3x" in set(pd.read_csv(run / "family" / "family.csv").name)
    (run / "family" / "3x.yaml").unlink()


def test_the_same_call_again_trains_nothing(run: Path) -> None:
    heard = Heard()
    data = str(run.parent / "photos")
    before = (run / "search" / "trials.jsonl").read_bytes()
    found = autoscale.search_baseline(
        run, data=data, space="tiny", resolution=16, trials=5, epochs=2, sampler="random",
        listener=heard,
    )  # fmt: skip
    assert (run / "search" / "trials.jsonl").read_bytes() == before
    assert heard.done == []
    assert found.trial == autoscale.load_baseline(run).trial


@pytest.mark.parametrize(
    "command",
    [
        "search-baseline --run run --data photos --space tiny --resolution 16 --trials 5 "
        "--epochs 2 --sampler random",
        "check-baseline --run run --networks 2 --seeds 2",
        "grid --run run --tolerance 0.2 --max-candidates 3 --seeds 2",
        "grid --run run --tolerance 0.2 --max-candidates 3 --seeds 2 --plan",
        "grid --run run --tolerance 0.2 --step 0.025 --seeds 5 --plan",
        "family --run run --phi=-1..2",
        "family --baseline efficientnet-b0 --run other --coefficients 1.2,1.1,1.15 --phi 0..7",
        "status run",
        "spaces",
        "count efficientnet-b4 --per-stage",
        "compare efficientnet resnet",
    ],
)
def test_an_answer_in_a_file_has_at_most_eighty_columns(
    command: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent)
    assert main(shlex.split(command)) == 0
    captured = capsys.readouterr()
    assert captured.out
    too_long = [line for line in (captured.out + captured.err).splitlines() if len(line) > 80]
    assert too_long == []


def test_another_search_in_the_same_run_is_refused_with_the_reason(run: Path) -> None:
    with pytest.raises(RunConflict, match="--epochs 2 there, asked for --epochs 3"):
        autoscale.search_baseline(
            run, data=str(run.parent / "photos"), space="tiny", resolution=16, trials=5, epochs=3,
            sampler="random",
        )  # fmt: skip


def test_a_longer_search_keeps_the_earlier_trials(photos: Path, tmp_path: Path) -> None:
    options = {"data": str(photos), "space": "tiny", "resolution": 16, "epochs": 1}
    short = autoscale.search_baseline(tmp_path / "a", trials=2, **options)
    heard = Heard()
    longer = autoscale.search_baseline(tmp_path / "a", trials=4, listener=heard, **options)
    assert [t.params for t in longer.trials[:2]] == [t.params for t in short.trials]
    assert [p.done for p in heard.done] == [3, 4]
    whole = autoscale.search_baseline(tmp_path / "b", trials=4, **options)
    assert [(t.params, t.score.accuracy) for t in whole.trials if t.score] == [
        (t.params, t.score.accuracy) for t in longer.trials if t.score
    ]


def test_the_soft_reward_warns_that_its_target_does_nothing(photos: Path, tmp_path: Path) -> None:
    heard = Heard()
    autoscale.search_baseline(
        tmp_path / "r", data=str(photos), space="tiny", resolution=16, trials=1, epochs=1,
        objective="soft", target=400_000, listener=heard,
    )  # fmt: skip
    assert any("changes no choice" in notice for notice in heard.notices)


def test_a_grid_needs_a_finished_search_and_a_family_a_finished_grid(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="holds no search; begin with"):
        autoscale.grid_search(tmp_path)
    with pytest.raises(InvalidSetting, match="holds no finished grid; run: autoscale grid"):
        autoscale.write_family(tmp_path, phi="0")


def test_confirming_trains_the_best_again_and_takes_the_mean(photos: Path, tmp_path: Path) -> None:
    heard = Heard()
    options = {"data": str(photos), "space": "tiny", "resolution": 16, "epochs": 1, "trials": 4}
    found = autoscale.search_baseline(tmp_path / "r", confirm=2, listener=heard, **options)
    assert len(found.accuracies) == 3
    assert [p.total for p in heard.done] == [4] * 4 + [4] * 4  # 4 trials, then 2 designs twice
    assert found.accuracies[0] == found.trial.score.accuracy
    again = autoscale.search_baseline(tmp_path / "r", confirm=2, listener=heard, **options)
    assert len(heard.done) == 8
    assert (again.trial, again.accuracies) == (found.trial, found.accuracies)
    assert autoscale.load_baseline(tmp_path / "r").accuracies == found.accuracies


def test_no_designs_to_confirm_are_refused_below_zero(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="confirm must be at least 0"):
        autoscale.search_baseline(tmp_path / "r", confirm=-1)
