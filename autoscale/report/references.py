"""Published networks beside what was found: accuracy against multiply-adds, as a figure."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from autoscale.design.amounts import format_count
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Key
from autoscale.report.charts.plot import Mark, Plot
from autoscale.report.document import Figure
from autoscale.report.wording import percent, points, quality_axis
from autoscale.runs.contents import Record


def verdicts(references: Sequence[Record]) -> tuple[str, ...]:
    """A paragraph of each."""
    return tuple(f"{text[0].upper()}{text[1:]}." for text in (r["verdict"] for r in references))


def reference_figure(
    key: str,
    references: Sequence[Record],
    own: Sequence[Mark],
    *,
    split: str,
    legend: Sequence[Key],
) -> Figure | None:
    """Published networks at their own multiply-adds beside one's own; None without any.

    Args:
        references: as `jobs.reference.result.Reference.to_dict`.
        own: the networks of the run; x are multiply-adds, y accuracies.
        split: the images that all are judged on.
        legend: of one's own.
    """
    known = [reference for reference in references if reference["accuracies"]]
    if not known:
        return None
    marks = (*own, *map(_mark, known))
    ends = chain.from_iterable((m.y, m.low, m.high) for m in marks)
    return Figure(
        key=key,
        title="Accuracy against multiply-adds, with published networks",
        chart=Plot(
            x=Axis.around(
                [mark.x for mark in marks],
                title="Multiply-adds of one image (logarithmic)",
                text=format_count,
                logarithmic=True,
            ),
            y=quality_axis([end for end in ends if end is not None], split=split),
            marks=marks,
        ),
        legend=(*legend, Key("diamond", "other", "published network, whisker: its trainings")),
        caption="Published networks begin with their published weights and are fine-tuned on the "
        "same images with the same seeds, for as many epochs as cost what a candidate's training "
        "costs. What their weights cost once is not counted, nor what the search cost. Leads are "
        "paired by seeds; their 95 % intervals tell of other seeds on these images.",
        table=pd.DataFrame([*_rows(references)]),
    )


def _mark(reference: Record) -> Mark:
    accuracies = reference["accuracies"]
    return Mark(
        x=reference["macs"],
        y=reference["accuracy"],
        low=min(accuracies),
        high=max(accuracies),
        tone="other",
        shape="diamond",
        label=reference["name"],
        tip=f"{reference['name']}, fine-tuned for {reference['epochs']} epochs at "
        f"{reference['pixels']} pixels\n{percent(reference['accuracy'])}, mean of "
        f"{len(accuracies)} trainings\n{reference['macs']:,} multiply-adds\n"
        f"{reference['params']:,} parameters",
    )


def _rows(references: Sequence[Record]) -> Iterator[dict[str, Any]]:
    for reference in references:
        unknown = reference["low"] is None
        yield {
            "network": reference["name"],
            "pixels": reference["pixels"],
            "multiply-adds": reference["macs"],
            "cost ratio": round(reference["macs_ratio"], 3),
            "epochs": reference["epochs"],
            "training cost ratio": _rounded(reference["training_ratio"]),
            "accuracy": _rounded(reference["accuracy"]),
            "seeds": reference["seeds"],
            "lead over it": _rounded(reference["lead"]),
            "interval": ""
            if unknown
            else f"{points(reference['low'])} to {points(reference['high'])} points",
            "standing": reference["standing"],
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
