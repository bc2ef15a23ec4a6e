"""kill -9 of everything at random moments, and then the same command again."""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoscale.jobs.search.result import load_trials
from autoscale.runs.store import Journal
from autoscale.search.engine import Trial
from autoscale.search.identity import network_of
from tests.reliability.conftest import Rehearsal, lines_of, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 20
FEWER = 6  # with four workers, each of which takes seconds to start
TRIALS = 60


def search(run: Path, photos: Path, *more: object) -> list[object]:
    return ["search-baseline", "--run", run, "--data", photos, "--resolution", 16, "--trials",
            TRIALS, "--kernels", "none", "--sampler", "evolution", *more]  # fmt: skip


def grid(run: Path, photos: Path, small: Path, *more: object) -> list[object]:
    return ["grid", "--run", run, "--baseline", small, "--data", photos, "--rounding",
            "nearest,divisor=4", "--tolerance", "0.2", "--max-candidates", 16, "--seeds", 3,
            "--no-race", *more]  # fmt: skip


def killed_often(
    rehearsal: Rehearsal,
    command: Callable[[], list[object]],
    journal: Path,
    *,
    total: int,
    times: int = KILLS,
) -> int:
    """Begin the command and kill it, again and again; how often it was killed at work."""
    rng = random.Random(0)
    kills = 0
    while kills < times:
        before = lines_of(journal)
        process = rehearsal.start(*command())
        # Sometimes while it is still starting or reading, mostly between or within trainings.
        ahead = rng.choice([0, 1, 1, 2, 2, 3])
        wait_for(process, journal, min(before + ahead, total - 1))
        time.sleep(rng.uniform(0, 2.0 if ahead == 0 else 0.06))
        if process.poll() is None:
            rehearsal.kill(process)
            kills += 1
        else:
            break
    return kills


def identities(trials: tuple[Trial, ...]) -> Counter[Any]:
    return Counter((network_of(t.architecture), t.repetition) for t in trials if t.trained)


def test_a_search_that_was_killed_twenty_times_equals_the_unbroken_one(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    rehearsal.run(*search(whole, photos))
    journal = broken / "search" / "trials.jsonl"
    kills = killed_often(rehearsal, lambda: search(broken, photos), journal, total=TRIALS)
    assert kills == KILLS
    rehearsal.run(*search(broken, photos))
    for name in ("trials.jsonl", "trials.csv", "baseline.yaml", "baseline.json"):
        assert (broken / "search" / name).read_text() == (whole / "search" / name).read_text()


def test_a_grid_that_was_killed_twenty_times_equals_the_unbroken_one(
    rehearsal: Rehearsal, photos: Path, small: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    rehearsal.run(*grid(whole, photos, small))
    total = lines_of(whole / "grid" / "trainings.jsonl")
    journal = broken / "grid" / "trainings.jsonl"
    kills = killed_often(rehearsal, lambda: grid(broken, photos, small), journal, total=total)
    assert kills == KILLS
    rehearsal.run(*grid(broken, photos, small))
    for name in ("trainings.jsonl", "grid.csv", "rivals.csv", "coefficients.json"):
        assert (broken / "grid" / name).read_text() == (whole / "grid" / name).read_text()


def test_with_four_workers_nothing_is_lost_or_done_twice(
    rehearsal: Rehearsal, photos: Path, small: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    four = ("--workers", 4)
    journal = run / "search" / "trials.jsonl"
    command = search(run, photos, *four)
    killed_often(rehearsal, lambda: command, journal, total=TRIALS, times=FEWER)
    said = rehearsal.run(*command)
    assert "lock" not in said
    trials = load_trials(run)[2]
    assert sum(trial.trained for trial in trials) == TRIALS
    assert max(identities(trials).values()) == 1
    other = tmp_path / "other"
    journal = other / "grid" / "trainings.jsonl"
    rehearsal.run(*grid(tmp_path / "whole", photos, small))
    total = lines_of(tmp_path / "whole" / "grid" / "trainings.jsonl")
    command = grid(other, photos, small, *four)
    killed_often(rehearsal, lambda: command, journal, total=total, times=FEWER)
    rehearsal.run(*command)
    keys = Counter(record["key"] for record in Journal(journal).read())
    assert keys.keys() == {
        record["key"] for record in Journal(tmp_path / "whole" / "grid" / "trainings.jsonl").read()
    }
    assert max(keys.values()) == 1
