"""Images a second of a training step: the plain loop against ours, interleaved.

    python experiments/benchmarks/training/step_speed.py --sizes 32x64,64x64 --rounds 6

One thread. All variants take turns, one step each, and CPU time of the thread is counted, so that
other work on the machine disturbs all of them alike; a ratio is of medians. The first two steps of
each are not counted.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.network.kernels import layers
from autoscale.network.kernels.compiled import NativeKernels

VARIANTS = ("plain", "channels-last", "torch", "native")
UNCOUNTED = 2


def network(resolution: int) -> nn.Module:
    """EfficientNet-B0 at half its width, for 100 classes."""
    half = scale(published("efficientnet-b0"), width=0.5, resolution=resolution)
    torch.manual_seed(0)
    return build(replace(half, num_classes=100))


def stepper(variant: str, base: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], float]:
    """A function that takes one step of SGD with momentum and gives the loss."""
    module = copy.deepcopy(base).train()
    if variant != "plain":
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    if variant in ("torch", "native"):
        module = accelerated(module, variant).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)

    def step() -> float:
        loss = functional.cross_entropy(module(x), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def product_peak() -> float:
    """Multiply-adds a second, times two, of this core's best product of 1024 x 1024 matrices."""
    a = torch.randn(1024, 1024)
    seconds = []
    for _ in range(12):
        began = time.thread_time()
        a @ a
        seconds.append(time.thread_time() - began)
    return 2 * 1024**3 / min(seconds)


def compare(resolution: int, batch: int, rounds: int) -> dict[str, object]:
    base = network(resolution)
    x = torch.randn(batch, 3, resolution, resolution)
    labels = torch.randint(0, 100, (batch,))
    steps = {variant: stepper(variant, base, x, labels) for variant in VARIANTS}
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    losses = {}
    for _ in range(rounds + UNCOUNTED):
        for variant, step in steps.items():
            began = time.thread_time()
            losses[variant] = step()
            seconds[variant].append(time.thread_time() - began)
    speed = {v: batch / statistics.median(s[UNCOUNTED:]) for v, s in seconds.items()}
    half = scale(published("efficientnet-b0"), width=0.5, resolution=resolution)
    # A multiply-add forwards, two backwards, two operations each.
    needed = 6 * cost(replace(half, num_classes=100)).macs
    return {
        "resolution": resolution,
        "batch": batch,
        "rounds": rounds,
        "images_per_second": {v: round(s, 1) for v, s in speed.items()},
        "ratio": {v: round(s / speed["plain"], 2) for v, s in speed.items()},
        "spread": {
            v: [round(batch / max(s[UNCOUNTED:]), 1), round(batch / min(s[UNCOUNTED:]), 1)]
            for v, s in seconds.items()
        },
        "share_of_peak": {v: round(s * needed / product_peak(), 3) for v, s in speed.items()},
        "last_loss": {v: round(loss, 5) for v, loss in losses.items()},
    }


def where_time_goes(resolution: int, batch: int, rounds: int) -> dict[str, float]:
    """Shares of a native step's CPU time, by what is computed."""
    base = network(resolution)
    x, labels = torch.randn(batch, 3, resolution, resolution), torch.randint(0, 100, (batch,))
    step = stepper("native", base, x, labels)
    spent: dict[str, float] = {}

    def timed(owner: type, name: str, label: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: object, **options: object) -> object:
            began = time.thread_time()
            result = inner(*args, **options)
            spent[label] = spent.get(label, 0.0) + time.thread_time() - began
            return result

        setattr(owner, name, outer)

    parts = {
        "depthwise": ("depthwise", "depthwise_measured"),
        "depthwise backward": (
            "depthwise_backward",
            "depthwise_backward_normed",
            "depthwise_backward_stored",
        ),
        "norm": ("measure", "apply"),
        "norm backward": ("_differentiate", "combine"),
        "squeeze-and-excitation": (
            *("pool", "reweight", "gate_gradient", "reweight_backward"),
            *("apply_pooled", "reweight_"),
        ),
    }
    for label, names in parts.items():
        for name in names:
            timed(NativeKernels, name, label)
    timed(layers.Excite, "gate", "squeeze-and-excitation")
    timed(layers.Excite, "gate_backward", "squeeze-and-excitation")
    timed(layers.PointwiseNorm, "convolve", "pointwise")
    timed(layers.PointwiseNorm, "convolve_backward", "pointwise backward")
    timed(torch.optim.SGD, "step", "optimizer")
    for _ in range(UNCOUNTED):
        step()
    spent.clear()
    began = time.thread_time()
    for _ in range(rounds):
        step()
    total = time.thread_time() - began
    shares = {label: round(value / total, 3) for label, value in spent.items()}
    return {**shares, "everything else": round(1 - sum(shares.values()), 3)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="64x64", help="resolution x batch, comma-separated")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--profile", action="store_true", help="where a native step's time goes")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for size in asked.sizes.split(","):
        resolution, batch = map(int, size.split("x"))
        if asked.profile:
            shares = where_time_goes(resolution, batch, asked.rounds)
            print(json.dumps({"resolution": resolution, "batch": batch, "shares": shares}))
        else:
            print(json.dumps(compare(resolution, batch, asked.rounds)), flush=True)


if __name__ == "__main__":
    main()
