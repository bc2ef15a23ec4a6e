"""How many designs a second are counted, and what a trace of one costs. See README.md.

python experiments/benchmarks/counting/benchmark.py
"""

import os
import platform
import random
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from space_costs import SpaceCosts

from autoscale.design.cost import Cost, cost
from autoscale.design.costs import FIELDS, scaled_costs
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.design.rounding import ROUNDINGS
from autoscale.design.space import SearchSpace
from autoscale.network.build import build
from autoscale.network.measuring.second_count import fvcore_count
from autoscale.network.measuring.trace import traced_cost

ROOT = Path(__file__).parents[3]
SEED = 0
REPEATS = 7
SINGLES = 20_000
TRACES = 8


class Taken(NamedTuple):
    """Seconds of one run; the clock's are longer where others use the core too."""

    wall: float
    processor: float


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    text = (ROOT / "search_spaces" / "mnasnet.yaml").read_text(encoding="utf-8")
    space = SearchSpace.from_yaml(text)
    describe_machine()

    rng = random.Random(SEED)
    designs = [space.sample(rng) for _ in range(SINGLES)]
    assert len(set(designs)) == SINGLES
    once = seconds(lambda: [cost(design) for design in designs], repeats=1)
    show("one by one, first pass", SINGLES, once)
    singly = seconds(lambda: [cost(design) for design in designs])
    show("one by one, later passes", SINGLES, singly)

    setup = seconds(lambda: SpaceCosts(space), repeats=1)
    print(f"| tables of the space, made once | {setup[0].wall:.3f} s | | | |")
    counted = SpaceCosts(space)
    numbers = np.random.default_rng(SEED)
    options = [len(parameter.options) for parameter in space.parameters]
    for count in (10**3, 10**4, 10**5, 10**6):
        points = numbers.integers(0, options, size=(count, len(options)))
        together = seconds(partial(counted, points))
        show("vectorised over points", count, together)
    agree(space, counted, points)

    steps = np.linspace(1, 2, 101)
    pixels = ROUNDINGS["tf"].resolution(224, steps)

    def grid() -> Cost:
        return scaled_costs(
            EFFICIENTNET_B0,
            depth=steps[:, None, None],
            width=steps[:, None],
            resolution=pixels,
        )

    show("grid of step 0.01 around B0", 101**3, seconds(grid))
    tracemalloc.start()
    kept = grid()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.macs.shape == (101, 101, 101)
    print(f"| memory of that grid, at most | {peak / 1e6:.0f} MB | | | |")

    networks = [build(design) for design in designs[:TRACES]]
    traces: list[Taken] = []
    ratios, single_ratios = [], []
    for network, design in zip(networks, designs, strict=False):
        traces += seconds(partial(fvcore_count, network, resolution=224), repeats=1)
        # Right after each trace, so that other work on the machine slows both alike.
        (million,) = seconds(lambda: counted(points), repeats=1)
        (alone,) = seconds(lambda: [cost(design) for design in designs], repeats=1)
        ratios.append(traces[-1].wall / million.wall * len(points))
        single_ratios.append(traces[-1].wall / alone.wall * SINGLES)
        found = fvcore_count(network, resolution=224)
        assert found["conv"] + found["linear"] == cost(design).macs
    show("fvcore's trace, one design", 1, traces)
    ours: list[Taken] = []
    for design in designs[:TRACES]:
        with torch.device("meta"):
            network = build(design)
        ours += seconds(partial(traced_cost, network, resolution=224), repeats=1)
        assert traced_cost(network, resolution=224).macs == cost(design).macs
    show("autoscale's trace on the meta device", 1, ours)
    for name, found_ratios in (("vectorised", ratios), ("one by one", single_ratios)):
        low, middle, high = min(found_ratios), statistics.median(found_ratios), max(found_ratios)
        print(f"\nfvcore's trace / {name}: {middle:,.0f} (of {TRACES}: {low:,.0f}..{high:,.0f})")


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> list[Taken]:
    """Time of each of `repeats` runs."""
    taken = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        taken.append(Taken(time.perf_counter() - wall, time.process_time() - processor))
    return taken


def show(name: str, count: int, taken: list[Taken]) -> None:
    """A row: median time and range, designs a second by the clock and of processor time."""
    walls = [one.wall for one in taken]
    wall = statistics.median(walls)
    processor = statistics.median(one.processor for one in taken)
    print(
        f"| {name}, {count:,} | {wall:.4f} s | {min(walls):.4f}..{max(walls):.4f} s "
        f"| {count / wall:,.0f} | {count / processor:,.0f} |"
    )


def agree(space: SearchSpace, counted: SpaceCosts, points: np.ndarray) -> None:
    """The timed numbers are the right ones: 200 designs, every field."""
    together = counted(points[:200])
    for place, point in enumerate(points[:200].tolist()):
        single = cost(space.architecture_at(point))
        assert all(getattr(together, f)[place] == getattr(single, f) for f in FIELDS)


def describe_machine() -> None:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    print(f"{model}, {os.cpu_count()} cores, 1 used; load {load:.1f} at the start")
    print(f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}")
    print("\n| what, designs | median | range | designs a second | and of CPU time |")
    print("| --- | --- | --- | --- | --- |")


if __name__ == "__main__":
    main()
