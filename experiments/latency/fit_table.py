"""Fit the latency table to one half of the measured networks and test it on the other.

OMP_NUM_THREADS=1 python experiments/latency/fit_table.py networks.csv
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
frame = pd.read_csv(sys.argv[1])
designs = [space.architecture_at([int(i) for i in text.split()]) for text in frame["point"]]
measured = frame["median_ms"].to_numpy()
work = [operations(design) for design in designs]
half = len(frame) // 2
table = fit_latency_table(work[:half], measured[:half])
predicted = np.array([table.predict(design) for design in designs[half:]])
unseen = measured[half:]
errors = np.abs(predicted / unseen - 1)
print(f"fitted to {half} networks, tested on {len(unseen)} others")
print(f"stated error (left out in turn) {table.error:.3f}, on the others {np.median(errors):.3f}")
print(f"within 10 %: {np.mean(errors < 0.1):.2f}; Kendall tau {kendall(predicted, unseen):.3f}")
macs = frame["macs"].to_numpy()[half:]
print(f"Kendall tau of multiply-adds alone {kendall(macs.astype(float), unseen):.3f}")
for chunk in range(half, len(frame), 50):
    part = slice(chunk - half, chunk - half + 50)
    print(f"networks that took turns, {chunk}..: {kendall(predicted[part], unseen[part]):.3f}")
