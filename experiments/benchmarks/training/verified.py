"""Are the answers that trainings in bfloat16 verify those of float32, and how many are verified?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/verified.py --cifar10 A --clothing B

Networks are trained in bfloat16, each with seeds of its own. After every epoch all validation and
test images (or the first so many) are answered both ways. Printed for each network and epoch:
accuracy, images, the share computed in float32 too, and how many answers differ from those of
float32 throughout; `unverified` is how many would by bfloat16 alone.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from autoscale.datasets.data import Images, load
from autoscale.datasets.pictures.preparation import OURS
from autoscale.datasets.pictures.selection import Selection
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.runs.images import ImageCache
from autoscale.training.evaluation.evaluate import EVALUATION_BATCH
from autoscale.training.evaluation.passes import Passes
from autoscale.training.evaluation.verification import verified_answers
from autoscale.training.fit import fit
from autoscale.training.recipe import RECIPES
from autoscale.training.state import Epoch
from autoscale.training.task import HERE, TrainingTask

#: Network, width in its own, pixels, and the data it is trained on.
CASES = (
    ("efficientnet-lite0", 1.0, 128, "clothing"), ("efficientnet-b0", 0.5, 96, "clothing"),
    ("efficientnet-b0", 0.5, 64, "cifar10"), ("efficientnet-lite0", 0.5, 64, "cifar10"),
    ("mobilenet-v2", 0.5, 32, "cifar10"),
)  # fmt: skip


def compared(network: nn.Module, images: Images, resolution: int) -> dict[str, object]:
    """Verified answers beside those of float32."""
    positions = np.arange(len(images))
    with Passes(
        network, images, resolution=resolution, preparation=OURS, batch_size=EVALUATION_BATCH,
        runtime=HERE,
    ) as passes:  # fmt: skip
        quick = passes.approximately
        if quick is None:
            raise SystemExit("this processor does not multiply bfloat16: nothing is verified")
        found = verified_answers(positions, quick, passes.logits)
        expected = passes.logits(positions).argmax(axis=1)
        alone = quick(positions).argmax(axis=1)
    return {
        "accuracy": round(float((expected == images.labels).mean()), 4),
        "images": len(images),
        "in_float32_too": round(float(found.exact.mean()), 3),
        "differ": int((found.answers != expected).sum()),
        "unverified": int((alone != expected).sum()),
    }


def together(*parts: Images) -> Images:
    pixels, labels = ([getattr(one, name) for one in parts] for name in ("pixels", "labels"))
    return Images(np.concatenate(pixels), np.concatenate(labels))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", default="", help="CIFAR-10, a folder of Parquet files")
    parser.add_argument("--clothing", default="", help="a folder of photographs by class")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=4000, help="to train on, at most")
    parser.add_argument("--answered", type=int, default=4000, help="at most")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    recipe = replace(RECIPES["small-images"], epochs=asked.epochs, batch_size=32)
    for name, width, pixels, data in CASES:
        if not (folder := getattr(asked, data)):
            continue
        found = load(
            folder, size=pixels, selection=Selection(limit=asked.images), keep=ImageCache()
        )
        assert found.test is not None
        images = together(found.validation, found.test)
        images = images.subset(range(min(asked.answered, len(images))))
        design = replace(
            scale(published(name), width=width, resolution=pixels), num_classes=len(found.classes)
        )
        few = found.validation.subset(range(8))  # which `fit` evaluates; all are answered after it
        for seed in map(int, asked.seeds.split(",")):
            torch.manual_seed(seed)
            network = accelerated(build(design), BFLOAT16_KERNELS)
            task = TrainingTask(
                train=found.train, validation=few, recipe=recipe, resolution=pixels, seed=seed
            )
            told = {"network": f"{width:g} x {name}", "pixels": pixels, "data": data, "seed": seed}

            def tell(epoch: Epoch) -> None:
                answers = compared(network, images, pixels)  # noqa: B023 called at once
                line = {**told, "epoch": epoch.number, **answers}  # noqa: B023
                print(json.dumps(line), flush=True)

            fit(network, task, on_epoch=tell)


if __name__ == "__main__":
    main()
