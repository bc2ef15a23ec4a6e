"""Networks' scores from a table, so that a search can be tried without training."""

import csv
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.space import SearchSpace
from autoscale.errors import DataProblem
from autoscale.search.identity import network_of


@dataclass(frozen=True)
class Table:
    """One or several scores, of different seeds, for each network of `space`.

    Points of the space that are the same network share their scores.
    """

    space: SearchSpace
    scores: Mapping[Hashable, tuple[float, ...]]

    @classmethod
    def of_pairs(
        cls, space: SearchSpace, pairs: Iterable[tuple[Architecture, Sequence[float]]]
    ) -> "Table":
        """From architectures and their scores; an architecture may come several times."""
        collected: dict[Hashable, list[float]] = defaultdict(list)
        for architecture, scores in pairs:
            collected[network_of(architecture)] += scores
        return cls(space, {network: tuple(scores) for network, scores in collected.items()})

    @classmethod
    def of_nas_bench_macro(cls, space: SearchSpace, data: Mapping[str, Any]) -> "Table":
        """From the layout of NAS-Bench-Macro: ``{"01220120": {"test_acc": [93.1, ...]}, ...}``.

        Digit n of a key is the chosen option of parameter n. Source: Su et al. 2021 (MCT-NAS).

        Raises:
            DataProblem: naming the key at fault.
        """
        pairs = []
        for key, entry in data.items():
            try:
                point = [int(digit) for digit in key]
                if len(point) != len(space.parameters):
                    raise ValueError
                pairs.append((space.architecture_at(point), [float(s) for s in entry["test_acc"]]))
            except (ValueError, IndexError, KeyError, TypeError):
                raise DataProblem(
                    f"{key!r}: expected {len(space.parameters)} digits, each the number of an "
                    "option, and a list test_acc"
                ) from None
        return cls.of_pairs(space, pairs)

    @classmethod
    def of_rows(cls, space: SearchSpace, rows: Iterable[Mapping[str, str]]) -> "Table":
        """From the rows of a CSV file: a column for each parameter of `space`, and ``score``.

        Several rows of one network are several seeds.

        Raises:
            DataProblem: naming the row and the column at fault.
        """
        pairs = []
        for number, row in enumerate(rows, start=2):  # the first line of the file has the names
            params = {}
            for parameter in space.parameters:
                fitting = [v for v in parameter.labels if str(v) == row.get(parameter.name)]
                if not fitting:
                    raise DataProblem(
                        f"line {number}: {parameter.name} must be one of "
                        f"{', '.join(map(str, parameter.labels))}, got {row.get(parameter.name)!r}"
                    )
                params[parameter.name] = fitting[0]
            try:
                score = float(row["score"])
            except (KeyError, TypeError, ValueError):
                raise DataProblem(f"line {number}: score must be a number") from None
            pairs.append((space.from_params(params), [score]))
        return cls.of_pairs(space, pairs)

    def score(self, architecture: Architecture, rng: np.random.Generator) -> float:
        """The score of one seed, at random: what one training would have shown."""
        scores = self._of(architecture)
        return scores[int(rng.integers(len(scores)))]

    def mean(self, architecture: Architecture) -> float:
        """The mean score of all seeds."""
        scores = self._of(architecture)
        return sum(scores) / len(scores)

    def _of(self, architecture: Architecture) -> tuple[float, ...]:
        try:
            return self.scores[network_of(architecture)]
        except KeyError:
            raise DataProblem(f"the table has no score for {architecture.to_dict()}") from None


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
