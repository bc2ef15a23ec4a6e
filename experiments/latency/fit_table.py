"""Fit the latency table to measured networks and test it on others.

    python experiments/latency/fit_table.py networks.csv 200
    python experiments/latency/fit_table.py fit.csv test.csv

Given one file and a number, so many of its networks are fitted and the others tested.
"""

import sys

import numpy as np
import pandas as pd

from autoscale.design.latency_table import fit_latency_table
from autoscale.design.workload import workload
from autoscale.workflows.catalogue import load_space


def kendall(one: np.ndarray, other: np.ndarray) -> float:
    """Pairs in the same order less pairs in opposite order, as a share of all (no ties)."""
    rows, columns = np.triu_indices(len(one), 1)
    signs = np.sign(one[rows] - one[columns]) * np.sign(other[rows] - other[columns])
    return float(signs.mean())


space = load_space("mnasnet")
first, second = sys.argv[1:]
frames = [pd.read_csv(first)] + ([] if second.isdecimal() else [pd.read_csv(second)])
fitted = int(second) if second.isdecimal() else len(frames[0])
frame = pd.concat(frames, ignore_index=True)
measured = frame["median_ms"].to_numpy()
work = [
    workload(space.architecture_at([int(index) for index in text.split()]))
    for text in frame["point"]
]
table = fit_latency_table(work[:fitted], measured[:fitted])
predicted = np.array(
    [sum(n * table.rates.get(f, 0.0) for f, n in row.items()) for row in work[fitted:]]
)
unseen = measured[fitted:]
errors = np.abs(predicted / unseen - 1)
print(f"fitted to {fitted} networks, tested on {len(unseen)} others")
print(f"stated error (left out in turn) {table.error:.3f}, on the others {np.median(errors):.3f}")
print(f"within 10 %: {np.mean(errors < 0.1):.2f}; Kendall tau {kendall(predicted, unseen):.3f}")
macs = frame["macs"].to_numpy(dtype=float)[fitted:]
print(f"Kendall tau of multiply-adds alone {kendall(macs, unseen):.3f}")
if "first_ms" in frame:
    # Two halves of the passes of the same networks: no prediction can agree better than these.
    halves = (frame[name].to_numpy()[fitted:] for name in ("first_ms", "second_ms"))
    print(f"Kendall tau of one half of the passes with the other {kendall(*halves):.3f}")
