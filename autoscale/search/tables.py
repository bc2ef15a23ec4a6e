"""Read tables of networks' scores, to try a search without training."""

import csv
import json
from pathlib import Path

from autoscale.design.space import SearchSpace
from autoscale.errors import DataProblem
from autoscale.search.tabular import Table


def read_table(path: Path, space: SearchSpace) -> Table:
    """The table in `path`: JSON as NAS-Bench-Macro's, or CSV; see `Table`.

    Raises:
        DataProblem: if the file cannot be read as such a table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataProblem(f"cannot read the table {path}: {problem}") from None
    if path.suffix == ".csv":
        return Table.of_rows(space, csv.DictReader(text.splitlines()))
    try:
        data = json.loads(text)
    except json.JSONDecodeError as problem:
        raise DataProblem(f"{path} is not JSON: {problem}; a CSV file must end in .csv") from None
    if not isinstance(data, dict):
        raise DataProblem(f"{path} must map networks to scores, got a {type(data).__name__}")
    return Table.of_nas_bench_macro(space, data)
