"""Do two checkouts give the same seeded results? See README.md.

python experiments/same_results/same_results.py --against ../before
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
CLASSES = ("bar", "disc", "ring")
IMAGES = {"train": 16, "validation": 10, "test": 12}  # of each class
SIDE = 40  # pixels

#: What the clock, a path or wording decides, and no seed.
NO_FACTS = {
    "seconds",
    "cpu_seconds",
    "epoch_cpu_seconds",
    "evaluation_seconds",
    "file",
    "weights",
    "verdict",
    "convention",
    "cause",
    "command",
    "moved",
}
#: Column or key today -> its name in older trees, under which it is compared.
FORMER = {"estimate": "believed"}

Facts = dict[str, object]


@dataclass(frozen=True)
class Command:
    """One command, and where its run directory is.

    Attributes:
        run: commands that name the same one go on with each other's results.
        files: CSV and safetensors files of that directory that are results too.
    """

    name: str
    run: str
    words: tuple[str, ...]
    files: tuple[str, ...] = ()


def search(run: str, *words: str) -> Command:
    options = ("--data", "DATA", "--kernels", "torch", *words)
    return Command(f"search {run}", run, ("search-baseline", *options))


TRAIN = ("train/best.safetensors", "train/last.safetensors", "train/metrics.csv")
COMMANDS = (
    search("tiny-guided", "--space", "tiny", "--trials", "20", "--epochs", "3", "--rungs", "1,2,3",
           "--caution", "0.2", "--confirm", "2"),
    search("mbconv-small-guided-soft", "--space", "mbconv-small", "--trials", "14", "--epochs",
           "1", "--objective", "soft", "--seed", "3"),
    search("pixels-or-width-guided-front", "--space", "pixels-or-width", "--trials", "13",
           "--epochs", "1", "--objective", "front", "--max-flops", "2M"),
    search("tiny-evolution", "--space", "tiny", "--trials", "30", "--epochs", "1", "--sampler",
           "evolution"),
    search("mbconv-small-controller", "--space", "mbconv-small", "--trials", "12", "--epochs",
           "1", "--sampler", "controller", "--recipe", "small-images"),
    search("tiny-tpe", "--space", "tiny", "--trials", "14", "--epochs", "1", "--sampler", "tpe"),
    search("tiny-nsga2", "--space", "tiny", "--trials", "24", "--epochs", "1", "--sampler",
           "nsga2", "--objective", "front"),
    search("nas-bench-macro-random", "--space", "nas-bench-macro", "--trials", "2", "--epochs",
           "1", "--sampler", "random", "--limit", "24"),
    search("mnasnet-random", "--space", "mnasnet", "--resolution", "32", "--trials", "2",
           "--epochs", "1", "--sampler", "random", "--limit", "24"),
    Command("check", "tiny-guided", ("check-baseline", "--networks", "4", "--seeds", "2")),
    Command("grid", "tiny-guided", ("grid", "--max-candidates", "4", "--seeds", "3"),
            ("grid/surface.csv",)),
    Command("family", "tiny-guided", ("family", "--phi", "0..2")),
    Command("grid solved", "grid-solved", (
        "grid", "--baseline", "BASE", "--data", "DATA", "--solve", "--alpha", "1..1.6", "--step",
        "0.2", "--move", "resolution,width", "--seeds", "2", "--max-candidates", "3", "--epochs",
        "1", "--no-rivals", "--params-budget", "1.6x", "--tolerance", "0.1",
    ), ("grid/surface.csv",)),
    Command("train torch", "train-torch", (
        "train", "BASE", "--data", "DATA", "--kernels", "torch", "--epochs", "3", "--drop-path",
        "0.1", "--dropout", "0.1",
    ), TRAIN),
    Command("train none", "train-none", (
        "train", "BASE", "--data", "DATA", "--kernels", "none", "--epochs", "2", "--recipe",
        "efficientnet", "--batch-size", "16",
    ), TRAIN),
    Command("train synthetic", "train-synthetic", (
        "train", "BASE", "--data", "synthetic", "--limit", "96", "--kernels", "torch", "--epochs",
        "2", "--recipe", "small-images", "--seed", "5",
    ), TRAIN),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, or a file of --out")
    parser.add_argument("--out", type=Path, help="write this checkout's facts here, as JSON")
    parser.add_argument("--only", default="", help="commands whose name contains this")
    given = parser.parse_args()
    commands = [one for one in COMMANDS if given.only in one.name or given.only in one.run]
    other: dict[str, Facts] = {}
    if given.against and given.against.is_file():
        other = json.loads(given.against.read_text(encoding="utf-8"))
    elif given.against:
        print(f"{given.against}:")
        other = results(given.against.resolve(), commands)
        print(f"{ROOT.name}:")
    ours = results(ROOT, commands)
    if given.out:
        given.out.write_text(json.dumps(ours, indent=1), encoding="utf-8")
    differing = [name for name in ours if other and tell_differences(name, ours, other)]
    if other:
        print(f"{len(differing)} of {len(ours)} results differ" if differing else "all the same")
    return 1 if differing else 0


def results(tree: Path, commands: list[Command]) -> dict[str, Facts]:
    """The facts of each command by its name, and a line for each on standard output."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        draw_images(work / "DATA")
        write_base(work / "BASE.yaml")
        for command in commands:
            began = time.process_time() + children_seconds()
            facts = run(tree, work, command)
            took = time.process_time() + children_seconds() - began
            found[command.name] = facts
            print(f"  {command.name:36} {digest(facts)}  {len(facts):5} facts {took:5.1f} s CPU")
    return found


def children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def run(tree: Path, work: Path, command: Command) -> Facts:
    """What a command of `tree` answers, flattened, and what stands in its files."""
    words = [{"DATA": "DATA", "BASE": "BASE.yaml"}.get(word, word) for word in command.words]
    line = [sys.executable, "-m", "autoscale", "--cache", "cache", *words]
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*line, "--run", command.run, "--json"],
        cwd=work, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{command.name}: exit {done.returncode}\n{done.stderr}")
    facts = flat(json.loads(done.stdout))
    for name in command.files:
        path = work / command.run / name
        facts |= flat(READERS[path.suffix](path), name)
    return facts


def flat(value: Any, name: str = "") -> Facts:
    """Nested dictionaries and lists as one dictionary of dotted names, less `NO_FACTS`."""
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = [
            (FORMER.get(key, key), one) for key, one in value.items() if key not in NO_FACTS
        ]
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return {name: value}
    return {
        inner: fact
        for key, one in items
        for inner, fact in flat(one, f"{name}.{key}" if name else str(key)).items()
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tensors(path: Path) -> dict[str, str]:
    """Each tensor by name: its type, shape and a digest of its bytes."""
    return {
        name: f"{tensor.dtype}{tensor.shape} {hashlib.sha256(tensor.tobytes()).hexdigest()[:16]}"
        for name, tensor in load_file(path).items()
    }


READERS: dict[str, Callable[[Path], object]] = {".csv": rows, ".safetensors": tensors}


def digest(facts: Facts) -> str:
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tell_differences(name: str, ours: dict[str, Facts], other: dict[str, Facts]) -> bool:
    """Whether a result differs; the first few facts that do go to standard output."""
    mine, theirs = ours[name], other.get(name, {})
    differing = [key for key in {**theirs, **mine} if mine.get(key) != theirs.get(key)]
    for key in differing[:5]:
        print(f"{name}: {key}: here {mine.get(key)}, there {theirs.get(key)}")
    if len(differing) > 5:
        print(f"{name}: and {len(differing) - 5} more of {len(mine)} facts")
    return bool(differing)


def draw_images(folder: Path) -> None:
    """Small pictures of three shapes before noise, in a folder for each part and class."""
    numbers = np.random.default_rng(0)
    for part, count in IMAGES.items():
        for name in CLASSES:
            place = folder / part / name
            place.mkdir(parents=True)
            for index in range(count):
                noise = numbers.integers(0, 140, size=(SIDE, SIDE, 3), dtype=np.uint8)
                picture = Image.fromarray(noise)
                left, top = (int(x) for x in numbers.integers(2, 18, size=2))
                box = (left, top, left + 18, top + 18)
                draw = ImageDraw.Draw(picture)
                if name == "bar":
                    draw.rectangle((left + 6, top, left + 11, top + 18), fill=(220, 180, 90))
                elif name == "disc":
                    draw.ellipse(box, fill=(220, 180, 90))
                else:
                    draw.ellipse(box, outline=(220, 180, 90), width=4)
                picture.save(place / f"{index}.png")


def write_base(path: Path) -> None:
    """A design that uses all that a stage can say."""
    path.write_text(
        """\
resolution: 24
stem: {width: 8, stride: 1}
stages:
  - {block: fused-mbconv, width: 8, depth: 1, kernel: 3, expand_ratio: 2, stride: 2}
  - {block: mbconv, width: 16, depth: 2, kernel: 5, expand_ratio: 4, se_ratio: 0.25, stride: 2}
  - {block: separable, width: 16, depth: 1, kernel: 3}
head: {width: 32}
num_classes: 3
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())
