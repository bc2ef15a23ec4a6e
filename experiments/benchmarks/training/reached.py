"""What share of a core's peak do the parts of a training step reach, in operations and in bytes?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/reached.py --rounds 5

One thread, compiled kernels. The peaks: the best product of two matrices of 1024 x 1024 numbers in
each precision, and the best copy of 256 MB, read and written. Of each part of a step: milliseconds
of the thread, operations a second (two a multiply-add of its convolutions) and bytes a second
(every map that it reads or writes, once) with their shares of the peaks, in percent. Weights, and
maps that never leave the caches, count no bytes.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from precision import KERNELS, UNCOUNTED, processor
from timed_steps import CASES, step_of
from torch import Tensor

from autoscale.network.kernels.compiled import NativeKernels, Normed, NormGradient
from autoscale.network.kernels.kernels import Filter
from autoscale.network.kernels.panels import Panels, Widened

SIDE, COPIED, ASKED = 1024, 256 * 1024**2, (0, 3, 5)
MAPS = (Tensor, Normed, NormGradient)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    bandwidth = 2 * COPIED / least(copy_of(COPIED))
    print(json.dumps({"processor": processor(), "torch": torch.__version__,
                      "copy, GB/s": round(bandwidth / 1e9, 1)}))  # fmt: skip
    for precision, kernels in KERNELS.items():
        matrix = torch.randn(SIDE, SIDE, dtype=getattr(torch, precision))
        peak = 2 * SIDE**3 / least(partial(torch.mm, matrix, matrix))
        print(json.dumps({"precision": precision, "product, GFLOP/s": round(peak / 1e9)}))
        for case in (CASES[n] for n in ASKED):
            step, parts = step_of(case.design, case.images, kernels), Parts()
            for _ in range(UNCOUNTED):
                step()
            with parts:
                began = time.thread_time()
                for _ in range(asked.rounds):
                    step()
                seconds = (time.thread_time() - began) / asked.rounds
            rows = parts.rows(asked.rounds, peak, bandwidth)
            told = {"case": str(case), "precision": precision}
            print(json.dumps({**told, "all": round(1000 * seconds, 1), **rows}), flush=True)


def copy_of(size: int) -> Callable[[], object]:
    one, other = torch.ones(size, dtype=torch.uint8), torch.zeros(size, dtype=torch.uint8)
    return lambda: other.copy_(one)


def least(work: Callable[[], object], times: int = 12) -> float:
    found = []
    for _ in range(times):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return min(found)


class Parts:
    """While it is entered, counts what goes through the kernels."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        self._undo: list[tuple[Any, str, Any]] = []
        self._running = False

    def __enter__(self) -> None:
        for name, products in (
            *(("expand", 1), ("project", 1), ("project_excited", 1)),
            *(("project_backward", 2), ("project_excited_backward", 2), ("expand_backward", 2)),
        ):
            self._count(Panels, name, "products", partial(of_weight, products))
        for name, products, filters in (("depthwise", 1, 1), ("depthwise_backward", 3, 2)):
            self._count(Panels, name, "depthwise", partial(of_both, products, filters))
        for name in ("mm", "addmm"):
            self._count(torch, name, "products", of_matrices)
        for name, filters in (("_depthwise", 1), ("_depthwise_backward", 2)):
            self._count(NativeKernels, name, "depthwise", partial(of_filter, filters))
        for name in ("measure", "_apply", "pool_normed", "_differentiate", "combine",
                     "_sum_pixels", "_scale_images"):  # fmt: skip
            self._count(NativeKernels, name, "norms and activations", lambda _: 0)

    def __exit__(self, *_: object) -> None:
        for owner, name, inner in self._undo:
            setattr(owner, name, inner)

    def rows(self, steps: int, peak: float, bandwidth: float) -> dict[str, dict[str, float]]:
        return {
            part: {
                "ms": round(1000 * seconds / steps, 1),
                "GFLOP/s": round(operations / seconds / 1e9),
                "share of product": round(100 * operations / seconds / peak),
                "GB/s": round(moved / seconds / 1e9, 1),
                "share of copy": round(100 * moved / seconds / bandwidth),
            }
            for part, (seconds, operations, moved) in self._spent.items()
        }

    def _count(
        self, owner: Any, name: str, part: str, operations: Callable[[Sequence[Any]], int]
    ) -> None:
        inner = getattr(owner, name)

        def outer(*given: Any, **options: Any) -> Any:
            if self._running:
                return inner(*given, **options)
            self._running = True
            began = time.thread_time()
            found = inner(*given, **options)
            spent = self._spent[part]
            spent[0] += time.thread_time() - began
            spent[1] += 2 * operations(given)
            spent[2] += moved([*given, *options.values(), found])
            self._running = False
            return found

        self._undo.append((owner, name, inner))
        setattr(owner, name, outer)


def of_weight(products: int, given: Sequence[Any]) -> int:
    """Multiply-adds of a 1x1 convolution, or of both its gradients: its weight at every pixel."""
    weight = next(x for x in given if isinstance(x, Tensor) and x.shape[2:] == (1, 1))
    first = next(x for x in given if isinstance(x, MAPS))
    pixels = stored(first)[0]
    return products * weight.numel() * (pixels.numel() // pixels.shape[-1])


def of_matrices(given: Sequence[Any]) -> int:
    one, other = given[-2:]
    return int(one.numel()) * int(other.shape[1])


def of_filter(products: int, given: Sequence[Any]) -> int:
    """Of a depthwise convolution: given are the kernels, its input, its filter."""
    x, by = stored(given[1])[0], given[2]
    return int(products * x.numel() // by.stride**2 * by.weight.shape[-1] ** 2)


def of_both(products: int, filters: int, given: Sequence[Any]) -> int:
    """Of an expansion that is made where the filter behind it reads it."""
    x = next(x for x in given if isinstance(x, Widened))
    by = next(x for x in given if isinstance(x, Filter))
    pixels = x.x.numel() // x.x.shape[-1]
    filtered = pixels // by.stride**2 * by.weight.numel()
    return int(products * pixels * x.weight.numel() + filters * filtered)


def moved(given: object) -> int:
    """Bytes of the maps among these, and of matrices with a row a pixel, each counted once."""
    maps = {x.data_ptr(): x for x in among(given) if x.ndim in (2, 4)}
    return sum(x.numel() * x.element_size() for x in maps.values())


def among(given: object) -> list[Tensor]:
    if isinstance(given, Widened):
        return [given.x]
    if isinstance(given, list | tuple):
        return [x for part in given for x in among(part)]
    return list(stored(given)) if isinstance(given, MAPS) else []


def stored(x: Any) -> tuple[Tensor, ...]:
    return (x.z,) if isinstance(x, Normed) else (x.pre,) if isinstance(x, NormGradient) else (x,)


if __name__ == "__main__":
    main()
