"""Do resolution, width and depth each matter on the built-in synthetic images? See README.md.

python experiments/synthetic/dimensions.py
"""

import statistics

import torch

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.cost import cost
from autoscale.design.rounding import rounding_policy, scale
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource

BASE = Architecture(
    resolution=32,
    stem=Stem(width=16),
    stages=(
        Stage(width=16, kernel=3, expand_ratio=2),
        Stage(width=24, kernel=3, expand_ratio=4, stride=2),
        Stage(width=48, kernel=3, expand_ratio=4, stride=2),
    ),
    head=Head(width=96),
    num_classes=10,
)
SEEDS = range(100, 105)  # none of them served to design the images


def main() -> None:
    torch.set_num_threads(1)
    policy = rounding_policy("nearest")
    rows = {
        "base": BASE,
        "resolution x1.5": scale(BASE, resolution=48),
        "width x1.5": scale(BASE, width=1.5, rounding=policy),
        "depth x2": scale(BASE, depth=2, rounding=policy),
    }
    source = ImageSource(data="synthetic", seed=SEEDS[0])
    proxy = Proxy(source=source, recipe=recipe_named("proxy")).load(size=48)
    print("| network | multiply-adds | accuracy, mean | sd over seeds | each seed | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, architecture in rows.items():
        scores = [train_and_score(proxy, architecture, seed=seed) for seed in SEEDS]
        accuracies = [score.accuracy for score in scores]
        print(
            f"| {name} | {cost(architecture).macs:,} | {statistics.mean(accuracies):.3f} "
            f"| {statistics.stdev(accuracies):.3f} "
            f"| {' '.join(f'{accuracy:.3f}' for accuracy in accuracies)} "
            f"| {statistics.mean(score.seconds for score in scores):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
