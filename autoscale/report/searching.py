"""What a search did, as sections of a page: its trainings, and the choices that mattered."""

from collections.abc import Iterator, Sequence
from statistics import mean, stdev
from typing import Any

import pandas as pd

from autoscale.design.amounts import format_count
from autoscale.errors import NotEnoughTrials
from autoscale.metrics.names import ACCURACY, Quality
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Key, Shape, Tone
from autoscale.report.charts.plot import Guide, Mark, Path, Plot
from autoscale.report.charts.rows import Row, Rows
from autoscale.report.document import Figure, Section, each_row
from autoscale.report.wording import (
    COLUMNS,
    FLOAT,
    in_float,
    percent,
    quality_axis,
    readable,
    tick,
)
from autoscale.runs.contents import Run, SearchContents
from autoscale.search.model.importance import LEVEL, Importance, importances
from autoscale.search.objective import Objective

#: Choices whose options are drawn one by one, and that are drawn at all.
OPTIONS_SHOWN, CHOICES_SHOWN = 4, 12


def search_section(run: Run) -> Section:
    """Every training of the search, and accuracy against cost."""
    title, found = "The search", run.search
    if found is None:
        return Section(
            key="search",
            title=title,
            missing="This run holds no search: its base was named. `autoscale search-baseline` "
            "searches one, in another run directory.",
        )
    text = (
        f"{len(found.trials)} networks of {found.space.name} were trained"
        f"{_failures(found.trials)}. {_goal(found.objective)}",
        *([f"Shared weights agree with these trainings: {found.shared}."] if found.shared else []),
    )
    if _finished(found).empty:
        return Section(key="search", title=title, text=text, missing="No training succeeded yet.")
    return Section(
        key="search",
        title=title,
        text=text,
        figures=(_front(found), _history(found)),
        missing=""
        if found.baseline
        else "The search is not finished: repeat its command to choose the baseline.",
    )


def _finished(found: SearchContents) -> pd.DataFrame:
    return found.trials[found.trials.status == "finished"]


def _failures(trials: pd.DataFrame) -> str:
    counts = trials.status.value_counts()
    told = [f"{counts[kind]} {kind}" for kind in ("stopped", "failed") if kind in counts]
    return f" ({', '.join(told)})" if told else ""


def _goal(goal: Objective) -> str:
    target = goal.show(goal.target)
    if goal.kind == "soft":
        return f"They were ranked by {goal.quality.label} x (cost / {target})^{goal.w:g}."
    if goal.kind == "front":
        return (
            f"{goal.quality.title} and cost were optimised together; the baseline is the best of "
            f"the front up to {target}."
        )
    if goal.quality != ACCURACY:
        return f"The goal was the network of the best {goal.quality.label} of at most {target}."
    return f"The goal was the most accurate network of at most {target}."


# Accuracy against cost


def _front(found: SearchContents) -> Figure:
    finished, goal, cost = _finished(found), found.objective, found.objective.measure.column
    quality = goal.quality
    x = Axis.around(
        [*finished[cost], goal.target],
        title=f"{goal.measure.title} of one image (logarithmic)",
        text=format_count,
        logarithmic=True,
    )
    marks = [
        Mark(
            x=getattr(row, cost),
            y=getattr(row, quality.column),
            tip=_tip(row, quality),
            tone="main" if row.on_front else "quiet",
        )
        for row in each_row(finished.sort_values("on_front"))
    ]
    wanted = ["trial", quality.column, "accuracy", FLOAT, cost, "macs", "params", "on_front"]
    columns = [name for name in dict.fromkeys(wanted) if name in finished]
    return Figure(
        key="front",
        title=f"{quality.title} against cost",
        chart=Plot(
            x=x,
            y=quality_axis([*finished[quality.column], *found.judged], quality=quality),
            marks=(*marks, *_baseline(found)),
            paths=(Path(points=_stairs(finished[finished.on_front], cost, quality, end=x.high)),),
            guides=(Guide(x=goal.target, label="target"),),
        ),
        legend=(
            Key("diamond", "pick", "chosen baseline, whisker: its trainings"),
            Key("dot", "main", "on the Pareto front"),
            Key("dot", "quiet", "other networks"),
        ),
        caption=f"Each dot is one training. On the front no other network is as {_good(quality)} "
        "and cheaper; single trainings are lucky or not, so the front is a little too high.",
        table=finished.sort_values(cost)[columns].rename(
            columns=COLUMNS | {cost: goal.measure.heading, quality.column: quality.label}
        ),
    )


def _good(quality: Quality) -> str:
    return "accurate" if quality == ACCURACY else "good"


def _stairs(
    front: pd.DataFrame, cost: str, quality: Quality, *, end: float
) -> tuple[tuple[float, float], ...]:
    """The best quality up to each cost, as corners of a staircase up to the axis' end."""
    corners: list[tuple[float, float]] = []
    for row in each_row(front.sort_values(cost)):
        if corners:
            corners.append((getattr(row, cost), corners[-1][1]))
        corners.append((getattr(row, cost), getattr(row, quality.column)))
    return (*corners, *((end, share) for _, share in corners[-1:]))


def _baseline(found: SearchContents) -> Iterator[Mark]:
    """The baseline with the qualities of its trainings; none before it is chosen."""
    baseline, share = found.baseline, found.mean_judged
    if not (baseline and baseline.score and share is not None):
        return
    seeds = len(found.judged)
    spread = ", ".join(percent(one) for one in found.judged)
    trained = f"mean of {seeds} trainings ({spread})" if seeds > 1 else "one training"
    yield Mark(
        x=found.objective.cost(baseline.architecture),
        y=share,
        low=min(found.judged),
        high=max(found.judged),
        tone="pick",
        shape="diamond",
        label="baseline",
        tip=f"Baseline: trial {baseline.number}\n{percent(share)}, {trained}\n"
        f"{baseline.score.macs:,} multiply-adds\n{baseline.score.params:,} parameters",
    )


def _tip(row: Any, quality: Quality) -> str:
    share = percent(getattr(row, quality.column))
    return (
        f"Trial {row.trial}: {share}{in_float(row)}\n{row.macs:,} multiply-adds\n"
        f"{row.params:,} parameters"
    )


# The trainings in their order


def _history(found: SearchContents) -> Figure:
    trials, quality = found.trials, found.objective.quality
    y = quality_axis([*_finished(found)[quality.column]], quality=quality)
    x = Axis(
        title="Trainings, in the order in which they were made",
        low=0,
        high=len(trials) + 1,
        whole=True,
        text="{:.0f}".format,
    )
    ends = {
        "failed": Key("cross", "bad", "failed"),
        "stopped": Key("cross", "quiet", "stopped early"),
    }
    return Figure(
        key="history",
        title="Every training of the search",
        chart=Plot(
            x=x,
            y=y,
            marks=tuple(_trainings(found, bottom=y.low)),
            paths=(Path(points=_best_so_far(found, end=x.high), tone="pick"),),
        ),
        legend=(
            Key("dot", "main", "up to the target"),
            Key("ring", "main", "more expensive than the target"),
            Key("line", "pick", "of the highest reward so far"),
            *(key for status, key in ends.items() if (trials.status == status).any()),
        ),
        caption=f"Each mark is one training. The line is the {quality.label} of the network with "
        "the highest reward so far; it may fall where a cheaper one was worth more.",
        table=readable(trials.fillna({"cause": ""}), "trial", "status", quality.column, "macs",
                       "seconds", "cause", quality=quality),
    )  # fmt: skip


def _trainings(found: SearchContents, *, bottom: float) -> Iterator[Mark]:
    """A mark for each training; a cross at the bottom for one without a score."""
    cost, target = found.objective.measure.column, found.objective.target
    quality = found.objective.quality
    for number, row in enumerate(each_row(found.trials), start=1):
        if row.status == "finished":
            shape: Shape = "ring" if getattr(row, cost) > target else "dot"
            share = getattr(row, quality.column)
            yield Mark(x=number, y=share, shape=shape, tip=_tip(row, quality))
        else:
            tone: Tone = "bad" if row.status == "failed" else "quiet"
            told = f"Trial {row.trial}: {row.status}\n{row.cause}"
            yield Mark(x=number, y=bottom, shape="cross", tone=tone, tip=told)


def _best_so_far(found: SearchContents, *, end: float) -> tuple[tuple[float, float], ...]:
    """The quality of the highest reward so far, as corners of a line up to the axis' end."""
    rewards = {
        trial.number: found.objective.worth(trial.score.judged, trial.architecture)
        for trial in found.steps
        if trial.status == "finished" and trial.score
    }
    corners: list[tuple[float, float]] = []
    highest = float("-inf")
    for number, row in enumerate(each_row(found.trials), start=1):
        if row.status == "finished" and (not corners or rewards[row.trial] > highest):
            if corners:
                corners.append((number, corners[-1][1]))
            highest = rewards[row.trial]
            corners.append((number, getattr(row, found.objective.quality.column)))
    return (*corners, (end, corners[-1][1]))


# Which choices mattered


def choices_section(run: Run) -> Section | None:
    """What the good networks have in common; None without a search."""
    found = run.search
    if found is None:
        return None
    title = "Which choices mattered"
    try:
        ranked = importances(found.steps, found.space, found.objective)
    except NotEnoughTrials as problem:
        return Section(key="choices", title=title, missing=f"Not known yet: {problem}.")
    beyond = [entry.choice for entry in ranked if entry.beyond_chance]
    return Section(
        key="choices",
        title=title,
        text=(
            f"More than chance explains: {', '.join(beyond)}."
            if beyond
            else "No choice stands out of what chance alone gives; these trials do not say what "
            "matters most.",
        ),
        figures=(
            _importance(ranked),
            _options(found, [entry.choice for entry in ranked[:OPTIONS_SHOWN]]),
        ),
    )


def _importance(ranked: Sequence[Importance]) -> Figure:
    shown = ranked[:CHOICES_SHOWN]
    most = max(max(entry.share, entry.by_chance) for entry in shown)
    rows = [
        Row(
            name=entry.choice,
            value=entry.share,
            limit=entry.by_chance,
            from_zero=True,
            tone="main" if entry.beyond_chance else "quiet",
            tip=f"{entry.choice}: {percent(entry.share)}\nchance alone stays below "
            f"{percent(entry.by_chance)}",
        )
        for entry in shown
    ]
    table = [{"choice": e.choice, "share": e.share, "by chance": e.by_chance} for e in ranked]
    return Figure(
        key="importance",
        title="Choices by importance",
        chart=Rows(
            axis=Axis(title="Share of importance", low=0, high=1.05 * most, text=tick),
            rows=tuple(rows),
        ),
        legend=(
            Key("bar", "main", "beyond chance"),
            Key("bar", "quiet", "not beyond"),
            Key("limit", "main", f"{LEVEL:.0%} of shuffled rewards stay below"),
        ),
        caption="PED-ANOVA over the finished trials: how differently an option is spread among the "
        "best quarter (at least five) than among all. It describes the networks that were tried; "
        "one choice in ten passes its tick by luck.",
        table=pd.DataFrame(table).round(4),
    )


def _options(found: SearchContents, choices: list[str]) -> Figure:
    finished, quality = _finished(found), found.objective.quality
    rows, table = [], []
    for choice in choices:
        for option, own in finished.groupby(choice, sort=True):
            scores = [float(value) for value in own[quality.column]]
            error = stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else None
            rows.append(_option(f"{choice} = {option}", scores, error))
            table.append(
                {"choice": choice, "option": str(option), "networks": len(scores),
                 f"mean {quality.label}": round(mean(scores), 4), "standard error": error}
            )  # fmt: skip
    return Figure(
        key="options",
        title=f"{quality.title} by option of the most important choices",
        chart=Rows(
            axis=quality_axis([*finished[quality.column]], quality=quality), rows=tuple(rows)
        ),
        legend=(Key("dot", "main", "mean"), Key("whisker", "main", "standard error")),
        caption="Small dots are the networks with that option, their number in brackets. More "
        "expensive options also buy multiply-adds, and the other choices were not held still.",
        table=pd.DataFrame(table),
    )


def _option(name: str, scores: list[float], error: float | None) -> Row:
    middle = mean(scores)
    tip = f"{name}\nmean {percent(middle)} of {len(scores)} networks"
    return Row(
        name=f"{name}  ({len(scores)})",
        value=middle,
        low=None if error is None else middle - error,
        high=None if error is None else middle + error,
        more=tuple(scores),
        tip=tip if error is None else f"{tip}\nstandard error {percent(error)}",
    )
