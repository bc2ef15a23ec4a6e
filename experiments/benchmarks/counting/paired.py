"""Does one checkout count designs faster than another?

    python experiments/benchmarks/counting/paired.py --against ../before

Each checkout counts in a process of its own on one core; they take turns, round after round, so
that other work on the machine slows both alike. Printed are millions of designs a second of
processor time, medians over the rounds, and the median of the rounds' ratios with its range. Both
must count the same. The work: the grid of step 0.01 around EfficientNet-B0 with `scaled_costs`, and
MnasNet designs that were never met before with `cost` and with `costs_of`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
SINGLES = 3000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="another checkout")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    counters = {"here": start(ROOT), "there": start(given.against.resolve())}
    answers: dict[str, list[dict[str, list[float]]]] = {name: [] for name in counters}
    for number in range(given.rounds + 1):
        order = list(counters) if number % 2 else list(reversed(counters))
        for name in order:
            answers[name].append(ask(counters[name], number))
    for counter in counters.values():
        counter.communicate()
    same = all(
        here[work][1] == there[work][1]
        for here, there in zip(answers["here"], answers["there"], strict=True)
        for work in here
    )
    print(
        "| work | here, M/s | there, M/s | here / there | range |\n| --- | --- | --- | --- | --- |"
    )
    for work in answers["here"][0]:
        # The first round imports and compiles; it is not counted.
        here, there = ([one[work][0] for one in answers[name][1:]] for name in counters)
        ratios = [a / b for a, b in zip(here, there, strict=True)]
        print(
            f"| {work} | {statistics.median(here):.4g} | {statistics.median(there):.4g} "
            f"| {statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |"
        )
    print("all counts are equal" if same else "the counts differ")
    return 0 if same else 1


def start(tree: Path) -> subprocess.Popen[str]:
    """A process that counts with the package of `tree`, a round for each line that it reads."""
    return subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(counter: subprocess.Popen[str], number: int) -> dict[str, list[float]]:
    assert counter.stdin is not None
    assert counter.stdout is not None
    counter.stdin.write(f"{number}\n")
    counter.stdin.flush()
    return json.loads(counter.stdout.readline())


def serve() -> None:
    """Answer each number of a round with the speed of each work and the sum of its counts."""
    import numpy as np

    from autoscale.design.cost import cost
    from autoscale.design.costs import costs_of, scaled_costs
    from autoscale.design.published import EFFICIENTNET_B0
    from autoscale.design.space import SearchSpace

    space = SearchSpace.from_yaml((ROOT / "search_spaces" / "mnasnet.yaml").read_text("utf-8"))
    steps = np.linspace(1, 2, 101)
    pixels = np.rint(224 * steps).astype(int)

    def grid() -> int:
        counted = scaled_costs(
            EFFICIENTNET_B0, depth=steps[:, None, None], width=steps[:, None], resolution=pixels
        )
        fields = (counted.macs, counted.params, counted.activations, counted.peak)
        return sum(int(np.broadcast_to(field, (101, 101, 101)).sum()) for field in fields)

    for line in sys.stdin:
        rng = random.Random(int(line))
        singles = [space.sample(rng) for _ in range(SINGLES)]
        listed = [space.sample(rng) for _ in range(SINGLES)]
        answer = {
            "grid around B0": measured(grid, 101**3),
            "cost, one by one": measured(lambda: sum(cost(d).macs for d in singles), SINGLES),  # noqa: B023
            "costs_of, a list": measured(lambda: int(costs_of(listed).macs.sum()), SINGLES),  # noqa: B023
        }
        print(json.dumps(answer), flush=True)


def measured(work: Callable[[], int], count: int) -> tuple[float, int]:
    began = time.process_time()
    total = work()
    return count / (time.process_time() - began) / 1e6, total


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(main())
