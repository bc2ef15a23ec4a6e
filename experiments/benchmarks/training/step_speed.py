"""Images a second of a training step: the plain loop against ours, interleaved.

    python experiments/benchmarks/training/step_speed.py --sizes 32x64,64x64 --rounds 6
    python experiments/benchmarks/training/step_speed.py --rivals --rounds 6

The first is of half of EfficientNet-B0, as tables have it. The second is of the four networks of
`RIVALED`, with the kernels in bfloat16 and with every way of `plain_ways`, of which the quickest is
called best-plain there.

One thread. All variants take turns, one step each, and CPU time of the thread is counted, so that
other work on the machine disturbs all of them alike; a ratio is of medians. The first two steps of
each are not counted.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import plain_ways
import torch
from timed_steps import CASES, CLASSES, Case, chosen, stepping
from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build

OURS = ("torch", "native", "native-bfloat16")
VARIANTS = ("plain", "channels-last", "torch", "native")
#: Those that `--rivals` compares: all plain ways, and the compiled kernels in both precisions.
RIVALS = (*plain_ways.WAYS, "native", "native-bfloat16")
#: What `--rivals` compares them with.
RIVALED = CASES[:4]
UNCOUNTED = 2


def stepper(variant: str, base: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], float]:
    """A function that takes one step of SGD with momentum and gives the loss."""
    module = copy.deepcopy(base).train()
    if variant not in OURS:
        return plain_ways.stepper(variant, module, x, labels)
    x = x.contiguous(memory_format=torch.channels_last)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return stepping(accelerated(module, variant).train(), x, labels, rate=0.05)


def product_peak() -> float:
    """Multiply-adds a second, times two, of this core's best product of 1024 x 1024 matrices."""
    a = torch.randn(1024, 1024)
    seconds = []
    for _ in range(12):
        began = time.thread_time()
        a @ a
        seconds.append(time.thread_time() - began)
    return 2 * 1024**3 / min(seconds)


def compare(
    design: Architecture, batch: int, rounds: int, variants: Sequence[str]
) -> dict[str, object]:
    torch.manual_seed(0)
    base, resolution = build(design), design.resolution
    x = torch.randn(batch, 3, resolution, resolution)
    labels = torch.randint(0, CLASSES, (batch,))
    steps = {variant: stepper(variant, base, x, labels) for variant in variants}
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    losses: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds + UNCOUNTED):
        for variant, step in steps.items():
            began = time.thread_time()
            losses[variant].append(step())
            seconds[variant].append(time.thread_time() - began)
    counted = {variant: taken[UNCOUNTED:] for variant, taken in seconds.items()}
    speed = {v: batch / statistics.median(s) for v, s in counted.items()}
    needed = 6 * cost(design).macs  # one forwards, two backwards, two operations each
    return {
        "resolution": resolution,
        "batch": batch,
        "rounds": rounds,
        "images_per_second": {v: round(s, 1) for v, s in speed.items()},
        "ratio": {v: round(s / speed["plain"], 2) for v, s in speed.items()},
        "spread": {v: [round(batch / max(s), 1), round(batch / min(s), 1)]
                   for v, s in counted.items()},
        "share_of_peak": {v: round(s * needed / product_peak(), 3) for v, s in speed.items()},
        "first_loss": {v: round(loss[0], 5) for v, loss in losses.items()},
        "last_loss": {v: round(loss[-1], 5) for v, loss in losses.items()},
        **rivalry(counted),
    }  # fmt: skip


def rivalry(seconds: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """The kernels in bfloat16 beside the plain way and the best plain one, if they are there.

    Of each the ratio of medians, then the least and the greatest of the rounds' ratios.
    """
    ours = seconds.get("native-bfloat16")
    if ours is None:
        return {}
    plain = [variant for variant in seconds if variant not in OURS]
    best = min(plain, key=lambda variant: statistics.median(seconds[variant]))
    told: dict[str, object] = {"best-plain": best}
    for name, other in (("plain", "plain"), ("best-plain", best)):
        ratios = [one / two for one, two in zip(seconds[other], ours, strict=True)]
        middle = statistics.median(seconds[other]) / statistics.median(ours)
        told[f"bfloat16 against {name}"] = [round(x, 2) for x in (middle, min(ratios), max(ratios))]
    return told


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="64x64", help="resolution x batch, comma-separated")
    parser.add_argument("--rivals", action="store_true", help="bfloat16 beside all plain ways")
    parser.add_argument("--cases", default="", help="numbers of RIVALED, 0 is the first; all")
    parser.add_argument("--rounds", type=int, default=6)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    if asked.rivals:
        for case in chosen(asked.cases, RIVALED):
            told = {"network": f"{case.width:g} x {case.network}"}
            found = compare(case.design, case.images, asked.rounds, RIVALS)
            print(json.dumps(told | found), flush=True)
        return
    for size in asked.sizes.split(","):
        resolution, batch = map(int, size.split("x"))
        case = Case("efficientnet-b0", 0.5, resolution, batch)
        print(json.dumps(compare(case.design, batch, asked.rounds, VARIANTS)), flush=True)


if __name__ == "__main__":
    main()
