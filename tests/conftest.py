"""What several rooms' tests share: a small folder of images and the shipped spaces."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from autoscale.datasets import synthetic
from autoscale.design.space import SearchSpace
from autoscale.jobs.search.spaces import load_space
from autoscale.listener import Progress, Silent
from tests.datasets.sources import write_classes

# The same examples every time: a run of the tests says something about the change, not about luck.
# `pytest --hypothesis-profile=default` looks for new ones.
# No deadlines either: a loaded machine is no mistake of the code.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# What is compiled for tests is kept beside pytest's own cache, and no user's cache is touched.
os.environ["AUTOSCALE_CACHE"] = str(Path(__file__).parents[1] / ".pytest_cache" / "autoscale")

COLOURS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Trainings in tests are small, and cores are few."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def drawn_once() -> Iterator[None]:
    """Small synthetic sets are drawn once in a process: that is a third of many a job's test."""
    drawn = lru_cache(maxsize=32)(synthetic.draw)
    draw = synthetic.draw

    def kept(part: synthetic.Part, *, size: int, **rest: Any) -> tuple[Any, Any]:
        if size > 32:  # seven megabytes of training images
            return draw(part, size=size, **rest)
        pixels, labels = drawn(part, size=size, **rest)
        return pixels.copy(), labels.copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "draw", kept)
        yield


def draw_photos(folder: Path, *, count: int = 14, size: int = 20, seed: int = 0) -> Path:
    """A folder per colour with `count` noisy pictures of a disc of that colour."""
    rng = np.random.default_rng(seed)
    grid = np.mgrid[:size, :size]
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            centre = rng.uniform(size * 0.3, size * 0.7, 2)
            disc = ((grid - centre[:, None, None]) ** 2).sum(0) < (size * 0.3) ** 2
            pixels = rng.integers(60, 120, (size, size, 3))
            pixels[disc] = np.array(colour) + rng.integers(-30, 30, 3)
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty-two pictures in three classes."""
    return draw_photos(tmp_path / "photos")


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Plain pictures, red and blue ones."""
    return write_classes(tmp_path / "colours")


@pytest.fixture(scope="session")
def tiny() -> SearchSpace:
    """The shipped space of 64 networks."""
    return load_space("tiny")


class Heard(Silent):
    """Remembers what it is told; stops the work after some progress, such as trainings."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.notices: list[str] = []
        self.done: list[Progress] = []
        self.stop_after = stop_after

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def progress(self, progress: Progress) -> None:
        self.done.append(progress)
        if len(self.done) == self.stop_after:
            raise KeyboardInterrupt
