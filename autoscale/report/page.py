"""The page of a run: everything that its directory holds, for a person."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from autoscale.aspect import image_size
from autoscale.design.amounts import format_count
from autoscale.jobs.groups.training import BalanceSettings
from autoscale.metrics.names import ACCURACY
from autoscale.report.advising import advice_section
from autoscale.report.checking import check_section
from autoscale.report.document import Figure, Page, Section, each_row, figures_of, html
from autoscale.report.family import family_section, in_full, run_quality
from autoscale.report.growing import grid_sections
from autoscale.report.searching import choices_section, search_section
from autoscale.report.wording import percent
from autoscale.runs.contents import Run
from autoscale.settings.command import settings_of

Commands = Sequence[tuple[str, str]]
#: Facts of a search that are there where something was done about uneven classes.
_UNEVEN = tuple(setting.name for setting in settings_of(BalanceSettings))


def page(run: Run, commands: Commands = ()) -> str:
    """The run as one HTML file that needs nothing else.

    Args:
        commands: title and text of the commands that would make the run again.
    """
    sections = (*_findings(run), _repeat_section(run, commands))
    return html(
        Page(
            title=f"autoscale: {run.name}",
            lead=_lead(run),
            facts=tuple(_facts(run)),
            sections=sections,
            foot="Multiply-adds are those of convolutions and linear layers for one image, the "
            "papers' FLOPs. Accuracies are of short trainings where nothing else is said: they "
            "rank networks and are not the best these can reach. Written by autoscale; this file "
            "needs no network.",
            data={
                "run": run.name,
                "figures": {
                    figure.key: {
                        "columns": [str(name) for name in figure.table.columns],
                        "rows": _rows(figure.table),
                    }
                    for figure in figures_of(sections)
                },
            },
        )
    )


def figures(run: Run) -> dict[str, Figure]:
    """The page's charts by their keys; a notebook draws them, `table` holds what they show."""
    return {figure.key: figure for figure in figures_of(_findings(run))}


def _findings(run: Run) -> list[Section]:
    """What the steps have found, in their order."""
    found = [
        search_section(run),
        choices_section(run),
        check_section(run),
        *grid_sections(run),
        family_section(run),
        advice_section(run),
    ]
    return [section for section in found if section is not None]


def _rows(frame: pd.DataFrame) -> list[list[Any]]:
    """Plain rows; None for what is missing or has no bound."""
    return [[_plain(value) for value in row] for row in each_row(frame.astype(object))]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    unknown = pd.isna(value) or (isinstance(value, float) and not math.isfinite(value))
    return None if unknown else value


def _lead(run: Run) -> str:
    begun, taught = _noted(run, "start"), _noted(run, "taught")
    beginning = f" Networks began with weights of {begun}." if begun else ""
    if taught:
        beginning += f" They learned from the answers of {taught}, too."
    if run.search is None:
        return f"How a network of your own choice grows, and the family it became.{beginning}"
    settings = run.search.record["settings"]
    classes = settings["classes"]
    space = run.search.space
    side = "/".join(str(image_size(one, space.aspect)) for one in space.resolution)
    named = ", ".join(classes[:12]) + (
        f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    )
    return f"{len(classes)} classes at {side} pixels: {named}.{beginning}"


def _noted(run: Run, name: str) -> str | None:
    """What search, or else grids, note of what networks get from others; None if nothing."""
    records = [run.search.record] if run.search else [grid.record for grid in run.grids]
    found = ((record.get("notes") or {}).get(name) for record in records)
    return next((str(label) for label in found if label), None)


def _facts(run: Run) -> Iterator[tuple[str, str, str]]:
    """Name, value and remark of what the run found."""
    search = run.search
    if search and search.baseline and search.baseline.score and search.mean_judged is not None:
        seeds, score = len(search.judged), search.baseline.score
        trained = f"mean of {seeds} trainings" if seeds > 1 else "once"
        of = "" if search.objective.quality == ACCURACY else f"{search.objective.quality.label} "
        yield "Baseline", percent(search.mean_judged), f"{of}on validation images, {trained}"
        size = f"multiply-adds; {format_count(score.params)} parameters"
        yield "Its cost", format_count(score.macs), size
    for grid in run.grids:
        first, budget = grid.candidates.iloc[0], grid.picked["budget"]
        ratio = budget["limit"] / budget["base"]
        factors = f"{first.alpha:.3g} · {first.beta:.3g} · {first.gamma:.3g}"
        remark = f"depth · width · resolution, at {ratio:.3g}x the cost"
        yield "Grow by" if ratio >= 1 else "Shrink by", factors, remark
    if run.family is not None:
        macs = run.family.members.macs
        ends = f"{format_count(macs.min())} to {format_count(macs.max())} multiply-adds"
        yield "Family", f"{len(macs)} networks", ends
    quality = run_quality(run)
    shares = ((in_full(one.result, quality), one) for one in run.trainings)
    known = [(share, one) for share, one in shares if share is not None]
    if known:
        share, best = max(known, key=lambda pair: pair[0])
        said = quality != ACCURACY or best.result.metric is not None
        of = f", {quality.label}" if said else ""
        yield "Best in full", percent(share), f"{best.result.name}{of}"


def _repeat_section(run: Run, commands: Commands) -> Section:
    """The commands, and with what they were run."""
    records = {
        "search": run.search.record if run.search else None,
        **{grid.name: grid.record for grid in run.grids},
        "family": run.family.record if run.family else None,
    }
    kept = {name: record for name, record in records.items() if record}
    environments = {
        name: ", ".join(f"{key} {value}" for key, value in record["environment"].items())
        for name, record in kept.items()
        if "environment" in record
    }
    software = pd.DataFrame(
        [{"step": name, "made with": text} for name, text in environments.items()],
        columns=["step", "made with"],
    )
    tables = [("Software and machine", software)]
    if run.search:
        recipe = run.search.record["settings"]["recipe"]
        others = {
            "begins with weights of": _noted(run, "start"),
            "learns from the answers of": _noted(run, "taught"),
            **{name: run.search.record["settings"].get(name) for name in _UNEVEN},
        }
        told = recipe | {title: label for title, label in others.items() if label}
        tables.append(("Training of each candidate", _settings(told)))
    code = [("Commands", "\n".join(text for _, text in commands))] if commands else []
    if run.search:
        code.append((f"Space {run.search.space.name}", run.search.record["settings"]["space"]))
    if run.search and run.search.baseline:
        code.append(("Baseline", run.search.baseline.architecture.to_yaml()))
    elif run.family and "design" in run.family.record["settings"]["base"]:
        code.append(("Base", str(run.family.record["settings"]["base"]["design"])))
    return Section(
        key="repeat",
        title="To repeat it",
        text=(
            "The same commands on the same images give the same numbers on the same machine; "
            "another one may differ in the last digits and so in the choices.",
        ),
        tables=tuple(tables),
        code=tuple(code),
    )


def _settings(plain: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"setting": name.replace("_", " "), "value": str(value)} for name, value in plain.items()]
    )
