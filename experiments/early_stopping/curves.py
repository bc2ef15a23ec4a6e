"""Train random designs to the end and note the accuracy at each rung.

    python experiments/early_stopping/prepare.py DATA
    python experiments/early_stopping/curves.py --data DATA --out curves.jsonl
    python experiments/early_stopping/curves.py --data DATA --out curves.jsonl --seed 1 --designs 12

Designs and trainings are those of

    autoscale search-baseline --data DATA --space experiments/early_stopping/small.yaml \\
        --resolution 16 --objective front --sampler random --epochs 9

`replay.py` asks of them what early stopping would have done. `--part 0/4` trains every fourth;
what is in the file is not trained again.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.search.engine import SearchPlan, search
from autoscale.search.objective import Objective, Score
from autoscale.search.samplers import make_sampler

LOOKS = (1, 2, 3, 4, 6)
EPOCHS = 9


def proposed(space: SearchSpace, count: int) -> list[Architecture]:
    """The designs that a random search trains."""

    def nothing(architecture: Architecture, repetition: int) -> Score:
        return Score(accuracy=0.5, macs=cost(architecture).macs, params=1, activations=1)

    goal = Objective(kind="front", target=1_000_000)
    plan = SearchPlan(space=space, objective=goal, trials=count)
    steps = search(plan, make_sampler("random", seed=0), nothing)
    return [step.architecture for step in steps if step.trained]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--designs", type=int, default=36)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1")
    asked = parser.parse_args()
    source = ImageSource(data=asked.data)
    proxy = Proxy(source=source, recipe=recipe_named("proxy", epochs=EPOCHS)).load(size=16)
    text = (Path(__file__).parent / "small.yaml").read_text()
    classes = len(proxy.images.classes)
    space = SearchSpace.from_yaml(text).for_task(resolution=16, num_classes=classes)
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    done = {(line["design"], line["seed"]) for line in map(json.loads, lines)}
    part, parts = map(int, asked.part.split("/"))
    for number, architecture in enumerate(proposed(space, asked.designs)):
        if number % parts != part or (number, asked.seed) in done:
            continue
        seen: dict[int, float] = {}

        def look(epochs: int, accuracy: float, seen: dict[int, float] = seen) -> bool:
            seen[epochs] = accuracy
            return False

        score = train_and_score(
            proxy,
            architecture,
            seed=asked.seed,
            measurement=Measurement(rungs=LOOKS, look=look),
        )
        line = {
            "design": number,
            "seed": asked.seed,
            "macs": score.macs,
            "accuracy": {**seen, EPOCHS: score.accuracy},
            "seconds": round(score.seconds, 1),
        }
        with asked.out.open("a") as out:
            out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
