"""Measure random networks of the mnasnet space, for fitting the latency table and for testing it.

    OMP_NUM_THREADS=1 python experiments/latency/measure_networks.py networks.csv

Processor time of one thread, eager, batch 1. Fifty networks take turns, ten passes each.
"""

import csv
import random
import sys
from pathlib import Path

from autoscale.design.cost import cost
from autoscale.network.latency import measure_latencies
from autoscale.workflows.catalogue import load_space

CHUNK = 50
# Fitted on the first three hundred; tested on a hundred others, measured in between and at the end.
ORDER = ("fit", "fit", "fit", "test", "fit", "fit", "fit", "test")

space = load_space("mnasnet")
rng = random.Random(0)
seen = set()
with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as opened:
    writer = csv.writer(opened)
    writer.writerow(["split", "point", "macs", "median_ms", "low_ms", "high_ms"])
    for split in ORDER:
        chunk = []
        while len(chunk) < CHUNK:
            design = space.sample(rng)
            if design not in seen:
                seen.add(design)
                chunk.append(design)
        for design, found in zip(
            chunk, measure_latencies(chunk, clock="cpu", repeats=10), strict=True
        ):
            point = " ".join(map(str, space.point_of(design)))
            times = (found.median_ms, found.low_ms, found.high_ms)
            writer.writerow([split, point, cost(design).macs, *(f"{t:.3f}" for t in times)])
        opened.flush()
