"""Early stopping on pictures, from the command line's text to the run directory."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.search.job import epochs_spent
from autoscale.jobs.search.settings import SearchSettings
from autoscale.search.rungs import Rungs
from tests.conftest import Heard


def search(run: Path, photos: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"rungs": (1, 2), "caution": 0.0, "trials": 12, **options}
    return autoscale.search_baseline(
        run, data=str(photos), space="tiny", resolution=16, sampler="random", epochs=4,
        objective="front", **settings,
    )  # fmt: skip


def lines(run: Path) -> list[dict[str, Any]]:
    """The journal without times."""
    records = [json.loads(line) for line in (run / "search/trials.jsonl").read_text().splitlines()]
    for record in records:
        for score in (record["score"], record.get("partial")):
            if score:
                for name in ("seconds", "cpu_seconds", "epoch_cpu_seconds"):
                    del score[name]
    return records


def test_pictures_are_searched_with_early_stopping(photos: Path, tmp_path: Path) -> None:
    heard = Heard()
    found = search(tmp_path / "run", photos, listener=heard)
    stopped = [trial for trial in found.trials if trial.status == "stopped"]
    assert stopped
    spent, whole = epochs_spent(found.trials, 4)
    assert spent < whole == 48
    assert any(f"{spent} of 48 epochs were trained" in notice for notice in heard.notices)
    table = pd.read_csv(tmp_path / "run/search/trials.csv")
    assert not table[table.status == "stopped"].on_front.any()
    assert table[table.status == "stopped"].accuracy.isna().all()
    assert table.accuracy_after_1.notna().all()

    # Who went all the way is what it would have been without rungs, to the last bit.
    plain = search(tmp_path / "plain", photos, rungs=(), caution=None)
    scores = {t.architecture: t.score.accuracy for t in plain.trials if t.score}
    finished = [t for t in found.trials if t.status == "finished"]
    assert [t.score.accuracy for t in finished] == [scores[t.architecture] for t in finished]

    # A search that died behind a stopped trial goes on as if it had not.
    journal = tmp_path / "run/search/trials.jsonl"
    whole_run = lines(tmp_path / "run")
    kept = journal.read_text().splitlines(keepends=True)[: stopped[0].number + 1]
    journal.write_text("".join(kept) + '{"number":')
    assert search(tmp_path / "run", photos).trial.number == found.trial.number
    assert lines(tmp_path / "run") == whole_run

    with pytest.raises(RunConflict, match="rungs"):
        search(tmp_path / "run", photos, rungs=(1, 3))


def test_the_last_rung_is_the_whole_training() -> None:
    assert SearchSettings(rungs="1,2").stages(4) == Rungs(epochs=(1, 2, 4))
    assert SearchSettings(rungs="1,2,4", caution=1.5).stages(4) == Rungs(
        epochs=(1, 2, 4), caution=1.5
    )
    assert SearchSettings(rungs=()).stages(4) is None


@pytest.mark.parametrize(
    ("rungs", "caution", "message"),
    [
        ((), 1.0, "caution 1 needs rungs"),
        ((1, 9), None, "below the 4 epochs of a training, got 9"),
        ((2, 1), None, "rising"),
        ((4,), None, "at least two"),
        ((1,), -1.0, "caution must be at least 0"),
    ],
)
def test_rungs_that_make_no_sense_are_refused(
    rungs: tuple[int, ...], caution: float | None, message: str
) -> None:
    with pytest.raises(InvalidSetting, match=message):
        SearchSettings(rungs=rungs, caution=caution).stages(4)


@pytest.mark.parametrize("rungs", ["1,x", "", "1.5", "9"])
def test_the_command_refuses_them_in_one_line(
    rungs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search-baseline", "--run", str(tmp_path / "run"), "--rungs", rungs]) == 2
    said = capsys.readouterr().err
    assert said.startswith("autoscale: rungs must be")
    assert said.count("\n") == 1
