"""Search the benchmark's landscapes and write one line of JSON for each search.

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/searches.py \\
        --landscape macro --task single --sampler guided --repetitions 30 --out results.jsonl
    python experiments/benchmarks/search/searches.py --table results.jsonl

Seeds 0 to 999 are for published figures; settings were chosen with seeds from 1000 on.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import LANDSCAPES  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.search.samplers import make_sampler  # noqa: E402

CHECKPOINTS = (25, 50, 100, 200, 400)


def search(task: Task, sampler: str, seed: int, trials: int) -> dict[str, Any]:
    """One search, judged at the checkpoints."""
    space = task.landscape.space
    study = optuna.create_study(
        directions=task.directions,
        sampler=make_sampler(sampler, seed=seed, space=space, known=task.known),
    )
    luck = np.random.default_rng([seed, 1])
    judged: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    seconds = []
    for number in range(1, trials + 1):
        start = time.process_time()
        trial = study.ask()
        architecture = space.suggest(trial)
        seconds.append(time.process_time() - start)
        study.tell(trial, task.values(architecture, luck))
        if number in CHECKPOINTS:
            for how in ("model", "observed"):
                judged[how][str(number)] = task.judge(task.recommended(study, how))
    return {**judged, "ask ms": 1e3 * float(np.median(seconds))}


def table(lines: list[dict[str, Any]]) -> str:
    """Mean and standard error of every measure, one row for each sampler."""
    groups: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for how in ("model", "observed"):
            for number, measures in line[how].items():
                for measure, value in measures.items():
                    name = line["landscape"] + (", fresh noise" if line.get("fresh") else "")
                    key = (name, line["task"], measure, how, line["sampler"])
                    groups[key][number].append(value)
    heads = ["landscape", "measure", "chosen by", "sampler", "n", *map(str, CHECKPOINTS)]
    rows = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for group, by_number in sorted(groups.items()):
        landscape, kind, name, chosen_by, sampler = group
        cells = []
        for number in map(str, CHECKPOINTS):
            values = np.array(by_number.get(number, []))
            spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            cells.append(f"{values.mean():.3f} ± {spread:.3f}" if len(values) else "")
        n = max(len(v) for v in by_number.values())
        head = f"| {landscape} | {kind} {name} | {chosen_by} | {sampler} | {n} | "
        rows.append(head + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landscape", choices=list(LANDSCAPES))
    parser.add_argument("--task", choices=["single", "reward", "front", "timed"])
    parser.add_argument("--sampler")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument(
        "--fresh-noise",
        action="store_true",
        help="every training of a made-up landscape has a seed of its own, instead of one of three",
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if asked.table:
        print(table([json.loads(line) for line in asked.table.read_text().splitlines()]))
        return
    landscape = LANDSCAPES[asked.landscape]()
    task = Task(asked.task, landscape.with_fresh_noise() if asked.fresh_noise else landscape)
    for seed in range(asked.first_seed, asked.first_seed + asked.repetitions):
        found = search(task, asked.sampler, seed, asked.trials)
        head = {"landscape": asked.landscape, "task": asked.task, "sampler": asked.sampler}
        if asked.fresh_noise:
            head["fresh"] = True
        with asked.out.open("a") as out:
            out.write(json.dumps(head | {"seed": seed} | found) + "\n")


if __name__ == "__main__":
    main()
