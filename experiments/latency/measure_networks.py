"""Measure random networks of the mnasnet space, for fitting the latency table and for testing it.

    OMP_NUM_THREADS=1 python experiments/latency/measure_networks.py networks.csv 400 18

Arguments: the file to write, networks, and passes of each in each of two rounds. Processor time of
one thread, eager, batch 1. All networks take turns; `steady_ms` has the machine's changes of pace
taken out, and the two rounds say how well such a measurement agrees with itself.
"""

import csv
import random
import sys
from pathlib import Path

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.devices.timing.latency import measure_latencies
from autoscale.jobs.search.spaces import load_space

out, count, passes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
space = load_space("mnasnet")
rng = random.Random(0)
designs: dict[str, Architecture] = {}
while len(designs) < count:
    design = space.sample(rng)
    point_of = space.point_of(design)
    assert point_of is not None  # it was drawn from this space
    designs.setdefault(" ".join(map(str, point_of)), design)
rounds = [measure_latencies(list(designs.values()), clock="cpu", repeats=passes) for _ in range(2)]
with Path(out).open("w", newline="", encoding="utf-8") as opened:
    writer = csv.writer(opened)
    writer.writerow(["point", "macs", "median_ms", "steady_ms", "first_ms", "second_ms"])
    for (point, design), one, two in zip(designs.items(), *rounds, strict=True):
        times = (
            (one.median_ms + two.median_ms) / 2,
            (one.steady_ms + two.steady_ms) / 2,
            one.steady_ms,
            two.steady_ms,
        )
        writer.writerow([point, cost(design).macs, *(f"{t:.3f}" for t in times)])
