"""A small CIFAR-10: 2,000 training and 1,500 validation images, as Parquet files.

    python experiments/early_stopping/prepare.py FOLDER

The images are the first of each class in the training file of CIFAR-10, in the Hugging Face layout,
which is read from `shared/data/cifar10/` beside the repository. Needs the extra `parquet`.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SOURCE = Path(__file__).parents[3] / "shared" / "data" / "cifar10" / "train.parquet"
TRAIN, VALIDATION = 200, 150  # images of each class


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(SOURCE)
    labels = table.column("label").to_numpy()
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    for name, start, stop in (
        ("train", 0, TRAIN),
        ("validation", TRAIN, TRAIN + VALIDATION),
    ):
        rows = np.sort(np.concatenate([found[start:stop] for found in of_class]))
        pq.write_table(table.take(pa.array(rows)), folder / f"{name}.parquet")
        print(f"{folder / name}.parquet: {len(rows)} images")


if __name__ == "__main__":
    main()
