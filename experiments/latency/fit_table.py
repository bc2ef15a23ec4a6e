"""Fit the latency table to measured networks and test it on others.

    OMP_NUM_THREADS=1 python experiments/latency/fit_table.py fit.csv test.csv

Given one file, its first half is fitted and its second half tested.
"""

import sys

import numpy as np
import pandas as pd

from autoscale.network.latency_table import fit_latency_table, operations
from autoscale.workflows.catalogue import load_space


def kendall(one: np.ndarray, other: np.ndarray) -> float:
    """Pairs in the same order less pairs in opposite order, as a share of all (no ties)."""
    rows, columns = np.triu_indices(len(one), 1)
    signs = np.sign(one[rows] - one[columns]) * np.sign(other[rows] - other[columns])
    return float(signs.mean())


space = load_space("mnasnet")
frames = [pd.read_csv(name) for name in sys.argv[1:]]
fitted = len(frames[0]) if len(frames) > 1 else len(frames[0]) // 2
frame = pd.concat(frames, ignore_index=True)
measured = frame["median_ms"].to_numpy()
work = [
    operations(space.architecture_at([int(index) for index in text.split()]))
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
for begin in range(0, len(unseen), 50):
    part = slice(begin, begin + 50)
    print(f"among {begin}..., which took turns: {kendall(predicted[part], unseen[part]):.3f}")
