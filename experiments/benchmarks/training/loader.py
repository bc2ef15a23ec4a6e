"""Images a second of a loader: decoding every epoch against images decoded once, interleaved.

    python experiments/benchmarks/training/loader.py --data PHOTOS --rounds 7

One thread. `usual` opens each JPEG (from memory) with Pillow, cuts a random-resized crop out of the
whole photograph, mirrors half of them and stacks a batch. `resized crops` and `shifted` are
`training.batches.batches` on images of `--size` pixels that the cache has mapped, `read only`
copies the batches out of it. All give uint8 batches of the same size and take turns, a batch each;
CPU time of the thread is counted, and wall time beside it; ratios are of medians.
"""

import argparse
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoscale.datasets.data import Images, load
from autoscale.datasets.pictures.selection import Selection
from autoscale.jobs.workers.kernels import cutter
from autoscale.runs.images import ImageCache
from autoscale.training.batches import as_channels_last, batches
from autoscale.training.crops import ASPECT_RATIO_MAX
from autoscale.training.recipe import RECIPES, Crop
from autoscale.training.task import Runtime, TrainingTask

BATCH = 64


def usual(files: list[bytes], size: int, scale_min: float) -> Iterator[Tensor]:
    """Endless batches, each image decoded and cropped anew."""
    random = np.random.default_rng(0)
    while True:
        order = random.permutation(len(files))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            crops = []
            for i in order[start : start + BATCH]:
                with Image.open(io.BytesIO(files[i])) as opened:
                    photo = opened.convert("RGB")
                area = photo.width * photo.height * random.uniform(scale_min, 1)
                stretch = ASPECT_RATIO_MAX ** random.uniform(-0.5, 0.5)
                width = min(photo.width, round(math.sqrt(area) * stretch))
                height = min(photo.height, round(math.sqrt(area) / stretch))
                left = random.integers(0, photo.width - width + 1)
                top = random.integers(0, photo.height - height + 1)
                box = (left, top, left + width, top + height)
                crop = photo.resize((size, size), Image.Resampling.BILINEAR, box=box)
                if random.random() < 0.5:
                    crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                crops.append(torch.from_numpy(np.array(crop)))
            yield torch.stack(crops).permute(0, 3, 1, 2)


def ours(images: Images, size: int, crop: Crop, scale_min: float, kernels: str) -> Iterator[Tensor]:
    """Endless batches from decoded images."""
    recipe = replace(RECIPES["full"], batch_size=BATCH, crop=crop, crop_scale_min=scale_min)
    task = TrainingTask(train=images, validation=images, recipe=recipe, resolution=size, seed=0)
    runtime = Runtime(cut=cutter(kernels))
    epoch = 0
    while True:
        epoch += 1
        for batch in batches(task, epoch, runtime):
            yield batch.pixels


def copied(images: Images) -> Iterator[Tensor]:
    random = np.random.default_rng(0)
    while True:
        yield as_channels_last(images.pixels[np.sort(random.permutation(len(images))[:BATCH])])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="a folder with one sub-folder a class")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7, help="of a hundred batches, `usual` two")
    parser.add_argument("--limit", type=int, default=2000, help="photographs at most")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    files = [path.read_bytes() for path in sorted(Path(asked.data).rglob("*.jpg"))][: asked.limit]
    scale_min = RECIPES["full"].crop_scale_min
    with tempfile.TemporaryDirectory() as folder:
        cache = ImageCache(Path(folder))

        def timed(make: Callable[[], object]) -> float:
            began = time.process_time()
            make()
            return time.process_time() - began

        def read() -> Images:
            chosen = Selection(limit=asked.limit, test=False)
            return load(asked.data, size=asked.size, selection=chosen, keep=cache).train

        first, second = timed(read), timed(read)
        images = read()
        loaders = {
            "usual": (usual(files, asked.size, scale_min), 2),
            "resized crops": (ours(images, asked.size, "random-resized", scale_min, "native"), 100),
            "resized crops, torch": (
                ours(images, asked.size, "random-resized", scale_min, "torch"),
                20,
            ),
            "shifted": (ours(images, asked.size, "shift", scale_min, "native"), 100),
            "shifted, torch": (ours(images, asked.size, "shift", scale_min, "torch"), 20),
            "read only": (copied(images), 100),
        }
        cpu: dict[str, list[float]] = {name: [] for name in loaders}
        wall: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(asked.rounds + 1):
            for name, (loader, count) in loaders.items():
                began, began_cpu = time.perf_counter(), time.thread_time()
                for _ in range(count):
                    next(loader)
                cpu[name].append((time.thread_time() - began_cpu) / count / BATCH)
                wall[name].append((time.perf_counter() - began) / count / BATCH)

    def speed(seconds: list[float]) -> list[float]:
        found = seconds[1:]
        return [round(1 / x) for x in (statistics.median(found), max(found), min(found))]

    base, base_wall = statistics.median(cpu["usual"][1:]), statistics.median(wall["usual"][1:])
    for name in loaders:
        found = {
            "loader": name,
            "size": asked.size,
            "images_per_cpu_second": speed(cpu[name]),
            "ratio": round(base / statistics.median(cpu[name][1:]), 1),
            "images_per_second": speed(wall[name]),
            "ratio_of_wall_time": round(base_wall / statistics.median(wall[name][1:]), 1),
        }
        print(json.dumps(found))
    loads = {"images": len(images), "cpu_seconds_first": first, "cpu_seconds_again": second}
    print(json.dumps({name: round(value, 3) for name, value in loads.items()}))


if __name__ == "__main__":
    main()
