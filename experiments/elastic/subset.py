"""A few images of a Parquet data set as folders, so that evaluations stay short beside trainings.

    python experiments/elastic/subset.py CIFAR10 FOLDER --train 2000 --validation 500 --test 2000

CIFAR10 is a folder with `train.parquet` and `test.parquet` in the Hugging Face image layout. The
first images of each class train, those after them validate; those of `test.parquet` test.
"""

import argparse
from collections import Counter
from pathlib import Path

import pyarrow.parquet as parquet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--validation", type=int, default=500)
    parser.add_argument("--test", type=int, default=2000)
    asked = parser.parse_args()
    parts = {"train": asked.train, "validation": asked.validation}
    write(asked.source / "train.parquet", asked.folder, parts)
    write(asked.source / "test.parquet", asked.folder, {"test": asked.test})


def write(source: Path, folder: Path, parts: dict[str, int]) -> None:
    """The first images of each class go to the first part, the next ones to the second."""
    table = parquet.read_table(source)
    image, label = table.column_names[:2]
    classes = len(set(table[label].to_pylist()))
    rooms = [part for part, count in parts.items() for _ in range(count // classes)]
    seen: Counter[int] = Counter()
    for picture, number in zip(table[image], table[label].to_pylist(), strict=True):
        place = seen[number]
        seen[number] += 1
        if place < len(rooms):
            file = folder / rooms[place] / str(number) / f"{place:05}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture["bytes"].as_py())


if __name__ == "__main__":
    main()
