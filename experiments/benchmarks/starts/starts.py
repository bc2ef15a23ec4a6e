"""How soon do commands answer, and trainings begin? Against another checkout, in the same run.

    python experiments/benchmarks/starts/starts.py --against ../before

Each work is done by a new process that has one thread, its files and its bytecode in memory; the
checkouts take turns, round after round, so that other work on the machine slows both alike. Printed
are CPU seconds (user and system), the least of the rounds and their range, and the median of the
rounds' ratios with its range. Commands must answer the same in both checkouts.

A worker is ready when its images are loaded, with garbage collected as its process does it; its
first training is one epoch of a batch of images.
A search has begun when its first training is called; it trains in the same process. Both read
photographs (drawn ones, as files) that are decoded in the cache, and kernels that are compiled.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
COMMANDS = {
    name: name.split()[1:]
    for name in (
        "autoscale --help",
        "autoscale count efficientnet-b0",
        "autoscale spaces",
        "autoscale grid --baseline efficientnet-b0 --plan",
    )
}
#: What this script does when it is called with the name, in the checkout that is measured.
TRAININGS = (
    "torch imported", "a worker ready", "a worker's first training",
    "a search's first training begun",
)  # fmt: skip
CLASSES, PICTURES, SIDE = 4, 100, 48  # drawn photographs: of each class so many


class Measured(NamedTuple):
    """One process."""

    seconds: float  # of CPU time, user and system
    answer: str  # what it printed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, required=True, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5, help="at least 1")
    parser.add_argument("--only", default="", help="works whose name has this in it")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    trees = {"here": ROOT, "there": given.against.resolve()}
    works = [name for name in (*COMMANDS, *TRAININGS) if given.only in name]
    if not works:
        parser.error(f"no work has {given.only!r} in its name")
    print(f"{processor()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print("| work | here, s | range | there, s | range | here / there | range |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    same = True
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "photos")
        for work in works:
            rounds = [
                {name: measured(work, trees[name], Path(folder)) for name in turn(trees, number)}
                for number in range(given.rounds + 1)
            ]
            print(line(work, rounds[1:]), flush=True)  # the first one filled caches
            if work in COMMANDS:
                same &= len({one.answer for both in rounds for one in both.values()}) == 1
    print("all answers are the same" if same else "answers differ")
    return 0 if same else 1


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def turn(trees: dict[str, Path], number: int) -> list[str]:
    """The checkouts in the order of a round."""
    return list(trees) if number % 2 else list(reversed(trees))


def line(work: str, rounds: list[dict[str, Measured]]) -> str:
    """A row of the table."""
    here, there = ([one[name].seconds for one in rounds] for name in ("here", "there"))
    ratios = [a / b for a, b in zip(here, there, strict=True)]
    cells = [f"{min(own):.2f} | {min(own):.2f} to {max(own):.2f}" for own in (here, there)]
    ratio = f"{statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f}"
    return f"| {work} | {' | '.join(cells)} | {ratio} |"


def measured(work: str, tree: Path, folder: Path) -> Measured:
    """Do a work once with the package of `tree`; what it prints must be the same for all trees."""
    words = COMMANDS.get(work)
    called = ["-m", "autoscale", *words] if words is not None else [__file__, "--do", work]
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name} | {
        "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "AUTOSCALE_CACHE": str(folder / "cache"),
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory(dir=folder) as run,
        tempfile.TemporaryFile() as output,
    ):
        process = subprocess.Popen(
            [sys.executable, *called],
            cwd=run,
            env=environment | {"PHOTOS": str(folder / "photos")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        answer = output.read().decode()
    if process.returncode:
        raise SystemExit(f"{work}, in {tree}: exit {process.returncode}\n{answer}")
    return Measured(used.ru_utime + used.ru_stime, answer)


def draw(folder: Path) -> None:
    """Files of photographs, by class."""
    from PIL import Image

    from autoscale.datasets.synthetic import CLASSES as NAMES
    from autoscale.datasets.synthetic import draw as synthetic

    pixels, labels = synthetic("train", size=SIDE, seed=0)
    for label in range(CLASSES):
        (folder / NAMES[label]).mkdir(parents=True)
        for number, picture in enumerate(pixels[labels == label][:PICTURES]):
            Image.fromarray(picture).save(folder / NAMES[label] / f"{number}.png")


# In the checkout that is measured


def worker(then: Callable[..., object] = lambda work: None) -> None:
    """A worker as a search has it."""
    from autoscale.engines import local

    with getattr(local, "_uncollected", nullcontext)():  # which older ones did not have
        from autoscale.jobs.workers.pool import make_worker
        from autoscale.jobs.workers.proxy import Proxy
        from autoscale.jobs.workers.source import ImageSource

        # It was elsewhere once.
        there = importlib.util.find_spec("autoscale.jobs.groups.recipe") is not None
        home = importlib.import_module(
            f"autoscale.jobs.{'groups.recipe' if there else 'workers.proxy'}"
        )
        recipe = home.recipe_named("proxy", epochs=1)
        source = ImageSource(data=os.environ["PHOTOS"], limit=recipe.batch_size)
        work = make_worker(Proxy(source=source, recipe=recipe, kernels="native", size=32))
    then(work)


def training(work: Callable[..., object]) -> None:
    """One small training."""
    from autoscale.jobs.search.spaces import load_space
    from autoscale.jobs.workers.pool import TrainingRequest

    space = load_space("tiny").for_task(num_classes=CLASSES)
    work(TrainingRequest(network=space.architecture_at([0] * len(space.parameters)), seed=0))


def torch() -> None:
    """What every training waits for, whoever asks for it."""
    importlib.import_module("torch")


def search() -> None:
    """A search that ends where its first training would begin."""
    from autoscale.cli.app import main as command
    from autoscale.jobs.workers import scoring

    scoring.fit = lambda *_, **__: os._exit(0)
    words = ["--data", os.environ["PHOTOS"], "--space", "tiny", "--trials", "1", "--run", "run"]
    raise SystemExit(command(["search-baseline", *words]) or "nothing was trained")


DO: dict[str, Callable[[], None]] = dict(
    zip(TRAININGS, (torch, worker, lambda: worker(training), search), strict=True)
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--do"]:
        DO[sys.argv[2]]()
    else:
        sys.exit(main())
