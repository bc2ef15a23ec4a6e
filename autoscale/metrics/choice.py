"""Which metric is asked for, as plain data, and what it is for the classes of some images."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from autoscale.errors import InvalidSetting
from autoscale.metrics.answers import (
    Accuracy,
    BalancedAccuracy,
    ExpectedCost,
    MacroF1,
    Recall,
    TopK,
)
from autoscale.metrics.metric import Metric
from autoscale.metrics.names import (
    COST,
    RECALL,
    USUAL,
    USUAL_OF_SEVERAL,
    Quality,
    best_answers,
    quality_of,
    require_metric,
)
from autoscale.metrics.probabilities import Auroc, LogLoss
from autoscale.metrics.several import (
    AurocOfSeveral,
    BinaryLogLoss,
    ExactMatch,
    MacroF1OfSeveral,
    MeanAveragePrecision,
    MicroF1,
    RecallOfSeveral,
)

_WHOLE: tuple[Metric, ...] = (Accuracy(), BalancedAccuracy(), MacroF1(), Auroc(), LogLoss())
_BY_NAME = {metric.name: metric for metric in _WHOLE}
_OF_SEVERAL: tuple[Metric, ...] = (
    MeanAveragePrecision(),
    MacroF1OfSeveral(),
    MicroF1(),
    AurocOfSeveral(),
    ExactMatch(),
    BinaryLogLoss(),
)
_OF_SEVERAL_BY_NAME = {metric.name: metric for metric in _OF_SEVERAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """What each answer to an image of each class costs."""

    classes: tuple[str, ...]  # of the rows and the columns
    costs: tuple[tuple[float, ...], ...]  # a row for each true class

    @classmethod
    def read(cls, text: str, source: str) -> CostTable:
        """From CSV: a line of answers, then for each true class its name and the costs.

        Args:
            source: the file's name, for messages.

        Raises:
            InvalidSetting: if it is no square table of finite costs that differ, with the same
                classes in rows and columns.
        """
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text)) if line]
        if len(lines) < 3:
            raise InvalidSetting(
                f"{source} holds {len(lines)} lines; give one of answers, then one for each class: "
                "its name and what each answer costs"
            )
        (_, *answers), *rows = lines
        for row in rows:
            if len(row) != len(answers) + 1:
                raise InvalidSetting(
                    f"{source}: the row of {row[0]!r} has {len(row) - 1} costs for {len(answers)} "
                    "answers; give one for each"
                )
        names = [row[0] for row in rows]
        if sorted(names) != sorted(answers) or len(set(names)) != len(names):
            odd = sorted({*names} ^ {*answers}) or [n for n in names if names.count(n) > 1]
            raise InvalidSetting(
                f"{source}: {odd[0]!r} is not once in the rows and once in the columns; give each "
                "class a row and a column"
            )
        places = [answers.index(name) + 1 for name in names]
        costs = tuple(tuple(_cost(row[p], row[0], source) for p in places) for row in rows)
        if len({cost for row in costs for cost in row}) == 1:
            raise InvalidSetting(f"{source}: all costs are {costs[0][0]:g}; let wrong answers cost")
        return cls(classes=tuple(names), costs=costs)

    def matrix(self, classes: Sequence[str], source: str) -> tuple[tuple[float, ...], ...]:
        """The costs in the order of `classes`.

        Raises:
            InvalidSetting: if they are not those of the table.
        """
        odd = sorted({*classes} ^ {*self.classes})
        if odd:
            lacks = "lacks the class" if odd[0] in classes else "names a class that there is not,"
            raise InvalidSetting(f"{source} {lacks} {odd[0]!r}; the classes are {_some(classes)}")
        places = [self.classes.index(name) for name in classes]
        return tuple(tuple(self.costs[row][column] for column in places) for row in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChoice:
    """A metric that is asked for by name, with its table of costs, before classes are known."""

    name: str = USUAL
    table: CostTable | None = None

    @classmethod
    def named(cls, text: str) -> MetricChoice:
        """What a text such as `recall:cat` or `cost:FILE.csv` asks for; reads the file.

        Raises:
            InvalidSetting: if there is no such metric, or its file is no table of costs.
        """
        require_metric(text)
        if not text.startswith(COST):
            return cls(name=text)
        file = Path(text.removeprefix(COST)).expanduser()
        try:
            content = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no text"
            raise InvalidSetting(
                f"cannot read the costs {file}: {reason}; name a CSV file"
            ) from None
        return cls(name=COST + file.name, table=CostTable.read(content, str(file)))

    @property
    def usual(self) -> bool:
        """Whether it is accuracy, which runs have that say nothing else."""
        return self.name == USUAL

    @property
    def quality(self) -> Quality:
        """What networks are compared by."""
        return quality_of(self.name)

    def suited(self, *, several: bool) -> MetricChoice:
        """This; of images that may have several labels mAP in the place of accuracy."""
        return MetricChoice(name=USUAL_OF_SEVERAL) if several and self.usual else self

    def for_classes(self, classes: Sequence[str], *, several: bool = False) -> Metric:
        """The metric of networks that tell these classes apart, in the order of their logits.

        Args:
            several: whether an image may have several of the classes, or none.

        Raises:
            InvalidSetting: if it names a class that is not among them, says nothing of so few, or
                nothing of images with as many labels.
        """
        if several:
            return self._for_several(classes)
        if self.name in _OF_SEVERAL_BY_NAME and self.name not in _BY_NAME:
            raise InvalidSetting(
                f"{self.name} is of images that may have several labels, and these have one each; "
                f"take one of {', '.join(_BY_NAME)}"
            )
        if (best := best_answers(self.name)) is not None:
            if best >= len(classes):
                raise InvalidSetting(
                    f"{self.name} of {len(classes)} classes is always right; take top-K with a K "
                    f"below {len(classes)}"
                )
            return TopK(self.name, best)
        if self.table is not None:
            return ExpectedCost(self.name, self.table.matrix(classes, self.name))
        if self.name.startswith(RECALL):
            return Recall(self.name, *self._class_among(classes))
        return _BY_NAME[self.name]

    def _for_several(self, classes: Sequence[str]) -> Metric:
        if self.name.startswith(RECALL):
            return RecallOfSeveral(self.name, *self._class_among(classes))
        if self.name not in _OF_SEVERAL_BY_NAME:
            match = ": exact-match is the share of images of which all are right" * self.usual
            raise InvalidSetting(
                f"{self.name} is of images with one label each, and these may have several{match}; "
                f"take one of {', '.join(_OF_SEVERAL_BY_NAME)} and {RECALL}CLASS"
            )
        return _OF_SEVERAL_BY_NAME[self.name]

    def _class_among(self, classes: Sequence[str]) -> tuple[str, int]:
        """The class that it names, and its place."""
        wanted = self.name.removeprefix(RECALL).strip()
        if wanted not in classes:
            raise InvalidSetting(
                f"{self.name}: there is no class {wanted!r}; the classes are {_some(classes)}"
            )
        return wanted, list(classes).index(wanted)

    def record(self) -> dict[str, Any]:
        """As facts of a run: empty for accuracy, which older versions knew alone."""
        if self.usual:
            return {}
        costs = {} if self.table is None else {
            "classes": list(self.table.classes), "costs": [list(row) for row in self.table.costs]
        }  # fmt: skip
        return {"metric": {"name": self.name, **costs}}

    @classmethod
    def from_record(cls, facts: Mapping[str, Any]) -> MetricChoice:
        """Read what `record` gave, perhaps among other things.

        Raises:
            KeyError, TypeError, ValueError: if it is something else.
        """
        plain = facts.get("metric")
        if plain is None:
            return cls()
        require_metric(plain["name"])
        if "costs" not in plain:
            return cls(name=plain["name"])
        table = CostTable(
            classes=tuple(plain["classes"]),
            costs=tuple(tuple(map(float, row)) for row in plain["costs"]),
        )
        return cls(name=plain["name"], table=table)


#: What decides where nothing else is asked for.
ACCURACY = MetricChoice()


def _cost(text: str, row: str, source: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = float("nan")
    if not isfinite(cost):
        raise InvalidSetting(
            f"{source}: the row of {row!r} has {text!r} in the place of a cost; give a number"
        )
    return cost


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
