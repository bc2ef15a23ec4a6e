"""`--hours`: a job ends in time with the best answer so far, which its number gives again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autoscale
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.status import run_status
from autoscale.jobs import clock
from autoscale.jobs.deadline import GRACE, RESERVE, SLACK, Deadline, Pacer
from autoscale.jobs.grown.result import GrownMember
from autoscale.jobs.nested.settings import TrainFamilySettings
from autoscale.jobs.search.result import load_baseline
from autoscale.jobs.search.settings import CheckSettings
from autoscale.jobs.train import hours
from autoscale.jobs.train.hours import most_epochs
from autoscale.jobs.workers.estimate import Pace
from autoscale.listener import Progress, Silent
from autoscale.runs.store import StepFolder
from tests.conftest import Heard
from tests.jobs.test_grown_family import family


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Slow(Heard):
    """Lets the time pass with each piece of work."""

    def __init__(self, time: Time, each: float, stop_after: int = 10**6) -> None:
        super().__init__(stop_after)
        self._time, self._each = time, each

    def progress(self, progress: Progress) -> None:
        self._time.seconds += self._each
        super().progress(progress)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "monotonic", made)
    return made


@pytest.fixture
def told_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch takes a minute, and its evaluation five seconds."""
    found = Pace(begin=0.0, epoch=60.0, evaluation=5.0)
    monkeypatch.setattr(hours, "pace_of", lambda *_, **__: found)


def deadline(folder: Path, hours: float, listener: Any = None) -> Deadline:
    found = Deadline.of(hours, StepFolder(folder, "step"), listener or Silent(), since=clock.now())
    assert found is not None
    return found


# The deadline


def test_time_is_that_of_all_calls(tmp_path: Path, time: Time) -> None:
    first = deadline(tmp_path, 1)
    assert first.left == pytest.approx((1 - RESERVE) * 3600)
    time.seconds = 1000
    first.clock.note()
    again = deadline(tmp_path, 1)
    time.seconds = 1100
    assert again.left == pytest.approx((1 - RESERVE) * 3600 - 1100)
    assert not again.late((1 + GRACE) * 3600 - 1101)
    assert again.late((1 + GRACE) * 3600 - 1099)
    assert Deadline.of(None, StepFolder(tmp_path, "step"), Silent(), since=0.0) is None


def test_too_little_time_says_how_much_would_do(tmp_path: Path, time: Time) -> None:
    found = deadline(tmp_path, 0.01)
    with pytest.raises(InvalidSetting, match=r"leaves 34 s, .* 1 min 40 s; give --hours 0\.03 "):
        found.require(100.0, "one training")
    deadline(tmp_path, 0.03).require(100.0, "one training")


def test_what_is_told_to_be_left_is_never_more_than_the_time(tmp_path: Path, time: Time) -> None:
    heard = Heard()
    found = deadline(tmp_path, 0.1, heard)
    for left in (10.0, 1e6, None):
        found.progress(Progress(done=1, total=2, note="", best="", seconds_left=left))
    told = [progress.seconds_left for progress in heard.done]
    assert told == [10.0, pytest.approx(342.0), None]


@settings(max_examples=30)
@given(st.lists(st.floats(1.0, SLACK), min_size=40, max_size=40), st.integers(0, 3))
def test_trainings_of_about_one_length_end_in_time_with_what_comes_behind_them(
    lengths: list[float], behind: int
) -> None:
    time, total = Time(), 30.0

    class Still:
        def read(self) -> list[Any]:
            return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "monotonic", time)
        counted = clock.Clock(Still(), Silent())  # type: ignore[arg-type]
        pacer = Pacer(Deadline(hours=total / 3600, clock=counted), estimate=1.0, behind=behind)
        done = 0
        while pacer.allows():
            time.seconds += lengths[done]
            pacer.took(lengths[done])
            done += 1
    assert pacer.ended
    assert time.seconds + behind * max(lengths) <= total
    assert time.seconds + (1 + behind) * SLACK * max(lengths[:done]) > (1 - RESERVE) * total


@given(st.floats(0.1, 30), st.integers(1, 60), st.floats(0.5, 20))
def test_the_most_epochs_fit_and_one_more_does_not(each: float, most: int, minutes: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "monotonic", Time())
        found = deadline(Path("nowhere"), minutes / 60)
        if each > found.left:
            with pytest.raises(InvalidSetting, match="one epoch would take about"):
                most_epochs(lambda epochs: each * epochs, most, found, "one epoch")
            return
        epochs = most_epochs(lambda epochs: each * epochs, most, found, "one epoch")
        assert 1 <= epochs <= most
        assert each * epochs <= found.left
        assert epochs == most or each * (epochs + 1) > found.left


# A search, and what comes after it


def search(run: Path, **options: Any) -> Any:
    return autoscale.search_baseline(
        run, data="synthetic", limit=64, space="tiny", resolution=16, epochs=1, kernels="none",
        **({"trials": 5} | options),
    )  # fmt: skip


def judged(run: Path) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, t.score and t.score.accuracy) for t in load_baseline(run).trials]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose search was asked for three networks."""
    run = tmp_path_factory.mktemp("hours") / "run"
    search(run, trials=3)
    return run


def test_a_search_ends_in_time_with_what_as_many_trials_give(
    searched: Path, tmp_path: Path, time: Time
) -> None:
    run, slow = tmp_path / "run", Slow(time, 60)
    found = search(run, hours=0.05, listener=slow)
    assert time.seconds == 180
    assert found.trial.number == load_baseline(searched).trial.number
    assert judged(run) == judged(searched)
    assert (run / "search/baseline.yaml").read_bytes() == (
        searched / "search/baseline.yaml"
    ).read_bytes()
    told = "--hours 0.05 ended the search after 3 of 5 trainings; --trials 3 repeats it"
    assert told in slow.notices
    kept = json.loads((run / "search/baseline.json").read_text())
    assert (kept["trained"], kept["hours"]) == (3, 0.05)
    assert run_status(run).steps[0].state == "finished"


def test_a_search_goes_on_with_more_hours_and_counts_those_before(
    tmp_path: Path, time: Time
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(run, hours=0.05, listener=Slow(time, 60, stop_after=2))
    again = Slow(time, 60)
    search(run, hours=0.05, listener=again)
    assert len(again.done) == 1
    search(run, hours=0.05, listener=(nothing := Slow(time, 60)))
    assert not nothing.done
    search(run, hours=1, listener=(rest := Slow(time, 60)))
    assert len(rest.done) == 2
    assert "hours" not in json.loads((run / "search/baseline.json").read_text())


def test_calls_that_train_nothing_take_no_time(tmp_path: Path, time: Time) -> None:
    class Reading(Heard):
        """Lets the time pass with each line that is told."""

        def notice(self, text: str) -> None:
            time.seconds += 600
            super().notice(text)

    run = tmp_path / "run"
    search(run, trials=2, hours=1, listener=Slow(time, 60))
    kept = (run / "search/clock.jsonl").read_bytes()
    for _ in range(3):
        search(run, trials=2, hours=1, listener=(idle := Reading()))
        assert idle.notices
    with pytest.raises(RunConflict):
        search(run, trials=2, hours=1, seed=1, listener=Reading())
    assert (run / "search/clock.jsonl").read_bytes() == kept
    with pytest.raises(KeyboardInterrupt):  # its first training is not over
        search(run, trials=3, hours=1, listener=Slow(time, 60, stop_after=1))
    assert (run / "search/clock.jsonl").read_bytes() != kept


def test_a_search_keeps_time_for_what_confirms_it(tmp_path: Path, time: Time) -> None:
    slow = Slow(time, 60)
    with pytest.raises(InvalidSetting, match="5 trainings in a row would take about"):
        search(tmp_path / "one", hours=0.0001, confirm=2, listener=slow)
    search(tmp_path / "two", hours=0.05, confirm=2, listener=slow)
    assert [progress.total for progress in slow.done] == [5, 5, 5, 4, 4, 4, 4]


def test_a_check_ends_in_time_and_compares_what_there_is(
    searched: Path, tmp_path: Path, time: Time
) -> None:
    run, slow = tmp_path / "run", Slow(time, 60)
    shutil.copytree(searched, run)
    found = autoscale.check_baseline(run, networks=4, seeds=2, hours=0.07, listener=slow)
    assert (len(found.baseline), len(found.random)) == (2, 2)
    assert "--hours 0.07 ended the check after 2 of 4 random networks" in slow.notices
    whole = autoscale.check_baseline(run, networks=4, seeds=2, hours=1, listener=slow)
    assert (len(whole.random), len(slow.done)) == (4, 6)


def test_a_grid_ends_in_time_and_its_verdict_says_so(
    searched: Path, tmp_path: Path, time: Time
) -> None:
    options: dict[str, Any] = {"flops_budget": "1.5x", "max_candidates": 3, "seeds": 2}
    run, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(searched, run)
    shutil.copytree(searched, other)
    found = autoscale.grid_search(run, **options, hours=0.05, listener=Slow(time, 60))
    assert "; --hours 0.05 ended the race after 3 trainings, before it was over" in found.sentence
    again = autoscale.grid_search(other, **options, trainings=3)
    assert again.observations == found.observations
    assert again.coefficients == found.coefficients
    assert again.ended_by is None
    kept = json.loads((run / "grid/coefficients.json").read_text())
    assert (kept["trainings"], kept["hours"], kept["verdict"]) == (3, 0.05, found.sentence)
    autoscale.write_family(run, phi="0,1")


def test_published_networks_have_no_share_in_the_hours() -> None:
    with pytest.raises(InvalidSetting, match=r"--hours 1\.0 and --rival .* exclude each other"):
        CheckSettings(hours=1, reference=("lite0.pth",))


# Trainings


def network(folder: Path) -> str:
    return str(family(folder / "with-a-family") / "family" / "phi-0.yaml")


def trained(run: Path, design: str, photos: Path, **options: Any) -> Any:
    asked = {"epochs": 20, "batch_size": 8, "kernels": "torch", "recipe": "proxy"}
    return autoscale.train(design, run, data=str(photos), **(asked | options))


@pytest.mark.usefixtures("told_epochs")
def test_a_training_has_as_many_epochs_as_fit_and_ends_as_one_of_so_many(
    tmp_path: Path, photos: Path, time: Time
) -> None:
    design, slow = network(tmp_path), Slow(time, 65)
    found = trained(tmp_path / "run", design, photos, hours=0.1, listener=slow)
    assert any("5 of 20 epochs fit into --hours 0.1" in line for line in slow.notices)
    assert time.seconds == 325
    own = trained(tmp_path / "own", design, photos, epochs=5)
    assert found.weights.read_bytes() == own.weights.read_bytes()
    assert found.result == own.result
    again = trained(tmp_path / "run", design, photos, hours=0.1, listener=(more := Heard()))
    assert (again, more.done) == (found, [])
    with pytest.raises(RunConflict, match=r"recipe.epochs is 5 there|--epochs 20"):
        trained(tmp_path / "run", design, photos)


@pytest.mark.usefixtures("told_epochs")
def test_a_training_that_becomes_too_slow_ends_after_a_whole_epoch_and_may_go_on(
    tmp_path: Path, photos: Path, time: Time
) -> None:
    design, slow = network(tmp_path), Slow(time, 100)
    found = trained(tmp_path / "run", design, photos, hours=0.1, listener=slow)
    assert len(found.epochs) == 4  # of 5: 5 % after the time
    assert any("the training ends after epoch 4" in line for line in slow.notices)
    late = trained(tmp_path / "run", design, photos, hours=0.1)
    assert len(late.epochs) == 4
    whole = trained(tmp_path / "run", design, photos, hours=10)
    own = trained(tmp_path / "own", design, photos, epochs=5)
    assert whole.weights.read_bytes() == own.weights.read_bytes()
    assert whole.result == own.result


@pytest.mark.usefixtures("told_epochs")
def test_time_for_no_epoch_is_refused_before_anything_is_written(
    tmp_path: Path, photos: Path, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = network(tmp_path)
    with pytest.raises(InvalidSetting, match=r"one epoch of phi-0 would take .*; give --hours 0\."):
        trained(tmp_path / "run", design, photos, hours=0.01)
    assert not (tmp_path / "run" / "train" / "settings.json").exists()


def test_epochs_are_chosen_by_the_pace_of_the_training_itself(tmp_path: Path, photos: Path) -> None:
    heard = Heard()
    found = trained(tmp_path / "run", network(tmp_path), photos, epochs=2, hours=1, listener=heard)
    assert len(found.epochs) == 2
    assert any("2 of 2 epochs fit into --hours 1: one takes about" in n for n in heard.notices)


@pytest.mark.usefixtures("told_epochs")
@pytest.mark.parametrize("grow", [False, True])
def test_a_family_is_trained_in_time(tmp_path: Path, photos: Path, time: Time, grow: bool) -> None:
    options: dict[str, Any] = {
        "data": str(photos), "batch_size": 8, "kernels": "torch", "recipe": "proxy", "grow": grow,
    }  # fmt: skip
    run, other = (family(tmp_path / name, phi="0,1") for name in ("run", "other"))
    more = {"epochs": 8, **({"grown_epochs": 4} if grow else {})}
    with pytest.raises(KeyboardInterrupt):
        autoscale.train_family(
            run, hours=0.13, **more, **options, listener=Slow(time, 60, stop_after=2)
        )
    found = autoscale.train_family(run, hours=0.13, **more, **options, listener=Slow(time, 60))
    chosen = {"epochs": 4, "grown_epochs": 2} if grow else {"epochs": 6}
    again = autoscale.train_family(other, **chosen, **options)
    assert found.largest.weights.read_bytes() == again.largest.weights.read_bytes()
    assert [m.validation_accuracy for m in found.members] == [
        m.validation_accuracy for m in again.members
    ]
    if grow:
        assert [m.epochs for m in found.members if isinstance(m, GrownMember)] == [4, 2]
    assert time.seconds <= 0.13 * 3600


def test_several_processes_keep_no_hours(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from autoscale.jobs.train.begin import begun
    from autoscale.jobs.train.settings import TrainSettings
    from autoscale.training.process_group import ALONE

    asked = TrainSettings(network=network(tmp_path), data=str(photos), kernels="torch")
    one = begun(asked, StepFolder(tmp_path / "run", "train"), ALONE, Silent())
    two = replace(one, peers=replace(ALONE, size=2))
    with pytest.raises(InvalidSetting, match="torchrun started 2; say with --epochs"):
        hours.in_time(two, 1.0, since=0.0)
    assert hours.in_time(two, None, since=0.0) is two
    assert TrainFamilySettings(hours=1).hours == 1
