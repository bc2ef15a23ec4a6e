"""Tables 3 and 7 of Tan & Le 2019 beside what their constructions cost. See README.md.

python experiments/tables/print_tables.py
"""

from scalings import SCALED_ROWS


def main() -> None:
    print("| table | base | depth | width | resolution | paper, G | counted, G | top-1 | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in SCALED_ROWS:
        note = "" if row.agrees else f"differs: {row.note}"
        print(
            f"| {row.table} | {row.base} | {row.depth:g} | {row.width:g} | {row.resolution} "
            f"| {row.published:g} | {row.counted:.3f} | {row.top1:g} | {note} |"
        )


if __name__ == "__main__":
    main()
