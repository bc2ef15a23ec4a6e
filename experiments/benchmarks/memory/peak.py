"""Peak memory of a few steps of training, beside what `training_bytes` foretells.

    OMP_NUM_THREADS=1 python experiments/benchmarks/memory/peak.py

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

from autoscale.design.architecture import Architecture
from autoscale.design.published import NETWORKS
from autoscale.design.scaling import fit_strides
from autoscale.network.build import build
from autoscale.training.data import Images
from autoscale.training.fit import fit
from autoscale.training.recipe import RECIPES
from autoscale.workflows.kernels import accelerated
from autoscale.workflows.memory import training_bytes

CASES = (
    ("efficientnet-b0", 64, 32), ("mobilenet-v2-0.35", 64, 64), ("resnet-18", 32, 32),
    ("efficientnet-b0", 32, 64), ("mobilenet-v1", 64, 32), ("tinynet-c", 96, 16),
    ("resnet-50", 64, 16), ("efficientnetv2-b0", 64, 32),
)  # fmt: skip


def train(architecture: Architecture, batch: int, kernels: str) -> None:
    """Three steps."""
    rng = np.random.default_rng(0)
    size = architecture.resolution
    pixels = rng.integers(0, 255, (3 * batch, size, size, 3), dtype=np.uint8)
    images = Images(pixels, rng.integers(0, 10, 3 * batch))
    recipe = replace(RECIPES["proxy"], epochs=1, batch_size=batch)
    network = accelerated(build(architecture), kernels)
    fit(network, images, images.subset(range(2)), recipe, resolution=size, seed=0)


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
    """One line for each network and kind of kernels."""
    if len(sys.argv) > 1:
        name, resolution, batch, kernels = sys.argv[1:]
        print(measure(name, int(resolution), int(batch), kernels))
        return
    for kernels in ("native", "none"):
        for name, resolution, batch in CASES:
            command = [sys.executable, __file__, name, str(resolution), str(batch), kernels]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            recipe = replace(RECIPES["proxy"], batch_size=batch)
            foretold = training_bytes(design(name, resolution), recipe, kernels=kernels)
            row = {"network": name, "resolution": resolution, "batch": batch, "kernels": kernels}
            peak = int(done.stdout)
            print(json.dumps(row | {"peak": peak, "ratio": round(foretold / peak, 2)}), flush=True)


if __name__ == "__main__":
    main()
