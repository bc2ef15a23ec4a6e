"""What early stopping would have done to a search whose designs were all trained to the end.

    python experiments/early_stopping/replay.py experiments/early_stopping/curves.jsonl

A random search proposes the same designs whatever is stopped, and a training that goes on is the
unbroken one to the last bit, so its run with rungs follows exactly from the curves. Printed for
each set of rungs and caution: epochs saved, trainings that went on to the end, and the area under
their front as a share of the area under the front of all. Area: accuracy above the worst design's,
logarithm of multiply-adds below the costliest design's.

Seed noise of that area: the designs' scores are drawn anew around those of seed 0, with the
standard deviation of one training as the second seed shows it.
"""

import argparse
import json
import sys
from math import log
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from autoscale.search.objective import Objective
from autoscale.search.pareto import Direction, front, hypervolume
from autoscale.search.rungs import LearningCurve, Rungs

FRONT: tuple[Direction, Direction] = ("maximize", "minimize")
GOAL = Objective(kind="front", target=1_000_000)
CAUTIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
SETS = ((1, 3, 9), (2, 4, 9), (3, 6, 9), (1, 2, 4, 9))


def replay(curves: list[dict], rungs: Rungs) -> tuple[int, list[dict]]:
    """Epochs trained, and the curves of those that went on to the end."""
    climbs: list[LearningCurve] = []
    spent, ended = 0, []
    for curve in curves:
        seen: dict[int, float] = {}
        behind = None
        for epochs in rungs.looks:
            seen[epochs] = curve["accuracy"][str(epochs)]
            one = LearningCurve(trial=curve["design"], cost=curve["macs"], rungs=seen)
            behind = rungs.better(one, epochs, climbs, GOAL)
            if behind:
                break
        whole = curve["accuracy"][str(rungs.epochs[-1])]
        climbs.append(
            LearningCurve(
                trial=curve["design"],
                cost=curve["macs"],
                rungs=seen,
                end=None if behind else whole,
            )
        )
        spent += max(seen) if behind else rungs.epochs[-1]
        ended += [] if behind else [curve]
    return spent, ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path)
    asked = parser.parse_args()
    lines = [json.loads(line) for line in asked.curves.read_text().splitlines()]
    curves = sorted((c for c in lines if c["seed"] == 0), key=lambda c: c["design"])
    again = {c["design"]: c for c in lines if c["seed"] == 1}
    last = max(curves[0]["accuracy"], key=int)
    scores = np.array([c["accuracy"][last] for c in curves])
    costs = np.array([log(c["macs"]) for c in curves])
    corner = (float(scores.min()), float(costs.max()) + 1e-9)

    def area(rows: np.ndarray, drawn: np.ndarray = scores) -> float:
        return hypervolume(np.stack([drawn[rows], costs[rows]], axis=1), corner, FRONT)

    everything = np.arange(len(curves))
    whole = area(everything)
    members = front(np.stack([scores, costs], axis=1), FRONT)
    print(f"{len(curves)} designs, {len(members)} on the front, {last} epochs each")
    pairs = [
        (c["accuracy"], again[c["design"]]["accuracy"]) for c in curves if c["design"] in again
    ]
    if pairs:
        print(f"seed noise (standard deviation of one training) from {len(pairs)} designs:")
        for epochs in sorted(curves[0]["accuracy"], key=int):
            moved = np.array([one[epochs] - other[epochs] for one, other in pairs])
            print(f"  after {epochs} epochs {np.sqrt(np.mean(moved**2) / 2):.4f}")
        noise = float(np.sqrt(np.mean([(a[last] - b[last]) ** 2 for a, b in pairs]) / 2))
        rng = np.random.default_rng(0)
        drawn = [area(everything, scores + rng.normal(0, noise, len(scores))) for _ in range(2000)]
        print(f"seed noise of the area: {np.std(drawn) / whole:.3f} of it")
    for epochs in sorted(curves[0]["accuracy"], key=int)[:-1]:
        at = np.array([c["accuracy"][epochs] for c in curves])
        print(f"correlation of accuracy after {epochs} epochs with the last: "
              f"{np.corrcoef(at, scores)[0, 1]:.2f}")  # fmt: skip
    print("| rungs | caution | epochs saved | ended | share of the front's area |")
    print("| --- | --- | --- | --- | --- |")
    for epochs in SETS:
        for caution in CAUTIONS:
            spent, ended = replay(curves, Rungs(epochs=epochs, caution=caution))
            kept = np.array([curves.index(c) for c in ended])
            saved = 1 - spent / (epochs[-1] * len(curves))
            name = ", ".join(map(str, epochs))
            print(
                f"| {name} | {caution:g} | {saved:.0%} | {len(ended)} | {area(kept) / whole:.3f} |"
            )


if __name__ == "__main__":
    main()
