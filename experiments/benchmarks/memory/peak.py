"""Peak memory of a few steps of training, beside what `training_bytes` predicts.

    OMP_NUM_THREADS=1 python experiments/benchmarks/memory/peak.py peaks.jsonl [KERNELS ...]
    OMP_NUM_THREADS=1 python experiments/benchmarks/memory/peak.py NETWORK PIXELS BATCH KERNELS
    python experiments/benchmarks/memory/fit.py peaks.jsonl

Each network is trained in a process of its own. What the process holds after training a tiny
network (libraries, kernels) is taken off its peak. Linux only.
"""

import gc
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.design.published import NETWORKS
from autoscale.design.rounding import fit_strides
from autoscale.jobs.workers.kernels import accelerated
from autoscale.jobs.workers.memory import HELD
from autoscale.network.build import build
from autoscale.training.fit import fit
from autoscale.training.recipe import RECIPES
from autoscale.training.task import TrainingTask

#: Name, pixels, batch. The weights of `training_bytes` are fitted to these ...
FITTED = (
    ("efficientnet-b0", 32, 64), ("efficientnet-b2", 64, 16), ("efficientnet-lite0", 96, 16),
    ("mobilenet-v1", 64, 32), ("mobilenet-v1-0.5", 96, 32), ("mobilenet-v2-0.35", 64, 64),
    ("mobilenet-v2", 32, 64), ("mnasnet-a1", 96, 16), ("efficientnetv2-b1", 64, 16),
    ("resnet-18", 64, 16), ("resnet-34", 32, 64), ("resnet-101", 64, 8), ("tinynet-a", 128, 8),
    ("tinynet-e", 96, 64),
)  # fmt: skip
#: ... and tested on these.
TESTED = (
    ("efficientnet-b0", 64, 32), ("efficientnet-b1", 96, 8), ("efficientnet-lite2", 64, 32),
    ("mobilenet-v1-0.75", 128, 16), ("mobilenet-v2-0.75", 96, 32), ("efficientnetv2-b0", 64, 32),
    ("resnet-18", 32, 128), ("resnet-50", 64, 16), ("tinynet-c", 96, 16),
    ("mobilenet-v2-1.4", 64, 32),
)  # fmt: skip


def train(architecture: Architecture, batch: int, kernels: str) -> None:
    """Three steps."""
    rng = np.random.default_rng(0)
    size = architecture.resolution
    pixels = rng.integers(0, 255, (3 * batch, size, size, 3), dtype=np.uint8)
    images = Images(pixels, rng.integers(0, 10, 3 * batch))
    recipe = replace(RECIPES["proxy"], epochs=1, batch_size=batch)
    network = accelerated(build(architecture), kernels)
    task = TrainingTask(
        train=images,
        validation=images.subset(range(2)),
        recipe=recipe,
        resolution=size,
        seed=0,
    )
    fit(network, task)


def status(name: str) -> int:
    """A line of the process's own status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def design(name: str, resolution: int) -> Architecture:
    """A published network for small images."""
    return fit_strides(replace(NETWORKS[name], resolution=resolution, num_classes=10))


def measure(name: str, resolution: int, batch: int, kernels: str) -> int:
    """Bytes at the peak."""
    torch.set_num_threads(1)
    train(design("mobilenet-v1-0.25", 16), 2, kernels)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    train(design(name, resolution), batch, kernels)
    return status("VmHWM") - before


def main() -> None:
    """One line for each network and kind of kernels; the tested ones three times."""
    if sys.argv[1] in NETWORKS:
        asked, pixels, images, backend = sys.argv[1:]
        print(measure(asked, int(pixels), int(images), backend))
        return
    with Path(sys.argv[1]).open("a", encoding="utf-8") as out:
        for kernels in sys.argv[2:] or HELD:
            for name, resolution, batch in (*FITTED, *TESTED):
                tested = (name, resolution, batch) in TESTED
                peaks = []
                for _ in range(3 if tested else 1):
                    command = [sys.executable, __file__, name, str(resolution), str(batch), kernels]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    peaks.append(int(done.stdout))
                row = {"network": name, "resolution": resolution, "batch": batch,
                       "kernels": kernels, "tested": tested, "peaks": peaks}  # fmt: skip
                print(json.dumps(row), file=out, flush=True)


if __name__ == "__main__":
    main()
