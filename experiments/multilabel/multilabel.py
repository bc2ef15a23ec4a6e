"""Is one network of two labels as good as two networks of one each, trained as long together?

    OMP_NUM_THREADS=1 python experiments/multilabel/multilabel.py CIFAR10 TABLE.csv

CIFAR10 is a folder with `train.parquet` and `test.parquet`. Of each class it is told whether it is
an animal and whether it flies (airplanes and birds do, and a bird is both, a truck neither). For
each seed three networks are trained by `autoscale.train` on the same images: one of both labels for
twice the epochs, and one of each label. Average precision of each label is that on the test images.
A row a training goes to TABLE.csv; those that are there are not trained again. `--tell` trains
nothing and prints the comparison.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet

import autoscale
from autoscale.datasets.data import load
from autoscale.datasets.pictures.selection import Selection
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.several import MeanAveragePrecision
from autoscale.models.inference.passes import logits_of
from autoscale.models.settings import PassSettings

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import append, mean_and_error, read  # noqa: E402

NETWORK = Path(__file__).parents[1] / "elastic" / "base.yaml"
#: Of the ten classes, in order: airplane, automobile, bird, cat, deer, dog, frog, horse, ship,
#: truck.
LABELS = {"animal": (2, 3, 4, 5, 6, 7), "flies": (0, 2)}
BOTH = "both labels"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    network: str  # which of the three
    seed: int
    images: int
    epochs: int
    animal: float | None  # average precision on test images; None of a network of the other label
    flies: float | None
    cpu_seconds: float  # of the training with its evaluations

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What is trained once."""
        return self.network, self.seed, self.images, self.epochs


def main(words: list[str] | None = None) -> None:
    """Train what is missing, or tell what is there."""
    asked = _arguments(words)
    rows = read(asked.table, Row)
    if asked.tell:
        tell(rows)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = write_labels(asked.data, Path(folder))
        for seed in range(asked.seeds):
            for network in (BOTH, *LABELS):
                epochs = asked.epochs * (2 if network == BOTH else 1)
                if (network, seed, asked.images, epochs) not in {row.key for row in rows}:
                    rows.append(train(source, network, seed, epochs, asked.images, asked.size))
                    append(asked.table, rows[-1], ending="\n")
                    print(rows[-1], flush=True)


def write_labels(data: Path, folder: Path) -> Path:
    """The pictures with a column of 0 and 1 for each label, in the same splits."""
    for split in ("train", "test"):
        table = parquet.read_table(data / f"{split}.parquet")
        pictures, classes = table.column(0), np.array(table.column(1).to_pylist())
        marks = {name: pa.array(np.isin(classes, own).astype(int)) for name, own in LABELS.items()}
        parquet.write_table(pa.table({"image": pictures, **marks}), folder / f"{split}.parquet")
    return folder


def train(source: Path, network: str, seed: int, epochs: int, images: int, size: int) -> Row:
    """One training, and its average precisions on the test images."""
    columns = f"labels={','.join(LABELS)}" if network == BOTH else f"label={network}"
    started = time.process_time()
    trained = autoscale.train(
        str(NETWORK),
        source / f"{network}-{seed}",
        data=f"{source}?{columns}",
        resolution=size,
        limit=images,
        epochs=epochs,
        recipe="small-images",
        seed=seed,
        metric="auroc",  # which chooses the best epoch of both kinds alike
    )
    spent = time.process_time() - started
    return Row(
        network=network,
        seed=seed,
        images=images,
        epochs=epochs,
        cpu_seconds=round(spent, 1),
        **precisions(trained.weights, source, network),
    )


def precisions(weights: Path, source: Path, network: str) -> dict[str, float | None]:
    """The average precision of each label that a network tells, on all test images."""
    model = autoscale.load_model(weights)
    found = load(
        f"{source}?labels={','.join(LABELS)}",
        size=model.resolution,
        selection=Selection(limit=len(LABELS)),
        preparation=model.preparation,
    )
    assert found.test is not None
    logits = logits_of(model, found.test.pixels, PassSettings())[0].numpy()
    precise: dict[str, float | None] = dict.fromkeys(LABELS)
    for place, name in enumerate(LABELS):
        if network == BOTH:
            own = logits[:, [place]]
        elif network == name:
            own = logits[:, 1:] - logits[:, :1]  # classes 0 and 1: the logit of a sigmoid
        else:
            continue
        answers = Predictions(found.test.labels[:, [place]], own)
        precise[name] = round(MeanAveragePrecision().of(answers), 4)
    return precise


def tell(rows: list[Row]) -> None:
    """Means over the seeds, and how far one network is ahead of two at equal time."""
    leads = []
    for seed in sorted({row.seed for row in rows}):
        own = {row.network: row for row in rows if row.seed == seed}
        if {BOTH, *LABELS} <= own.keys():
            together = [getattr(own[BOTH], name) for name in LABELS]
            apart = [getattr(own[name], name) for name in LABELS]
            leads.append(mean(together) - mean(apart))
    for network in (BOTH, *LABELS):
        of = [row for row in rows if row.network == network]
        told = {n: [v for row in of if (v := getattr(row, n)) is not None] for n in LABELS}
        shown = ", ".join(f"{n} {mean(v):.4f}" for n, v in told.items() if v)
        print(f"{network}: {shown}; {mean(row.cpu_seconds for row in of):.0f} CPU-seconds")
    error = f" (standard error {mean_and_error(leads)[1]:.4f})" if len(leads) > 1 else ""
    print(f"mAP of one network ahead of two: {mean(leads):+.4f}{error}, {len(leads)} seeds")


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=int, default=4000, help="training images")
    parser.add_argument("--epochs", type=int, default=10, help="of a network of one label")
    parser.add_argument("--size", type=int, default=32, help="pixels per side")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tell", action="store_true", help="train nothing, print the comparison")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
