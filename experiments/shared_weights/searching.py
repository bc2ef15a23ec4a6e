"""Is a search of NAS-Bench-Macro that knows what shared weights say ahead, at equal cost?

    OMP_NUM_THREADS=1 python experiments/shared_weights/searching.py rows.csv searches.jsonl \\
        --repetitions 20
    python experiments/shared_weights/searching.py rows.csv searches.jsonl --tell

The benchmark's table (Su et al. 2021), read from `shared/benchmarks/` beside the repository,
answers in place of trainings, as in `experiments/benchmarks/search`, task `single`. The view are
the scores of rows.csv, which `shared_weights.py` made. `macs` is a view too: the same networks,
"scored" by their multiply-adds. Regret is that of the recommended network, in points of mean
accuracy. `--tell` prints it after so many trainings, and the difference to a search without a view
that trained ten more networks: paired by seed, with its standard error.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE), str(HERE.parent / "benchmarks" / "search"), str(HERE.parents[1])
]  # fmt: skip

from landscapes import TABLE, macro  # noqa: E402
from shared_weights import Row  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.search.knowledge import KnownCosts  # noqa: E402
from autoscale.search.model.earlier import EarlierSearch  # noqa: E402
from autoscale.search.model.recommend import recommend  # noqa: E402
from autoscale.search.samplers import make_sampler  # noqa: E402
from experiments.rows import read  # noqa: E402

#: Trainings that shared weights are taken to cost, and after which a search is judged.
PRICE = 10
CHECKPOINTS = (5, 10, 15, 20, 25, 30, 40, 50)
VIEWS = ("none", "shared", "macs")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("searches", type=Path)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--designs", type=int, default=300, help="of the rows, the first ones")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=VIEWS)
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args(words)
    if not TABLE.exists():
        raise SystemExit(f"the table of accuracies is missing: {TABLE}")
    if not asked.tell:
        search_all(asked)
    print(told(lines_of(asked.searches)))


def search_all(asked: argparse.Namespace) -> None:
    """Every search that is not there yet."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = Task("single", macro())
    done = {(line["view"], line["seed"]) for line in lines_of(asked.searches)}
    rows = read(asked.rows, Row)[: asked.designs]
    known = {name: view_of(name, task, rows) for name in asked.views}
    for seed in range(asked.repetitions):
        for name in asked.views:
            if (name, seed) in done:
                continue
            regret = searched(task, replace(task.known, views={0: known[name]}), seed, asked.trials)
            with asked.searches.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"view": name, "seed": seed, "regret": regret}) + "\n")


def view_of(name: str, task: Task, rows: Sequence[Row]) -> tuple[EarlierSearch, ...]:
    """What a search knows beforehand."""
    if name == "none":
        return ()
    space = task.landscape.space
    params = [
        {
            one.name: one.labels[int(digit)]
            for one, digit in zip(space.parameters, row.network, strict=True)
        }
        for row in rows
    ]
    scores = [float(row.macs) if name == "macs" else row.score for row in rows]
    return (EarlierSearch(name, params, scores),)


def searched(task: Task, known: KnownCosts, seed: int, trials: int) -> dict[str, float]:
    """Regret after so many trainings."""
    space = task.landscape.space
    sampler = make_sampler("guided", seed=seed, space=space, known=known)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    luck, judged = np.random.default_rng([seed, 1]), dict[str, float]()
    for number in range(1, trials + 1):
        trial = study.ask()
        study.tell(trial, task.values(space.suggest(trial), luck))
        if number in CHECKPOINTS:
            finished = study.get_trials(deepcopy=False)
            (best,) = recommend(finished, study.directions, space=space, known=known)
            judged[str(number)] = task.judge([space.from_params(best.params)])["regret"]
    return judged


def told(lines: list[dict[str, object]]) -> str:
    """A table of regrets, and of what a view is ahead at equal cost."""
    regrets: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    for line in lines:
        regrets[str(line["view"])][int(str(line["seed"]))] = dict(line["regret"])  # type: ignore[call-overload]
    rows = ["| trainings | view | n | regret | less a search without, 10 more trainings |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for number in CHECKPOINTS:
        for name in VIEWS:
            own = {s: r[str(number)] for s, r in regrets[name].items() if str(number) in r}
            if not own:
                continue
            later = {
                s: regrets["none"][s][str(number + PRICE)]
                for s in own
                if s in regrets["none"] and str(number + PRICE) in regrets["none"][s]
            }
            ahead = [own[s] - later[s] for s in later] if name != "none" else []
            rows.append(
                f"| {number} | {name} | {len(own)} | {_mean([*own.values()])} | {_mean(ahead)} |"
            )
    return "\n".join(rows)


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


def lines_of(file: Path) -> list[dict[str, object]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
