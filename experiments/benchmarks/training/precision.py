"""What does a training step gain where products and maps are bfloat16?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/precision.py --rounds 9
    OMP_NUM_THREADS=1 python experiments/benchmarks/training/precision.py --profile

One thread, compiled kernels. The two precisions take turns step by step, and processor time of the
thread is counted, so that other work on the machine disturbs both alike. Of each network: images a
second by the medians, and the median of the rounds' ratios with the least and the greatest. Without
instructions for bfloat16 there is nothing to gain; ONEDNN_MAX_CPU_ISA shows products without them.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from statistics import median

import torch
from timed_steps import chosen, step_of

from autoscale.design.architecture import Architecture
from autoscale.network.kernels.compiled import NativeKernels
from autoscale.network.kernels.panels import Panels

KERNELS = {"float32": "native", "bfloat16": "native-bfloat16"}
UNCOUNTED = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", default="", help="numbers of the cases, 0 is the first; all")
    parser.add_argument("--profile", action="store_true", help="where the time of a step goes")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"processor": processor(), "torch": torch.__version__}))
    for case in chosen(asked.cases):
        told = {"network": f"{case.width:g} x {case.network}", "pixels": case.pixels}
        measure = profiled if asked.profile else compared
        found = measure(case.design, case.images, asked.rounds)
        print(json.dumps({**told, "images": case.images, **found}), flush=True)


def compared(design: Architecture, images: int, rounds: int) -> dict[str, object]:
    steps = {precision: step_of(design, images, KERNELS[precision]) for precision in KERNELS}
    seconds: dict[str, list[float]] = {precision: [] for precision in steps}
    losses = {}
    for _ in range(UNCOUNTED + rounds):
        for precision, step in steps.items():
            began = time.thread_time()
            losses[precision] = round(step(), 4)
            seconds[precision].append(time.thread_time() - began)
    counted = {precision: times[UNCOUNTED:] for precision, times in seconds.items()}
    ratios = [one / two for one, two in zip(*counted.values(), strict=True)]
    return {
        "images_per_second": {p: round(images / median(t), 1) for p, t in counted.items()},
        "ratio": round(median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "last_loss": losses,
    }


#: Of a step, by what is computed: functions of the kernels, and of torch.
PARTS = {
    "depthwise": ("depthwise_measured", "_depthwise_backward"),
    "norms and activations": (*("measure", "_apply", "pool_normed", "_differentiate", "combine"),),
    "squeeze-and-excitation": ("_sum_pixels", "_scale_images"),
}
PRODUCTS = {
    torch: ("mm", "addmm"),
    Panels: (
        *("expand", "expand_backward", "widen", "project", "project_backward"),
        *("project_excited", "project_excited_backward"),
    ),
}
CONVOLUTIONS = ("conv2d",)


def profiled(design: Architecture, images: int, rounds: int) -> dict[str, object]:
    """Milliseconds of a step by part, of both precisions."""
    return {name: spent(design, images, kernels, rounds) for name, kernels in KERNELS.items()}


def spent(design: Architecture, images: int, kernels: str, rounds: int) -> dict[str, float]:
    found: dict[str, float] = {}
    running: list[str] = []
    undo: list[tuple[object, str, object]] = []

    def timed(owner: object, name: str, label: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: object, **options: object) -> object:
            if running:  # one of them calls another
                return inner(*args, **options)
            running.append(label)
            began = time.thread_time()
            result = inner(*args, **options)
            found[label] = found.get(label, 0.0) + time.thread_time() - began
            running.pop()
            return result

        undo.append((owner, name, inner))
        setattr(owner, name, outer)

    step = step_of(design, images, kernels)
    for _ in range(UNCOUNTED):
        step()
    for label, names in PARTS.items():
        for name in names:
            timed(NativeKernels, name, label)
    for owner, names in PRODUCTS.items():
        for name in names:
            timed(owner, name, "products")
    for name in ("depthwise", "depthwise_backward"):
        timed(Panels, name, "depthwise")
    for name in CONVOLUTIONS:
        timed(torch, name, "stem, forwards")
    timed(torch.ops.aten, "convolution_backward", "stem, backwards")
    began = time.thread_time()
    for _ in range(rounds):
        step()
    total = time.thread_time() - began
    for owner, name, inner in undo:
        setattr(owner, name, inner)
    milliseconds = {label: round(1000 * value / rounds, 1) for label, value in found.items()}
    rest = 1000 * total / rounds - sum(milliseconds.values())
    return {
        **milliseconds,
        "everything else": round(rest, 1),
        "all": round(1000 * total / rounds, 1),
    }


def processor() -> str:
    """Its name, where Linux tells it."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


if __name__ == "__main__":
    main()
