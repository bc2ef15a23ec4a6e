"""Race on grids whose truth is known and write one line of JSON for each race.

    OMP_NUM_THREADS=1 python experiments/benchmarks/grid/races.py --out results.jsonl \\
        --place b0 --method race --repetitions 100
    python experiments/benchmarks/grid/races.py --table results.jsonl

Worlds below 100,000 are for published figures; settings were chosen on worlds from 100,000 on.
Races that a file already has are not run again.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

import worlds  # noqa: E402
from worlds import SEED_SD, SHAPES, World, make_world  # noqa: E402

from autoscale.racing.race import RaceSettings, next_training  # noqa: E402
from autoscale.racing.response_surface import Interval, Observation, infer  # noqa: E402
from autoscale.racing.verdict import judge  # noqa: E402

SEEDS = 3
LEVEL = 0.9


def required_of(world: World) -> list[int]:
    """The candidates that grow most in depth, in width and in resolution."""
    return sorted({int(np.argmax(column)) for column in world.positions.T})


def seen(world: World, pairs: Iterable[tuple[int, int]]) -> list[Observation]:
    return [Observation(c, s, float(world.scores[c, s])) for c, s in pairs]


def race(world: World, **settings: Any) -> tuple[list[Observation], None]:
    """`next_training` until it ends."""
    observations: list[Observation] = []
    rules, required = RaceSettings(seeds=SEEDS, **settings), required_of(world)
    while step := next_training(world.positions, observations, rules, required=required):
        observations += seen(world, [step])
    return observations, None


def full(world: World) -> tuple[list[Observation], int]:
    """Every candidate with every seed; the pick is the highest plain mean."""
    count = len(world.truth)
    pick = int(np.argmax(world.scores[:, :SEEDS].mean(axis=1)))
    return seen(world, [(c, s) for c in range(count) for s in range(SEEDS)]), pick


def halving(world: World) -> tuple[list[Observation], int]:
    """Every candidate with one seed, the better half with a second, half of these with a third.

    The required get all seeds. Source: Jamieson and Talwalkar 2016, with seeds as the resource.
    """
    left = list(range(len(world.truth)))
    pairs = {(c, s) for c in required_of(world) for s in range(SEEDS)}
    for seed in range(SEEDS):
        pairs |= {(c, seed) for c in left}
        means = world.scores[:, : seed + 1].mean(axis=1)
        if seed < SEEDS - 1:
            left = sorted(left, key=lambda c: -means[c])[: -(-len(left) // 2)]
    return seen(world, sorted(pairs)), max(left, key=lambda c: float(means[c]))


METHODS: dict[str, Callable[..., tuple[list[Observation], int | None]]] = {
    "race": race,
    "full": full,
    "halving": halving,
}


def assess(world: World, observations: list[Observation], pick: int | None) -> dict[str, Any]:
    """One race against the truth.

    "best mean" and "leader" are two picks: by plain means, and by the posterior. Intervals and
    verdict are the posterior's.
    """
    posterior, truth = infer(world.positions, observations), world.truth
    leader = posterior.leader
    assert leader is not None

    def holds(interval: Interval, value: float) -> bool:
        return bool(interval.low <= value <= interval.high)

    def share(held: Iterable[bool]) -> float:
        return round(float(np.mean([*held])), 4)

    def leads(c: int) -> bool:
        return holds(posterior.difference(leader, c, LEVEL), truth[leader] - truth[c])

    others = [c for c in range(len(truth)) if c != leader]
    verdict = judge(posterior)
    loss = {"leader": leader, "best mean": leader if pick is None else pick}
    return {
        "loss": {how: round(float(truth.max() - truth[c]), 4) for how, c in loss.items()},
        "cost": round(len(observations) / (SEEDS * len(truth)), 4),
        "relative": share(
            holds(posterior.relative(c, LEVEL), truth[c] - truth.mean()) for c in range(len(truth))
        ),
        "to leader": share(leads(c) for c in others),
        "required": [leads(c) for c in required_of(world) if c != leader],
        "kind": verdict.kind,
        "noise": round(posterior.noise, 4),
    }


def table(lines: list[dict[str, Any]]) -> str:
    """A row for each method and family of surfaces; for all families also each place."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        for place, shape in (("both", line["shape"]), (line["place"], "all"), ("both", "all")):
            groups[line["method"], place, shape].append(line)
    head = ["method", "candidates", "surface", "n", "near (posterior)", "near (best mean)"]
    head += ["mean loss", "cost", "worst cost", "relative", "to leader", "required"]
    head += ["best / tied / cannot tell"]
    rows = [head, ["---"] * len(head)]
    shapes = [*SHAPES, "all"]
    for key in sorted(groups, key=lambda k: (k[0] != "race", k[0], shapes.index(k[2]), k[1])):
        found = groups[key]

        def mean(name: str, found: list[dict[str, Any]] = found) -> float:
            return float(np.mean(np.hstack([line[name] for line in found])))

        near = [
            float(np.mean([line["loss"][how] <= SEED_SD for line in found]))
            for how in ("leader", "best mean")
        ]
        kinds = [
            np.mean([line["kind"] == k for line in found]) for k in ("best", "tied", "cannot tell")
        ]
        rows.append(
            [
                *key,
                str(len(found)),
                f"{near[0]:.3f}",
                f"{near[1]:.3f}",
                f"{np.mean([line['loss']['leader'] for line in found]):.3f}",
                f"{mean('cost'):.3f}",
                f"{max(line['cost'] for line in found):.2f}",
                f"{mean('relative'):.3f}",
                f"{mean('to leader'):.3f}",
                f"{mean('required'):.3f}",
                " / ".join(f"{share:.2f}" for share in kinds),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--place", choices=list(worlds.PLACES), default="b0")
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--method", choices=list(METHODS), default="race")
    parser.add_argument("--first", type=int, default=0, help="number of the first world")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--set", default="{}", help="settings of the race, as JSON")
    arguments = parser.parse_args()
    if arguments.table:
        lines = [json.loads(line) for line in arguments.table.read_text().splitlines()]
        print(table(lines))
        return
    worlds.PLACES.update({arguments.place: lru_cache(worlds.PLACES[arguments.place])})
    settings = json.loads(arguments.set)
    done = set()
    if arguments.out.exists():
        for text in arguments.out.read_text().splitlines():
            line = json.loads(text)
            done.add((line["method"], line["place"], line["shape"], line["world"]))
    with arguments.out.open("a") as file:
        for number in range(arguments.first, arguments.first + arguments.repetitions):
            for shape in arguments.shapes:
                key = (arguments.method, arguments.place, shape, number)
                if key in done:
                    continue
                world, start = make_world(arguments.place, shape, number), time.process_time()
                result = assess(world, *METHODS[arguments.method](world, **settings))
                line = dict(zip(("method", "place", "shape", "world"), key, strict=True))
                line |= result | {"seconds": round(time.process_time() - start, 3)}
                file.write(json.dumps(line) + "\n")
                file.flush()


if __name__ == "__main__":
    main()
