"""A finished run, made once, and copies of it to be damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import draw_photos
from tests.robustness.attempts import attempt


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with every step in it, and the commands that made it."""

    run: Path
    photos: Path

    @property
    def commands(self) -> dict[str, list[object]]:
        """By name; each trains nothing when it is repeated."""
        run = ["--run", self.run]
        return {
            "search": ["search-baseline", *run, "--data", self.photos, "--space", "tiny",
                       "--resolution", 16, "--trials", 3, "--epochs", 1],
            "check": ["check-baseline", *run, "--networks", 2, "--seeds", 2],
            "grid": ["grid", *run, "--tolerance", 0.2, "--max-candidates", 2, "--seeds", 1,
                     "--no-rivals"],
            "family": ["family", *run, "--phi", "0..1"],
            "train": ["train", self.run / "family" / "phi-0.yaml", *run, "--data", self.photos,
                      "--recipe", "proxy", "--epochs", 1],
            "plan": ["grid", *run, "--max-candidates", 2, "--seeds", 1, "--no-rivals", "--plan"],
            "calibrate": ["calibrate-w", *run],
            "longer": ["search-baseline", *run, "--data", self.photos, "--space", "tiny",
                       "--resolution", 16, "--trials", 4, "--epochs", 1],
            "latency": ["search-baseline", "--run", self.run.parent / "other", "--data",
                        self.photos, "--space", "tiny", "--resolution", 16, "--cost", "latency",
                        "--target",
                        "12ms", "--max-flops", 1, "--kernels", "torch"],
            "report": ["report", *run],
            "evaluate": ["evaluate", self.run / "train" / "best.safetensors", "--data",
                         self.photos],
            "predict": ["predict", self.photos / "red" / "00.png", "--model",
                        self.run / "train" / "best.safetensors"],
            "status": ["status", self.run],
            "count": ["count", self.run / "family" / "phi-0.yaml"],
            "export": ["export", self.run / "train" / "best.safetensors", self.run.parent / "out",
                       "--to", "safetensors"],
        }  # fmt: skip


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Search, check, grid, family and training, of 16 pixels."""
    place = tmp_path_factory.mktemp("whole")
    made = Finished(place / "run", draw_photos(place / "photos"))
    for name in ("search", "check", "grid", "family", "train"):
        answer = attempt(*made.commands[name])
        assert answer.status == 0, answer
    return made


@pytest.fixture
def copied(whole: Finished, tmp_path: Path) -> Callable[[], Finished]:
    """A fresh copy of the run in another place; asked again, another fresh one there."""

    def copy() -> Finished:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(whole.run, tmp_path / "copy" / "run")
        return Finished(tmp_path / "copy" / "run", whole.photos)

    return copy
