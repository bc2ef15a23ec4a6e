"""The command line as a person types it: answers, refusals, interruptions."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from autoscale.cli.app import main
from autoscale.distribution import NAME, VERSION
from autoscale.errors import StorageProblem
from autoscale.runs import store
from tests.conftest import draw_photos

SMALL = {"--space": "tiny", "--resolution": "16", "--trials": "3", "--epochs": "1"}


def search(run: Path, photos: Path, *more: str) -> list[str]:
    usual = {**SMALL, "--data": str(photos)}
    words = [word for pair in usual.items() if pair[0] not in more for word in pair]
    return ["search-baseline", "--run", str(run), *words, *more]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search in `run` of the images in `photos`, to be copied."""
    folder = tmp_path_factory.mktemp("searched")
    assert main(search(folder / "run", draw_photos(folder / "photos"))) == 0
    return folder


@pytest.fixture
def run(searched: Path, tmp_path: Path) -> Path:
    """A finished search that a test may change; its images are left as they are."""
    shutil.copytree(searched / "run", tmp_path / "run")
    return tmp_path / "run"


def refused(capsys: pytest.CaptureFixture[str], status: int, arguments: list[str]) -> str:
    """The one line that a refusal prints."""
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("autoscale: ")
    assert "Traceback" not in captured.err
    return last


def test_search_grid_and_family_answer_machines_in_json(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    where = ["--run", str(run)]
    assert main(search(run, photos, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["trials"]) == 3
    assert "multiply-adds" in found["convention"]
    grid = ["grid", *where, "--flops-budget", "2x", "--tolerance", "0.2", "--max-candidates", "2",
            "--seeds", "1", "--no-rivals"]  # fmt: skip
    assert main([*grid, "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["trainings"] == 1
    assert plan["all_trainings"] == 2
    assert [row["seeds"] for row in plan["precision"]] == [1, 2, 3, 4, 5]
    assert "tf" in [row["rounding"] for row in plan["rounding"]]
    assert plan["seconds"] > 0
    assert plan["memory"] > 10_000
    assert not (run / "grid").exists()
    picture = tmp_path / "race.svg"
    assert main([*grid, "--json", "--plot", str(picture)]) == 0
    assert "How to grow to 2x the cost" in picture.read_text()
    assert set(json.loads(capsys.readouterr().out)["coefficients"]) == {"alpha", "beta", "gamma"}
    assert main(["family", *where, "--phi", "0..2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["members"]) == 3


def test_people_get_tables_with_the_convention_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(search(run, photos)) == 0
    captured = capsys.readouterr()
    assert "Baseline: trial" in captured.out
    assert "multiply-adds of convolutions and linear layers" in captured.out
    assert re.search(r"3 trainings of 1 epochs? on [\d,]+ images", captured.err)


def test_spaces_are_listed_with_size_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces"]) == 0
    shown = capsys.readouterr().out
    for name in ("mnasnet", "mbconv-small", "nas-bench-macro", "tiny"):
        assert name in shown
    assert "6,561" in shown


def test_help_has_an_example_for_every_long_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("search-baseline", "check-baseline", "grid", "family"):
        assert main([command, "--help"]) == 0
        assert f"autoscale {command}" in capsys.readouterr().out


def test_help_shows_defaults_that_depend_on_other_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["grid", "--help"]) == 0
    assert "[default: 2x]" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{NAME} {VERSION}\n"


def test_help_does_not_wait_for_torch() -> None:
    script = (
        "import sys; from autoscale.cli.app import main; main(['--help']); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


# Refusals


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 2, search(tmp_path / "run", tmp_path / "nowhere"))
    assert "nowhere" in said


def test_an_empty_class(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "violet").mkdir()
    assert "violet" in refused(capsys, 1, search(tmp_path / "run", photos))


def test_one_class_only(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("red", "blue"):
        shutil.rmtree(photos / name)
    assert "at least 2 are needed" in refused(capsys, 1, search(tmp_path / "run", photos))


def test_unreadable_files_are_named_and_skipped_or_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = tmp_path / "split"
    shutil.copytree(photos, split / "validation")
    photos.rename(split / "train")
    whole = (split / "train" / "red" / "00.png").read_bytes()
    (split / "train" / "red" / "torn.png").write_bytes(whole[: len(whole) // 2])
    (split / "validation" / "blue" / "notes.jpg").write_text("no image")
    assert main(search(tmp_path / "run", split)) == 0
    said = capsys.readouterr().err
    assert "torn.png" in said
    assert "notes.jpg" in said
    assert "2 unreadable files skipped" in said
    assert "torn.png" in refused(capsys, 1, search(tmp_path / "strict", split, "--strict"))


def test_a_space_file_with_a_typing_mistake(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(
        "name: mine\nresolution: 16\nstem: {width: 8}\nstages:\n  - {width: 8, kernl: [3, 5]}\n"
    )
    said = refused(capsys, 1, search(tmp_path / "run", photos, "--space", str(space)))
    assert "mine.yaml:5:" in said
    assert "kernl: unknown key; did you mean kernel?" in said


def test_a_budget_that_nothing_meets(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    said = refused(capsys, 1, ["grid", "--run", str(run), "--flops-budget", "90x"])
    assert "within 0.05 of 90x" in said
    assert "the nearest grid point" in said


def test_a_run_directory_of_another_command(
    searched: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    said = refused(capsys, 1, search(run, searched / "photos", "--seed", "5"))
    assert "--seed 0 there, asked for --seed 5" in said
    assert "choose another --run" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sampler", "grid"], "choose from guided, evolution"),
        (["--trials", "0"], "trials must be at least 1, got 0"),
        (["--trials", "many"], "valid integer"),
        (["--objective", "best"], "choose from hard, soft, front"),
        (["--target", "5Q"], "5Q"),
        (["--space", "none"], "choose from device, lite, mbconv-small"),
        (["--recipe", "none"], "choose from"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--resolution", "2"], "2"),
        (["--resolution", "96x160"], "the width goes by --aspect, as in --resolution 96"),
        (["--nonsense"], "--nonsense"),
        (["--seed", "-1"], "seed must be at least 0"),
        (["--confirm", "-1"], "confirm must be at least 0"),
        (["--objective", "soft", "--w", "nan"], "w must be a finite number, got nan"),
        (["--objective", "soft", "--w", "1"], "must lie in"),
        (["--data", ""], "data must not be empty"),
        (["--device", "potato"], "potato"),
    ],
)
def test_wrong_usage_has_status_2(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert said in refused(capsys, 2, search(tmp_path / "run", photos, *arguments))
    assert not (tmp_path / "run" / "search" / "trials.jsonl").exists()


def test_a_full_disk_keeps_finished_trials_and_the_same_command_goes_on(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    append = store.Journal.append
    written = 0

    def full_after_two(journal: store.Journal, record: dict[str, object]) -> None:
        nonlocal written
        if written == 2:
            raise StorageProblem(f"{journal.path}: No space left on device; free some space")
        written += 1
        append(journal, record)

    monkeypatch.setattr(store.Journal, "append", full_after_two)
    assert "free some space" in refused(capsys, 1, search(run, photos))
    monkeypatch.undo()
    kept = (run / "search" / "trials.jsonl").read_text()
    assert main(search(run, photos)) == 0
    assert (run / "search" / "trials.jsonl").read_text().startswith(kept)
    assert len(kept.splitlines()) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root only")
def test_a_disk_that_is_really_full(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let a test mount a small disk")
    try:
        (disk / "filler").write_bytes(bytes(56 * 1024))
        said = refused(capsys, 1, search(disk / "run", photos, "--trials", "30"))
        assert "No space left on device" in said
        (disk / "filler").unlink()
        assert main(search(disk / "run", photos)) == 0
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_longer_search_with_another_baseline_is_not_mixed_with_the_old_grid(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["grid", "--run", str(run), "--tolerance", "0.2", "--max-candidates", "1",
            "--no-rivals"]  # fmt: skip
    assert main(grid) == 0
    before = (run / "search" / "baseline.yaml").read_text()
    other = run / "search" / "baseline.json"
    found = json.loads(other.read_text())
    other.write_text(json.dumps({"trial": (found["trial"] + 1) % 3, "accuracies": [0.5]}))
    capsys.readouterr()
    assert before
    for command in (grid, ["family", "--run", str(run), "--phi", "0"]):
        said = refused(capsys, 1, command)
        assert "around another baseline than the search has now" in said


def test_images_that_changed_since_the_search_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(search(run, photos)) == 0
    shutil.copytree(photos / "red", photos / "violet")
    capsys.readouterr()
    for command in ("grid", "check-baseline"):
        said = refused(capsys, 1, [command, "--run", str(run)])
        assert "are not those of the search" in said


def test_images_that_were_moved_are_found_with_data(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(search(run, photos)) == 0
    moved = photos.rename(tmp_path / "moved")
    capsys.readouterr()
    grid = ["grid", "--run", str(run), "--tolerance", "0.2", "--max-candidates", "1", "--no-rivals"]
    assert "no such folder" in refused(capsys, 2, grid)
    assert main([*grid, "--data", str(moved)]) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("search/settings.json", '{"format": 1, "settings": {}}'),
        ("search/settings.json", '{"format": 1, "settings": {"space": 3}, "notes": {}}'),
        ("search/settings.json", "[]"),
        ("search/baseline.json", '{"trial": 99, "accuracies": []}'),
        ("search/trials.jsonl", '{"number": 0, "status": "bogus"}\n'),
        ("search/trials.jsonl", '{"number": 1}\n'),
        ("search/trials.jsonl", "\x00\n"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    (run / name).write_text(content)
    capsys.readouterr()
    refused(capsys, 1, ["grid", "--run", str(run)])


# Interruptions


def started(arguments: list[str], journal: Path, *, lines: int) -> subprocess.Popen[bytes]:
    """The command in a process of its own, once its journal has so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "autoscale", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # A test run in the background may have been told to ignore interruptions.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"{arguments} did not write {lines} records in time")


def outcome(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "search" / "trials.csv").drop(columns="seconds")


def test_a_killed_search_is_finished_by_the_same_command(photos: Path, tmp_path: Path) -> None:
    longer = ["--trials", "8", "--epochs", "4"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(search(whole, photos, *longer)) == 0
    journal = broken / "search" / "trials.jsonl"
    process = started(search(broken, photos, *longer), journal, lines=3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = journal.read_text()
    assert 3 <= len(kept.splitlines()) < 8
    assert main(search(broken, photos, *longer)) == 0
    assert journal.read_text().startswith(kept[: kept.rfind("\n") + 1])
    pd.testing.assert_frame_equal(outcome(broken), outcome(whole))
    assert (broken / "search" / "baseline.yaml").read_text() == (
        whole / "search" / "baseline.yaml"
    ).read_text()


def test_ctrl_c_promises_that_the_same_command_continues(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = search(run, photos, "--trials", "40", "--epochs", "4")
    process = started(arguments, run / "search" / "trials.jsonl", lines=2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == (
        "autoscale: stopped; finished work is kept, the same command continues"
    )


def test_decoded_images_are_kept_where_the_user_says(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCALE_CACHE", str(tmp_path / "elsewhere"))
    place = ["--cache", str(tmp_path / "cache")]
    assert main([*place, *search(tmp_path / "run", photos, "--kernels", "torch")]) == 0
    assert len(list((tmp_path / "cache" / "images").glob("*.npy"))) == 2  # no test images
    assert not (tmp_path / "elsewhere").exists()
