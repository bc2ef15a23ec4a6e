"""Faults in the middle of a search: it ends, says why, and no failed trial is on a front."""

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from autoscale.jobs.search.result import load_trials
from autoscale.search.identity import network_of
from tests.reliability.conftest import Rehearsal, lines_of, unwrapped, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CAUSES = {
    "nan": "the loss is nan in epoch 1",
    "memory": "memory ran out",
    "hang": "over the time limit of 1 s",
    "killed": "the worker process was killed (SIGKILL), perhaps for want of memory, in each of 2 "
    "tries",
}


def search(run: Path, photos: Path, *more: object, trials: int = 16) -> list[object]:
    return ["search-baseline", "--run", run, "--data", photos, "--resolution", 16, "--trials",
            trials, "--kernels", "none", "--sampler", "random", *more]  # fmt: skip


def processes_of(group: int) -> list[int]:
    """Processes of a process group, the leader left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        command = (stat.parent / "cmdline").read_text() if pid != group else ""
        if int(fields[2]) == group and "spawn_main" in command:
            found.append(pid)
    return found


@pytest.mark.parametrize("fault", CAUSES)
def test_a_fault_costs_the_trainings_that_it_befalls(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path, fault: str
) -> None:
    run = tmp_path / "run"
    options = ["--workers", 2, "--trial-timeout", 1, "--objective", "front", "--target", "400K"]
    said = rehearsal.run(*search(run, photos, *options), fault=fault)
    table = pd.read_csv(run / "search" / "trials.csv")
    failed = table[table.status == "failed"]
    assert len(table) == 16
    assert 0 < len(failed) < 16
    assert set(failed.cause) == {CAUSES[fault]}
    assert not failed.on_front.any()
    assert table.on_front.any()
    assert f"failed, {CAUSES[fault]}" in unwrapped(said)
    assert f"{len(failed)} failed" in said


def test_a_worker_killed_from_outside_costs_one_try(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    journal = run / "search" / "trials.jsonl"
    process = rehearsal.start(*search(run, photos, "--workers", 2), seconds=0.5)
    assert wait_for(process, journal, 3)
    os.kill(processes_of(process.pid)[0], signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    table = pd.read_csv(run / "search" / "trials.csv")
    assert list(table.status) == ["finished"] * 16


def test_workers_end_when_their_coordinator_is_killed(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = rehearsal.start(*search(run, photos, "--workers", 2), seconds=60)
    deadline = time.monotonic() + 120
    while len(processes_of(process.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(5)  # both sleep within a training
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while processes_of(process.pid):
        assert time.monotonic() < deadline + 30
        time.sleep(0.05)


def test_an_interruption_ends_the_workers_and_the_same_command_continues(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    journal = run / "search" / "trials.jsonl"
    process = rehearsal.start(*search(run, photos, "--workers", 2), seconds=0.3)
    assert wait_for(process, journal, 3)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    if process.returncode == -signal.SIGINT or "stopped; finished work is kept" in said:
        assert not processes_of(process.pid)
    else:
        pytest.fail(f"status {process.returncode}: {said}")
    kept = journal.read_bytes()
    assert lines_of(journal) >= 3
    rehearsal.run(*search(run, photos, "--workers", 2))
    assert journal.read_bytes().startswith(kept)
    assert sum(trial.trained for trial in load_trials(run)[2]) == 16


def test_images_that_vanish_or_break_stop_nobody_who_has_read_them(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    journal = run / "search" / "trials.jsonl"
    victims = sorted((photos / "red").iterdir())[:2]
    kept = [path.read_bytes() for path in victims]
    process = rehearsal.start(*search(run, photos, "--workers", 2), seconds=0.5)
    assert wait_for(process, journal, 3)
    victims[0].unlink()
    victims[1].write_bytes(b"torn")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    # From now on the search must not be mixed with other images.
    more = search(run, photos, "--workers", 2, trials=20)
    assert "images" in rehearsal.run(*more, expect=1)
    for path, content in zip(victims, kept, strict=True):
        path.write_bytes(content)
    rehearsal.run(*more)
    assert sum(trial.trained for trial in load_trials(run)[2]) == 20


def test_a_new_worker_that_finds_other_images_ends_the_search_and_not_its_work(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    journal = run / "search" / "trials.jsonl"
    victim = sorted((photos / "red").iterdir())[0]
    content = victim.read_bytes()
    process = rehearsal.start(*search(run, photos, "--workers", 2), seconds=0.5)
    assert wait_for(process, journal, 3)
    victim.unlink()
    os.kill(processes_of(process.pid)[0], signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == 1, said
    assert "have changed since the work began" in said
    assert "Traceback" not in said
    victim.write_bytes(content)
    done = lines_of(journal)
    rehearsal.run(*search(run, photos, "--workers", 2))
    assert lines_of(journal) > done
    assert sum(trial.trained for trial in load_trials(run)[2]) == 16


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let a test mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_ends_the_search_and_not_its_work(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        run = disk / "run"
        journal = run / "search" / "trials.jsonl"
        process = rehearsal.start(*search(run, photos, "--workers", 2), seconds=0.3)
        assert wait_for(process, journal, 3)
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1024))
            except OSError:
                pass
        said, _ = process.communicate()
        assert process.returncode == 1, said
        assert "No space left on device" in said
        assert "free some space" in said
        assert "Traceback" not in said
        kept = lines_of(journal)
        (disk / "filler").unlink()
        rehearsal.run(*search(run, photos, "--workers", 2))
        trials = load_trials(run)[2]
        assert sum(trial.trained for trial in trials) == 16
        assert len(trials) > kept >= 3
        trained = [network_of(trial.architecture) for trial in trials if trial.trained]
        assert len(trained) == len(set(trained))
    assert multiprocessing.active_children() == []
