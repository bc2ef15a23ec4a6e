"""Fit the two weights of `training_bytes` to measured peaks, and test it on other networks.

python experiments/benchmarks/memory/fit.py peaks.jsonl
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peak import design

from autoscale.design.cost import cost
from autoscale.jobs.workers.memory import HELD, numbers_held, training_bytes


def terms(row: dict[str, Any]) -> tuple[float, float]:
    """What the two weights multiply, in numbers."""
    network = design(row["network"], row["resolution"])
    return row["batch"] * numbers_held(network, row["kernels"]), cost(network).params


def fitted(rows: list[dict[str, Any]]) -> list[float]:
    """The weights with the least largest error, above and below, from those of least squares."""
    peaks = np.array([statistics.median(row["peaks"]) / 4 for row in rows])
    relative = np.array([terms(row) for row in rows]) / peaks[:, None]
    weights = np.linalg.lstsq(relative, np.ones(len(rows)), rcond=None)[0]
    ratios = relative @ weights
    return list(weights / np.sqrt(ratios.min() * ratios.max()))


def main() -> None:
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    for kernels in HELD:
        own = [row for row in rows if row["kernels"] == kernels]
        weights = fitted([row for row in own if not row["tested"]])
        print(f"{kernels}: {weights[0]:.2f} of what is kept, {weights[1]:.2f} a parameter")
        for row in own:
            peak = statistics.median(row["peaks"])
            network = design(row["network"], row["resolution"])
            predicted = training_bytes(network, row["batch"], kernels=kernels)
            least, most = min(row["peaks"]) / 2**20, max(row["peaks"]) / 2**20
            print(
                f"  {'tested' if row['tested'] else 'fitted'} {row['network']} "
                f"{row['resolution']} {row['batch']}: {peak / 2**20:.0f} MiB "
                f"[{least:.0f}, {most:.0f}], predicted / peak {predicted / peak:.2f}"
            )


if __name__ == "__main__":
    main()
