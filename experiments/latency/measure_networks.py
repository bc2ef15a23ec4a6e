"""Measure random networks of the mnasnet space, for fitting the latency table or for testing it.

    OMP_NUM_THREADS=1 python experiments/latency/measure_networks.py fit.csv 0 200 10
    OMP_NUM_THREADS=1 python experiments/latency/measure_networks.py test.csv 1 100 15 fit.csv

Arguments: the file to write, a seed, networks, passes of each, and files whose networks are left
out. Processor time of one thread, eager, batch 1; fifty networks take turns.
"""

import csv
import random
import sys
from pathlib import Path

from autoscale.design.cost import cost
from autoscale.network.latency import measure_latencies
from autoscale.workflows.catalogue import load_space

CHUNK = 50

out, seed, count, passes, *others = sys.argv[1:]
space = load_space("mnasnet")
rng = random.Random(int(seed))
seen = set()
for other in others:
    with Path(other).open(newline="", encoding="utf-8") as opened:
        seen |= {row["point"] for row in csv.DictReader(opened)}
with Path(out).open("w", newline="", encoding="utf-8") as opened:
    writer = csv.writer(opened)
    writer.writerow(["point", "macs", "median_ms", "low_ms", "high_ms"])
    for begin in range(0, int(count), CHUNK):
        chunk = []
        while len(chunk) < min(CHUNK, int(count) - begin):
            design = space.sample(rng)
            point = " ".join(map(str, space.point_of(design)))
            if point not in seen:
                seen.add(point)
                chunk.append((point, design))
        found = measure_latencies([d for _, d in chunk], clock="cpu", repeats=int(passes))
        for (point, design), latency in zip(chunk, found, strict=True):
            times = (latency.median_ms, latency.low_ms, latency.high_ms)
            writer.writerow([point, cost(design).macs, *(f"{t:.3f}" for t in times)])
        opened.flush()
