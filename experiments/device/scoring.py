"""Who should answer the validation images of an int8 network?

    OMP_NUM_THREADS=1 python experiments/device/scoring.py DATA MODEL [MODEL ...] OUT.csv

Each trained network becomes one of int8 as in a search with `--dtype int8`. LiteRT with XNNPACK,
LiteRT's own kernels, torch with every number rounded to its steps, the float graph in torch and the
simulation in integers then answer the validation images, in batches of 16; the simulation some of
them, its time scaled to all. OUT.csv has for each the CPU-seconds, what it needs to begin included,
its accuracy, and the share of its images with the same first answer as the first three.
"""

import argparse
import csv
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoscale.datasets.data import load
from autoscale.datasets.pictures.selection import Selection
from autoscale.models.inference.images import class_places
from autoscale.models.load import load_model
from autoscale.models.quantized.calibrated import BATCH, batches, graph_of
from autoscale.models.quantized.files import float_logits
from autoscale.models.settings import CalibrationSettings
from autoscale.quantization.files.litert import to_litert
from autoscale.quantization.files.run_litert import Interpreter, Kernels
from autoscale.quantization.graph import Graph
from autoscale.quantization.learning.fake import FakeQuantized
from autoscale.quantization.post_training import after_training
from autoscale.quantization.quantized import QuantizedGraph
from autoscale.quantization.simulate import simulate

Pixels = NDArray[np.uint8]  # (N, S, S, C)
COLUMNS = ["network", "who", "images", "cpu_seconds", "accuracy", "same_as_xnnpack", "same_as_own",
           "same_as_torch"]  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="+")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--simulated", type=int, default=96, help="images of the simulation")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    with asked.csv.open("w", newline="", encoding="utf-8") as opened:
        rows = csv.DictWriter(opened, COLUMNS)
        rows.writeheader()
        for name in asked.models:
            rows.writerows(rows_of(name, asked.data, asked.simulated))
            opened.flush()


def rows_of(name: str, data: str, simulated: int) -> list[dict[str, object]]:
    """The rows of one network."""
    model, settings = load_model(name), CalibrationSettings()
    selection = Selection(
        seed=model.header.seed or 0, limit=settings.calibration_images, test=False
    )
    found = load(data, size=model.resolution, selection=selection, preparation=model.preparation)
    pixels = found.validation.pixels
    labels = class_places(model, found.classes, data)[found.validation.labels]
    started = time.process_time()
    graph, network = after_training(graph_of(model), batches(found.train.pixels))
    spent = time.process_time() - started
    rows: list[dict[str, object]] = [
        {"network": name, "who": "becoming int8", "images": len(found.train.pixels),
         "cpu_seconds": round(spent, 2)}
    ]  # fmt: skip
    answers: dict[str, NDArray[np.int64]] = {}
    for who, answer in ways(graph, network).items():
        some = pixels[:simulated] if who == "integers" else pixels
        started = time.process_time()
        answers[who] = answer(some).argmax(axis=1)
        spent = (time.process_time() - started) * len(pixels) / len(some)
        rows.append({"network": name, "who": who, "images": len(some),
                     "cpu_seconds": round(spent, 2),
                     "accuracy": same(answers[who], labels)})  # fmt: skip
    for row in rows[1:]:
        own = answers[str(row["who"])]
        row |= {f"same_as_{who}": same(own, answers[who]) for who in ("xnnpack", "own", "torch")}
    return rows


def ways(graph: Graph, network: QuantizedGraph) -> Mapping[str, Callable[[Pixels], NDArray]]:
    """By name, what gives the logits of pixels."""
    return {
        "xnnpack": lambda pixels: interpreted(network, pixels, "default"),
        "own": lambda pixels: interpreted(network, pixels, "own"),
        "torch": lambda pixels: rounded(network, pixels),
        "float": lambda pixels: float_logits(graph, pixels),
        "integers": lambda pixels: np.concatenate(
            [simulate(network, part).numpy() for part in batches(pixels)]
        ),
    }


def interpreted(network: QuantizedGraph, pixels: Pixels, kernels: Kernels) -> NDArray:
    """LiteRT's answers; the file is written first."""
    interpreter = Interpreter(to_litert(network), kernels=kernels)
    starts = range(0, len(pixels), BATCH)
    return np.concatenate([interpreter.run(pixels[start : start + BATCH]) for start in starts])


@torch.inference_mode()
def rounded(network: QuantizedGraph, pixels: Pixels) -> NDArray:
    """The answers of torch in float32, with every number rounded to its steps."""
    module = FakeQuantized(network).eval()
    return torch.cat([module(part) for part in batches(pixels)]).numpy()


def same(answers: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """The share of the images of both that have one answer."""
    both = min(len(answers), len(others))
    return round(float((answers[:both] == others[:both]).mean()), 4)


if __name__ == "__main__":
    main()
