"""Space files that were damaged: refused with their name in one line, or read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from autoscale.errors import InvalidSpace
from autoscale.jobs.search.spaces import load_space
from tests.robustness.attempts import attempt, is_clear, seeds
from tests.robustness.mutations import damaged_yaml

TEXTS = [
    path.read_text() for path in sorted((Path(__file__).parents[2] / "search_spaces").iterdir())
]
SMALL = [text for text in TEXTS if len(text) < 1500]
#: A thousand cost a minute or two, the fast ones seconds.
FAST = 8


@pytest.mark.parametrize("tens", seeds(FAST, 200))
def test_a_damaged_space_is_refused_by_name_or_read(tens: int, tmp_path: Path) -> None:
    refusals = []
    for seed in range(10 * tens, 10 * tens + 10):
        rng = random.Random(f"space {seed}")
        file = tmp_path / "mine.yaml"
        file.write_bytes(damaged_yaml(rng.choice(SMALL if tens < FAST else TEXTS), rng))
        try:
            space = load_space(str(file))
        except InvalidSpace as problem:
            refusals.append(str(problem))
        else:
            space.sample(rng)  # what was read is a space
    assert all("mine.yaml" in said and "\n" not in said for said in refusals)
    assert refusals


@pytest.mark.parametrize("seed", seeds(10, 25))
def test_the_command_refuses_a_damaged_space_in_one_line_and_makes_no_run(
    seed: int, tmp_path: Path
) -> None:
    rng = random.Random(f"command {seed}")
    file, run = tmp_path / "mine.yaml", tmp_path / "run"
    file.write_bytes(damaged_yaml(rng.choice(SMALL), rng))
    (tmp_path / "photos" / "one").mkdir(parents=True)  # refused after the space, if that is read
    answer = attempt("search-baseline", "--space", file, "--data", tmp_path / "photos", "--run",
                     run, "--kernels", "torch")  # fmt: skip
    assert answer.status in (1, 2)
    assert is_clear(answer)
    assert not run.exists()


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/", ".", "/proc/self/mem"])
def test_a_space_that_is_no_file_is_refused(place: str, tmp_path: Path) -> None:
    answer = attempt("search-baseline", "--space", place, "--run", tmp_path / "run")
    assert answer.status in (1, 2)
    assert is_clear(answer)
    assert place in answer.refusal
