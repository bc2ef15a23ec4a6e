"""CIFAR-10 with uneven classes, as folders.

    python experiments/uneven/long_tail.py CIFAR10 FOLDER --ratio 100

CIFAR10 is a folder with `train.parquet` and `test.parquet` in the Hugging Face image layout. Class
0 has --largest training images, class 9 so many divided by --ratio, and those between fall
exponentially (Cui et al. 2019, section 5.1). They are the first of each class; the ones after
--largest validate, equally many of each class, and `test.parquet` is left even too.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as parquet

CLASSES = 10


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--largest", type=int, default=4000, help="training images of class 0")
    parser.add_argument("--ratio", type=float, default=100.0, help="of class 0 to class 9")
    parser.add_argument("--validation", type=int, default=100, help="images of each class")
    parser.add_argument("--test", type=int, default=1000, help="images of each class")
    asked = parser.parse_args(words)
    counts = long_tail(asked.largest, asked.ratio)
    first, after = asked.largest, asked.largest + asked.validation
    rooms = {
        "train": {label: range(count) for label, count in enumerate(counts)},
        "validation": dict.fromkeys(range(CLASSES), range(first, after)),
    }
    write(asked.source / "train.parquet", asked.folder, rooms)
    tested = {"test": dict.fromkeys(range(CLASSES), range(asked.test))}
    write(asked.source / "test.parquet", asked.folder, tested)
    print(f"{asked.folder}: {sum(counts):,} training images, {', '.join(map(str, counts))}")


def long_tail(largest: int, ratio: float) -> list[int]:
    """Images of each class."""
    return [max(1, int(largest * ratio ** (-c / (CLASSES - 1)))) for c in range(CLASSES)]


def write(source: Path, folder: Path, rooms: Mapping[str, Mapping[int, range]]) -> None:
    """Each picture goes to the part that has room for its number within its class."""
    table = parquet.read_table(source)
    image, label = table.column_names[:2]
    seen: Counter[int] = Counter()
    for picture, number in zip(table[image], table[label].to_pylist(), strict=True):
        place = seen[number]
        seen[number] += 1
        for part in (part for part, of_class in rooms.items() if place in of_class[number]):
            file = folder / part / str(number) / f"{place:05}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture["bytes"].as_py())


if __name__ == "__main__":
    main()
