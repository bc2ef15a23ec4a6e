"""Fit the latency table to measured networks and test it on others.

    python experiments/latency/fit_table.py networks.csv 300

So many of the file's networks are fitted and the others tested: with the times at the machine's
median pace, and with plain medians.
"""

import sys

import numpy as np
import pandas as pd

from autoscale.design.measures.latency import fit_latency_table
from autoscale.design.workload import workload
from autoscale.jobs.search.agreement import kendall
from autoscale.jobs.search.spaces import load_space

space = load_space("mnasnet")
frame, fitted = pd.read_csv(sys.argv[1]), int(sys.argv[2])
work = [
    workload(space.architecture_at([int(index) for index in text.split()]))
    for text in frame["point"]
]
unseen = frame[fitted:]
print(f"fitted to {fitted} networks, tested on {len(unseen)} others")
for column in ("steady_ms", "median_ms"):
    table = fit_latency_table(work[:fitted], frame[column][:fitted].tolist())
    predicted = np.array([table.price(one) for one in work[fitted:]])
    measured = unseen[column].to_numpy()
    errors = np.abs(predicted / measured - 1)
    print(
        f"{column}: stated error (left out in turn) {table.error:.3f}, on the others "
        f"{np.median(errors):.3f}, within 10 % {np.mean(errors < 0.1):.2f}; Kendall tau "
        f"{kendall(predicted, measured):.3f}; of multiply-adds alone "
        f"{kendall(unseen['macs'].to_numpy(dtype=float), measured):.3f}"
    )
halves = (unseen[name].to_numpy() for name in ("first_ms", "second_ms"))
print(f"Kendall tau of one round with the other {kendall(*halves):.3f}")
