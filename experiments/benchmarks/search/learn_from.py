"""What an earlier search is worth to a new one, if it agrees, half agrees or misleads.

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/learn_from.py \\
        --landscape chain --repetitions 30 --out learn_from.jsonl
    python experiments/benchmarks/search/learn_from.py --table learn_from.jsonl

The earlier search is one of 100 trainings on a landscape that follows from the new one's, both in
standard deviations of random networks: `same` is the new one, `kin` 0.8 times it and 0.6 times a
landscape of its own (a correlation of 0.8), `unlike` that other one alone, `opposite` the new one
turned round; `none` is no earlier search. Task `single`.
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import LANDSCAPES, Landscape, Worth  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.design.architecture import Architecture  # noqa: E402
from autoscale.search.knowledge import KnownCosts  # noqa: E402
from autoscale.search.model.earlier import EarlierSearch  # noqa: E402
from autoscale.search.model.recommend import recommend  # noqa: E402
from autoscale.search.samplers import make_sampler  # noqa: E402

CHECKPOINTS = (10, 25, 50)
BEFORE, NOISE = 100, 0.1
#: How much of the new landscape, and of another, is in the earlier one.
KINDS = {"same": (1.0, 0.0), "kin": (0.8, 0.6), "unlike": (0.0, 1.0), "opposite": (-1.0, 0.0)}


def earlier(landscape: Landscape, kind: str, seed: int) -> EarlierSearch:
    """A search of the same space, on what `kind` makes of the landscape."""
    space, drawn = landscape.space, random.Random(1)
    own, share = KINDS[kind]
    sample = [space.sample(drawn) for _ in range(300)]
    one = _standard(landscape.mean, sample)
    other = _standard(
        Worth(space, seed=5000 + seed, alone=0.15, pairs=30, together=0.08).of, sample
    )
    luck = np.random.default_rng([seed, 7])
    study = optuna.create_study(
        direction="maximize", sampler=make_sampler("guided", seed=seed + 77, space=space)
    )
    for _ in range(BEFORE):
        trial = study.ask()
        design = space.suggest(trial)
        study.tell(trial, own * one(design) + share * other(design) + luck.normal(0, NOISE))
    return EarlierSearch(
        kind, [t.params for t in study.trials], [t.values[0] for t in study.trials]
    )


def _standard(
    mean: Callable[[Architecture], float], sample: list[Architecture]
) -> Callable[[Architecture], float]:
    """In standard deviations of the sample."""
    values = np.array([mean(design) for design in sample])
    return lambda design: float((mean(design) - values.mean()) / values.std())


def search(task: Task, known: KnownCosts, seed: int) -> dict[str, float]:
    """Regret after so many trainings."""
    space = task.landscape.space
    sampler = make_sampler("guided", seed=seed, space=space, known=known)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    luck, judged = np.random.default_rng([seed, 1]), dict[str, float]()
    for number in range(1, CHECKPOINTS[-1] + 1):
        trial = study.ask()
        study.tell(trial, task.values(space.suggest(trial), luck))
        if number in CHECKPOINTS:
            trials = study.get_trials(deepcopy=False)
            (best,) = recommend(trials, study.directions, space=space, known=known)
            judged[str(number)] = task.judge([space.from_params(best.params)])["regret"]
    return judged


def table(lines: list[dict[str, object]]) -> str:
    groups: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for number, regret in dict(line["regret"]).items():  # type: ignore[call-overload]
            groups[str(line["landscape"]), str(line["earlier"])][number].append(regret)
    heads = ["landscape", "earlier search", "n", *map(str, CHECKPOINTS)]
    rows = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for (landscape, kind), found in groups.items():
        cells = []
        for values in (np.array(found[str(number)]) for number in CHECKPOINTS):
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            cells.append(f"{values.mean():.3f} ± {error:.3f}")
        count = len(found[str(CHECKPOINTS[0])])
        rows.append(f"| {landscape} | {kind} | {count} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landscape", choices=list(LANDSCAPES), nargs="+", default=["chain"])
    parser.add_argument("--kinds", choices=["none", *KINDS], nargs="+", default=["none", *KINDS])
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if asked.table:
        print(table([json.loads(line) for line in asked.table.read_text().splitlines()]))
        return
    for name in asked.landscape:
        task = Task("single", LANDSCAPES[name]())
        for kind in asked.kinds:
            for seed in range(asked.first_seed, asked.first_seed + asked.repetitions):
                views = () if kind == "none" else (earlier(task.landscape, kind, seed),)
                regret = search(task, replace(task.known, views={0: views}), seed)
                head = {"landscape": name, "earlier": kind, "seed": seed}
                with asked.out.open("a") as out:
                    out.write(json.dumps(head | {"regret": regret}) + "\n")


if __name__ == "__main__":
    main()
