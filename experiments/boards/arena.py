"""Predicted flash and RAM beside what TensorFlow Lite Micro's own interpreter takes.

Writes a file of each design (`tflite_file.py`), lets the interpreter plan and run it, and compares
the arena that it reports. In an environment of its own, from the repository's root:

    python -m venv boards && boards/bin/pip install tflite-micro pydantic pandas
    PYTHONPATH=. boards/bin/python experiments/boards/arena.py
"""

import os
import random
import re
import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from tflite_file import file_of
from tflite_micro.python.tflite_micro import runtime

from autoscale.design.architecture import Architecture
from autoscale.design.measures.flash import Flash
from autoscale.design.measures.ram import Ram
from autoscale.design.space import SearchSpace
from autoscale.design.style import Padding
from autoscale.design.tflite.arena import buffers, most_alive, planned
from autoscale.design.tflite.graph import PRECISIONS, Precision, graph
from autoscale.design.tflite.operations import Graph
from autoscale.design.tflite.sizes import INTERPRETER, NUMBER, constants, kept_bytes

SPACES = Path(__file__).parents[2] / "search_spaces"
DESIGNS, SEED = 40, 0
#: Bytes that the interpreter is given; it says how many it took.
ENOUGH = 200_000_000


@dataclass(frozen=True)
class Arena:
    """What an interpreter says of its arena, in bytes."""

    activations: int
    kept: int


def interpreted(file: bytes, side: int, precision: Precision) -> Arena:
    """The arena of a file, after one image."""
    interpreter = runtime.Interpreter.from_bytes(file, arena_size=ENOUGH)
    kind = np.uint8 if precision == "int8" else np.float32
    interpreter.set_input(np.zeros((1, side, side, 3), kind), 0)
    interpreter.invoke()
    with tempfile.TemporaryFile() as kept:  # it prints to the process's standard error
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        interpreter.print_allocations()
        os.dup2(before, 2)
        os.close(before)
        kept.seek(0)
        said = kept.read().decode()
    head, tail = (int(re.search(rf"allocation {end} (\d+)", said)[1]) for end in ("head", "tail"))  # type: ignore[index]
    return Arena(head, tail)


def compared(design: Architecture, precision: Precision, padding: Padding) -> dict[str, object]:
    """One row."""
    found = graph(design, precision, padding)
    held = buffers(found, NUMBER[precision])
    file = file_of(found, quantised=precision == "int8")
    real = interpreted(file, design.resolution, precision)
    ram = Ram(precision, padding).of(design)
    return {
        "precision": precision,
        "padding": padding,
        "exact": planned(held) == real.activations,
        "activations": real.activations,
        "gaps": planned(held) / most_alive(held) - 1,
        "kept": _kept_on_64_bits(found) / real.kept - 1,
        "ram": ram / (real.activations + real.kept) - 1,
        "file": Flash(precision, padding).of(design) / len(file) - 1,
    }


def _kept_on_64_bits(found: Graph) -> int:
    """What the interpreter keeps where a pointer has 64 bits, as here: a tensor then takes twice
    12 bytes, an operation twice 32."""
    tensors = 1 + sum(1 + constants(operation) for operation in found.operations)
    return kept_bytes(found) + INTERPRETER + 12 * tensors + 32 * len(found.operations)


def main() -> None:
    """Compare designs of the shipped spaces."""
    rows = []
    for name in ("mcu", "lite", "mbconv-small"):
        space = SearchSpace.from_yaml((SPACES / f"{name}.yaml").read_text())
        rng = random.Random(SEED)
        for _, (precision, padding) in product(
            range(DESIGNS), product(PRECISIONS, get_args(Padding))
        ):
            design = replace(space.sample(rng), num_classes=10)
            rows.append({"space": name, **compared(design, precision, padding)})
    table = pd.DataFrame(rows)
    summary = table.groupby(["space", "precision", "padding"]).agg(
        designs=("exact", "size"),
        exact=("exact", "sum"),
        gaps_most=("gaps", "max"),
        kept_least=("kept", "min"),
        kept_most=("kept", "max"),
        ram_least=("ram", "min"),
        ram_most=("ram", "max"),
        file_least=("file", "min"),
        file_most=("file", "max"),
    )
    with pd.option_context(
        "display.width", 200, "display.max_columns", None, "display.float_format", "{:+.3f}".format
    ):
        print(summary)


if __name__ == "__main__":
    main()
