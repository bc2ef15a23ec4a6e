"""Run directories whose files were damaged: refused in one line and left alone, or used."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.robustness.attempts import attempt, contents, is_clear, seeds
from tests.robustness.conftest import Finished
from tests.robustness.mutations import damaged_bytes, damaged_json, damaged_lines, damaged_yaml

Copy = Callable[[], Finished]

#: Commands that read each step's files.
READERS = {
    "search": ("search", "longer", "grid", "plan", "check", "calibrate", "family", "status"),
    "grid": ("grid", "family", "status"),
    "check": ("check", "status"),
    "family": ("family", "train", "count", "status"),
    "train": ("train", "export", "status"),
}
FILES = (
    "search/settings.json", "search/trials.jsonl", "search/baseline.json", "search/baseline.yaml",
    "search/optuna.journal", "check/settings.json", "check/trainings.jsonl", "check/check.json",
    "grid/settings.json", "grid/trainings.jsonl", "grid/coefficients.json",
    "family/settings.json", "family/members.jsonl", "family/phi-0.yaml", "train/settings.json",
    "train/epochs.jsonl", "train/last.safetensors", "train/best.safetensors", "train/result.json",
    "search/job.yaml", "family/job.yaml",
)  # fmt: skip


def damage(path: Path, rng: random.Random) -> str:
    """Damage a file in one of many ways; what was done to it."""
    content = path.read_bytes()
    kind = rng.random()
    if kind < 0.05:
        path.unlink()
        return "missing"
    if kind < 0.10:
        path.unlink()
        path.mkdir()
        (path / "inside").write_text("x")
        return "a folder"
    if kind < 0.13:
        path.unlink()
        path.symlink_to(rng.choice((path.name, "nowhere")))
        return "a link to itself or to nothing"
    if kind < 0.15:
        path.unlink()
        os.mkfifo(path)
        return "a pipe"
    if path.suffix == ".json":
        path.write_bytes(damaged_json(content, rng))
    elif path.suffix in (".jsonl", ".journal"):
        path.write_bytes(damaged_lines(content, rng))
    elif path.suffix == ".yaml":
        path.write_bytes(damaged_yaml(content.decode(), rng))
    else:
        path.write_bytes(damaged_bytes(content, rng))
    return "other content"


def unnoted(files: dict[str, bytes | None]) -> dict[str, object]:
    """Files by name, `settings.json` without the notes of the last command, and no job files."""
    kept: dict[str, object] = {
        name: content for name, content in files.items() if not name.endswith("job.yaml")
    }
    for name, content in files.items():
        if name.endswith("settings.json") and content is not None:
            try:
                kept[name] = {**json.loads(content), "notes": None}
            except (ValueError, TypeError, RecursionError):
                kept[name] = content
    return kept


@pytest.mark.parametrize("seed", seeds(20, 400))
def test_a_damaged_file_is_refused_and_the_run_left_alone_or_it_is_used(
    copied: Copy, whole: Finished, seed: int
) -> None:
    rng = random.Random(seed)
    made = copied()
    name = rng.choice(FILES)
    file = made.run / name
    done = damage(file, rng)
    reader = rng.choice(READERS[name.partition("/")[0]])
    before = contents(made.run)
    answer = attempt(*made.commands[reader])
    assert is_clear(answer), (name, done, reader)
    if answer.status:
        assert unnoted(contents(made.run)) == unnoted(before), (name, done, reader)
        remove(file)
        file.write_bytes((whole.run / name).read_bytes())
        again = attempt(*made.commands[reader if reader != "calibrate" else "status"])
        assert again.status == 0, (name, done, reader, again)


def remove(path: Path) -> None:
    """Whatever stands there."""
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            inner.unlink()
        path.rmdir()
    elif os.path.lexists(path):
        path.unlink()


# Versions


@pytest.mark.parametrize(
    ("file", "reader"),
    [
        ("search/settings.json", "search"),
        ("search/settings.json", "grid"),
        ("search/baseline.json", "family"),
        ("check/settings.json", "check"),
        ("grid/settings.json", "grid"),
        ("grid/coefficients.json", "family"),
        ("family/settings.json", "family"),
        ("family/phi-0.yaml", "train"),
        ("family/phi-0.yaml", "count"),
        ("train/settings.json", "train"),
        ("train/last.safetensors", "train"),
        ("train/best.safetensors", "export"),
    ],
)
def test_every_file_that_is_read_again_says_its_version_and_a_newer_one_is_refused(
    copied: Copy, file: str, reader: str
) -> None:
    made = copied()
    path = made.run / file
    # Quotes are escaped where JSON stands in a header of JSON, and there are none in YAML.
    content = re.sub(rb'(format(?:\\?")?: )[12]', rb"\g<1>9", path.read_bytes())
    assert content != path.read_bytes(), f"{file} says no version"
    path.write_bytes(content)
    before = contents(made.run)
    answer = attempt(*made.commands[reader])
    assert answer.status in (1, 2)
    assert is_clear(answer)
    assert "newer autoscale: format 9" in answer.refusal
    assert "upgrade autoscale" in answer.refusal
    assert contents(made.run) == before


@pytest.mark.parametrize("file", ["search/baseline.json", "grid/coefficients.json"])
def test_a_result_from_before_versions_is_read(copied: Copy, file: str) -> None:
    made = copied()
    found = json.loads((made.run / file).read_text())
    del found["format"]
    (made.run / file).write_text(json.dumps(found))
    assert attempt(*made.commands["family"]).status == 0


def test_a_design_and_weights_from_before_versions_are_read(copied: Copy) -> None:
    made = copied()
    design = made.run / "family" / "phi-0.yaml"
    design.write_text(design.read_text().replace("format: 1\n", ""))
    assert attempt(*made.commands["count"]).status == 0


# Copies


def test_a_run_that_was_copied_elsewhere_goes_on_there(copied: Copy, whole: Finished) -> None:
    made = copied()
    before = contents(whole.run)
    for name in ("search", "check", "grid", "family", "train"):
        answer = attempt(*made.commands[name])
        assert answer.status == 0, answer
    ours = contents(made.run)
    for name in before:
        if name.endswith((".jsonl", "baseline.yaml", ".csv", "coefficients.json", "check.json")):
            assert ours[name] == before[name], name
    assert attempt(*made.commands["longer"]).status == 0
    lines = (made.run / "search" / "trials.jsonl").read_bytes()
    assert lines.startswith((whole.run / "search" / "trials.jsonl").read_bytes())
    assert contents(whole.run) == before
