"""The published accuracies that `autoscale compare` shows, as accuracy.csv beside this file.

python experiments/published/write_csv.py
"""

import csv
from pathlib import Path

from autoscale.design.published.accuracy import ACCURACIES, RIVALS, Accuracy


def main() -> None:
    with (Path(__file__).parent / "accuracy.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Accuracy._fields)
        rows.writerows([*ACCURACIES, *RIVALS])


if __name__ == "__main__":
    main()
