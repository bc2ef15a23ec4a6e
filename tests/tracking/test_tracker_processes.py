"""A tracker's library in its process: what reaches it, and that nothing of it reaches the work."""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from autoscale.distribution import EXTRAS, install
from autoscale.errors import InvalidSetting
from autoscale.tracking import mlflow, process, trackio, wandb
from autoscale.tracking.names import TRACKERS
from autoscale.tracking.point import Point, Subject
from autoscale.tracking.tracking import Tracking, require_trackers
from autoscale.tracking.writer import LIBRARIES
from tests.tracking.fake import fake_library, set_mood, told

POINTS = [Point(step=n, seconds=n / 2, values={"loss": 1 / n}) for n in (1, 2, 3)]


def tracking(run: Path, notices: list[str], names: Sequence[str] = ("wandb",)) -> Tracking:
    return Tracking.of(
        names,
        run=run,
        step="train",
        command="train",
        settings={"epochs": 3, "data": None},
        tell=notices.append,
    )


def done(run: Path, *, earlier: int = 0) -> list[str]:
    """A whole piece of work, of which so many points are of an earlier call; its notices."""
    notices: list[str] = []
    with tracking(run, notices) as tracked:
        tracked.begin(POINTS[:earlier])
        for point in POINTS[earlier:]:
            tracked.add(point)
        tracked.conclude({"accuracy": 0.5, "test accuracy": None})
    return notices


def test_a_library_is_told_settings_points_answer_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    assert done(tmp_path / "run") == []
    (begun,) = told(log, "init")
    assert begun["config"] == {"command": "train", "epochs": 3, "data": None}
    assert begun["name"] == "run/train"
    assert [(one["step"], one["values"]["loss"]) for one in told(log, "log")] == [
        (point.step, point.values["loss"]) for point in POINTS
    ]
    assert [one["values"] for one in told(log, "answer")] == [{"answer/accuracy": 0.5}]
    assert [one["code"] for one in told(log, "finish")] == [0]


def test_work_that_goes_on_is_told_in_the_same_run_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    with suppress(KeyboardInterrupt), tracking(tmp_path / "run", []) as tracked:
        tracked.begin([])
        tracked.add(POINTS[0])
        raise KeyboardInterrupt
    assert [one["code"] for one in told(log, "finish")] == [1]
    done(tmp_path / "run", earlier=1)
    done(tmp_path / "run", earlier=3)
    assert [one["id"] for one in told(log, "init")] == [None, "first", "first"]
    assert [one["step"] for one in told(log, "log")] == [1, 2, 3]
    assert len(told(log, "answer")) == 1


def test_points_of_earlier_calls_without_a_tracker_are_brought_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    done(tmp_path / "run", earlier=3)
    assert [one["step"] for one in told(log, "log")] == [1, 2, 3]


def test_a_run_whose_folder_is_gone_is_told_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    done(tmp_path / "run")
    next((tmp_path / "run" / "wandb").iterdir()).rmdir()
    done(tmp_path / "run", earlier=3)
    assert [one["id"] for one in told(log, "init")] == [None, None]
    assert [one["step"] for one in told(log, "log")] == [1, 2, 3] * 2


@pytest.mark.parametrize(
    ("mood", "cause", "kept"),
    [
        ("raises", "no account", []),
        ("full", "[Errno 28] No space left on device", [1]),
        ("dies", "its process ended with status 3", [1]),
    ],
)
def test_a_library_that_fails_costs_a_line_and_gets_the_rest_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mood: str, cause: str, kept: list[int]
) -> None:
    log = fake_library(tmp_path, monkeypatch, mood)
    assert done(tmp_path / "run") == [
        f"warning: wandb fails ({cause}) and is told no more; the work goes on, and the same "
        "command brings what it lacks"
    ]
    assert [one["step"] for one in told(log, "log")] == kept
    set_mood(monkeypatch, "")
    assert done(tmp_path / "run", earlier=3) == []
    assert [one["step"] for one in told(log, "log")] == [1, 2, 3]


def test_a_library_that_hangs_is_waited_for_at_the_end_alone_and_not_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_library(tmp_path, monkeypatch, "hangs")
    monkeypatch.setattr(process, "PATIENCE", 0.5)
    notices: list[str] = []
    tracked = tracking(tmp_path / "run", notices)
    many = [Point(step=n, seconds=n, values={"a" * 1000: n}) for n in range(1000)]
    before = time.monotonic()
    with tracked:
        tracked.begin(many)  # more than a pipe holds
        assert time.monotonic() - before < 10
    assert time.monotonic() - before < 20
    (notice,) = notices
    assert "wandb fails (it was not done after 0.5 s)" in notice


def test_what_a_library_prints_or_asks_for_reaches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log = fake_library(tmp_path, monkeypatch, "chatty")
    assert done(tmp_path / "run") == []
    assert capfd.readouterr() == ("", "")
    assert told(log, "prompted") == []
    assert len(told(log, "log")) == 3


def test_a_folder_named_like_the_library_where_one_works_is_not_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text("raise RuntimeError('wrong one')")
    monkeypatch.chdir(tmp_path)
    assert done(tmp_path / "run") == []
    assert len(told(log, "log")) == 3


def test_a_note_that_is_damaged_costs_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_library(tmp_path, monkeypatch)
    done(tmp_path / "run")
    (tmp_path / "run" / "train" / "wandb.json").write_text("{")
    (notice,) = done(tmp_path / "run", earlier=3)
    assert "not readable as JSON" in notice


def test_without_trackers_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("started"))
    tracked = tracking(tmp_path / "run", [], names=())
    assert not tracked
    with tracked:
        tracked.begin(POINTS)
        tracked.conclude({"a": 1})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_missing_is_told_with_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale.distribution.find_spec", lambda name: None)
    with pytest.raises(InvalidSetting) as refused:
        require_trackers([name])
    assert str(refused.value) == f"--track {name} needs {name}: {install(name)}"


def test_every_tracker_has_an_extra_of_its_name() -> None:
    assert set(TRACKERS) <= set(EXTRAS)
    assert set(TRACKERS) == {"tensorboard", *LIBRARIES}


SUBJECT = Subject(run="/runs/photos", step="train", command="train", settings={})


def test_by_default_everything_stays_in_the_run_directory() -> None:
    places = {
        mlflow: ("MLFLOW_TRACKING_URI", "sqlite:////runs/photos/mlflow/mlflow.db"),
        wandb: ("WANDB_DIR", "/runs/photos"),
        trackio: ("TRACKIO_DIR", "/runs/photos/trackio"),
    }
    for library, (name, place) in places.items():
        assert library.environment(SUBJECT, {})[name] == place
    assert wandb.environment(SUBJECT, {})["WANDB_MODE"] == "offline"
    assert wandb.environment(SUBJECT, {})["WANDB_ERROR_REPORTING"] == "false"
    assert mlflow.environment(SUBJECT, {})["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert trackio.environment(SUBJECT, {})["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_the_users_environment_says_goes_before(name: str) -> None:
    own = LIBRARIES[name].environment(SUBJECT, {})
    for variable in own:
        others = LIBRARIES[name].environment(SUBJECT, {variable: "theirs"})
        assert others == {n: value for n, value in own.items() if n != variable}


def test_a_space_may_be_reached() -> None:
    given = {"TRACKIO_SPACE_ID": "me/runs"}
    assert "HF_HUB_OFFLINE" not in trackio.environment(SUBJECT, given)


def test_the_jobs_load_no_library_of_a_tracker() -> None:
    code = (
        "import sys, autoscale.jobs.train.job, autoscale.jobs.search.job\n"
        "print({'mlflow', 'wandb', 'trackio', 'tensorboard'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found.stderr
