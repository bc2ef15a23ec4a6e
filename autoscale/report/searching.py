"""What a search did, as sections of a page: its course, its front, what it liked, its check."""

from statistics import mean, stdev
from typing import Any

import pandas as pd

from autoscale.design.budget import format_count
from autoscale.errors import NotEnoughTrials
from autoscale.report.chart import Guide, Mark, Path, Row, Scale, Shape, Tone, plot, rows
from autoscale.report.document import Figure, Section, each_row
from autoscale.runs.contents import Record, Run, SearchContents
from autoscale.search.model.importance import LEVEL, importances
from autoscale.search.objective import Objective

#: Choices whose options are drawn one by one.
CHOICES_SHOWN = 4


def percent(value: float) -> str:
    """A share as people read it."""
    return f"{100 * value:.1f} %"


def whole_percent(value: float) -> str:
    """The same on an axis."""
    return f"{100 * value:.3g} %"


def search_section(run: Run) -> Section:
    """The course of the search, and accuracy against cost."""
    found = run.search
    if found is None:
        return Section(
            key="search",
            title="The search",
            missing="This run holds no search: its base was named. `autoscale search-baseline` "
            "searches one, in another run directory.",
        )
    finished = found.trials[found.trials.status == "finished"]
    text = [
        f"{len(found.trials)} networks of {found.space.name} were trained"
        f"{_failures(found.trials)}. {_aim(found)}",
    ]
    if finished.empty:
        return Section(
            key="search", title="The search", text=tuple(text), missing="No training succeeded yet."
        )
    missing = ""
    if found.baseline is None:
        missing = "The search is not finished: repeat its command to choose the baseline."
    return Section(
        key="search",
        title="The search",
        text=tuple(text),
        figures=(_front(found, finished), _history(found, finished)),
        missing=missing,
    )


def _failures(trials: pd.DataFrame) -> str:
    counts = trials.status.value_counts()
    told = [f"{counts[kind]} {kind}" for kind in ("stopped", "failed") if kind in counts]
    return f" ({', '.join(told)})" if told else ""


def _aim(found: SearchContents) -> str:
    goal = found.objective
    target = goal.show(goal.target)
    if goal.kind == "soft":
        return f"They were ranked by accuracy x (cost / {target})^{goal.w:g}."
    if goal.kind == "front":
        return (
            "Accuracy and cost were searched apart; the baseline is the best of the front up to "
            f"{target}."
        )
    return f"Wanted was the most accurate network of at most {target}."


def _cost_column(goal: Objective) -> str:
    """The column of trials that holds what the search took for cost."""
    return goal.measure.column


def _front(found: SearchContents, finished: pd.DataFrame) -> Figure:
    goal = found.objective
    column = _cost_column(goal)
    x = Scale.around(
        [*finished[column], goal.target],
        title=f"{goal.measure.title} of one image (logarithmic)",
        text=format_count,
        logarithmic=True,
    )
    y = Scale.around(
        [*finished.accuracy, *found.accuracies],
        title="Accuracy on validation images",
        text=whole_percent,
        limits=(0, 1),
    )
    marks = [
        Mark(
            x=getattr(row, column),
            y=row.accuracy,
            tip=_tip(row),
            tone="main" if row.on_front else "quiet",
        )
        for row in each_row(finished.sort_values("on_front"))
    ]
    members = finished[finished.on_front].sort_values(column)
    steps: list[tuple[float, float]] = []
    for cost, accuracy in zip(members[column], members.accuracy, strict=True):
        if steps:
            steps.append((cost, steps[-1][1]))
        steps.append((cost, accuracy))
    if steps:
        steps.append((x.high, steps[-1][1]))
    if found.baseline and found.baseline.score and found.accuracy is not None:
        seeds = len(found.accuracies)
        spread = ", ".join(percent(one) for one in found.accuracies)
        marks.append(
            Mark(
                x=goal.cost(found.baseline.architecture),
                y=found.accuracy,
                low=min(found.accuracies),
                high=max(found.accuracies),
                tone="pick",
                shape="diamond",
                label="baseline",
                tip=f"Baseline: trial {found.baseline.number}\n{percent(found.accuracy)}"
                + (f", mean of {seeds} trainings ({spread})" if seeds > 1 else ", one training")
                + f"\n{found.baseline.score.macs:,} multiply-adds\n"
                f"{found.baseline.score.params:,} parameters",
            )
        )
    guides = [Guide(at=found.objective.target, label="target")]
    columns = {"macs": "multiply-adds", "params": "parameters", "on_front": "on the front"}
    columns = {column: goal.measure.heading} | columns
    shown = finished[["trial", "accuracy", *columns]].rename(columns=columns)
    return Figure(
        key="front",
        title="Accuracy against cost",
        svg=plot(x, y, marks, [Path(points=tuple(steps))], guides, title="Accuracy against cost"),
        legend=(
            ("diamond", "pick", "chosen baseline, whisker: its trainings"),
            ("dot", "main", "on the front"),
            ("dot", "quiet", "other networks"),
        ),
        caption="Each dot is one training. On the front no other network is as accurate and "
        "cheaper; single trainings are lucky or not, so the front is a little too high.",
        table=shown.sort_values(columns[column]),
    )


def _history(found: SearchContents, finished: pd.DataFrame) -> Figure:
    order = {number: place for place, number in enumerate(found.trials.trial, start=1)}
    rewards = {
        trial.number: found.objective.worth(trial.score.accuracy, trial.architecture)
        for trial in found.steps
        if trial.status == "finished" and trial.score
    }
    y = Scale.around(
        [*finished.accuracy], title="Accuracy on validation images", text=whole_percent,
        limits=(0, 1),
    )  # fmt: skip
    x = Scale(
        title="Trainings, in the order in which they were made",
        low=0,
        high=len(order) + 1,
        whole=True,
        text=lambda value: f"{value:.0f}",
    )
    marks: list[Mark] = []
    best: list[tuple[float, float]] = []
    leader: float | None = None
    for row in each_row(found.trials):
        place = float(order[row.trial])
        if row.status != "finished":
            marks.append(
                Mark(
                    x=place,
                    y=y.low,
                    shape="cross",
                    tone="bad" if row.status == "failed" else "quiet",
                    tip=f"Trial {row.trial}: {row.status}\n{row.cause}",
                )
            )
            continue
        dear = getattr(row, _cost_column(found.objective)) > found.objective.target
        shape: Shape = "ring" if dear else "dot"
        marks.append(Mark(x=place, y=row.accuracy, shape=shape, tip=_tip(row)))
        if leader is None or rewards[row.trial] > leader:
            if best:
                best.append((place, best[-1][1]))
            leader = rewards[row.trial]
            best.append((place, row.accuracy))
    best.append((x.high, best[-1][1]))
    shown = found.trials[["trial", "status", "accuracy", "macs", "seconds", "cause"]].fillna(
        {"cause": ""}
    )
    failed = ("cross", "bad", "failed") if (found.trials.status == "failed").any() else None
    stopped = (
        ("cross", "quiet", "stopped early") if (found.trials.status == "stopped").any() else None
    )
    legend: list[tuple[str, Tone, str]] = [
        ("dot", "main", "up to the target"),
        ("ring", "main", "dearer than the target"),
        ("line", "pick", "of the highest reward so far"),
    ]
    legend += [entry for entry in (failed, stopped) if entry]  # type: ignore[misc]
    return Figure(
        key="history",
        title="The course of the search",
        svg=plot(
            x, y, marks, [Path(points=tuple(best), tone="pick")], title="The course of the search"
        ),
        legend=tuple(legend),
        caption="Each mark is one training. The line is the accuracy of the network with the "
        "highest reward so far; it may fall where a cheaper one was worth more.",
        table=shown.rename(columns={"macs": "multiply-adds"}),
    )


def _tip(row: Any) -> str:
    return (
        f"Trial {row.trial}: {percent(row.accuracy)}\n{row.macs:,} multiply-adds\n"
        f"{row.params:,} parameters"
    )


def liked_section(run: Run) -> Section | None:
    """What the good networks have in common; None without a search."""
    found = run.search
    if found is None:
        return None
    title = "What the space liked"
    try:
        ranked = importances(found.steps, found.space, found.objective)
    except NotEnoughTrials as problem:
        return Section(key="liked", title=title, missing=f"Not known yet: {problem}.")
    shown = ranked[:12]
    beyond = [entry.choice for entry in ranked if entry.beyond_chance]
    told = (
        f"More than chance explains: {', '.join(beyond)}."
        if beyond
        else "No choice stands out of what chance alone gives; these trials do not say what matters"
        " most."
    )
    most = max(max(entry.share, entry.by_chance) for entry in shown)
    axis = Scale(title="Share of importance", low=0, high=1.05 * most, text=whole_percent)
    table = pd.DataFrame(
        [
            {"choice": e.choice, "share": round(e.share, 4), "by chance": round(e.by_chance, 4)}
            for e in ranked
        ]
    )
    first = Figure(
        key="importance",
        title="Choices by importance",
        svg=rows(
            axis,
            [
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
            ],
            title="Choices by importance",
        ),
        legend=(
            ("bar", "main", "beyond chance"),
            ("bar", "quiet", "not beyond"),
            ("limit", "main", f"{LEVEL:.0%} of shuffled rewards stay below"),
        ),
        caption="PED-ANOVA over the finished trials: how differently an option is spread among the "
        "best quarter (at least five) than among all. It describes the networks that were tried; "
        "one choice in ten passes its tick by luck.",
        table=table,
    )
    return Section(
        key="liked",
        title=title,
        text=(told,),
        figures=(first, _options(found, [entry.choice for entry in ranked[:CHOICES_SHOWN]])),
    )


def _options(found: SearchContents, choices: list[str]) -> Figure:
    finished = found.trials[found.trials.status == "finished"]
    entries, table = [], []
    for choice in choices:
        for option, own in finished.groupby(choice, sort=True):
            values = [float(value) for value in own.accuracy]
            error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
            middle = mean(values)
            name = f"{choice} = {option}"
            tip = f"{name}\nmean {percent(middle)} of {len(values)} networks"
            if error is not None:
                tip += f"\nstandard error {percent(error)}"
            entries.append(
                Row(
                    name=f"{name}  ({len(values)})",
                    value=middle,
                    low=middle - error if error is not None else None,
                    high=middle + error if error is not None else None,
                    more=tuple(values),
                    tip=tip,
                    tone="main",
                )
            )
            table.append(
                {"choice": choice, "option": str(option), "networks": len(values),
                 "mean accuracy": round(middle, 4), "standard error": error}
            )  # fmt: skip
    axis = Scale.around(
        [*finished.accuracy], title="Accuracy on validation images", text=whole_percent,
        limits=(0, 1),
    )  # fmt: skip
    return Figure(
        key="options",
        title="Accuracy by option",
        svg=rows(axis, entries, title="Accuracy by option of the most important choices"),
        legend=(
            ("dot", "main", "mean"),
            ("whisker", "main", "standard error"),
        ),
        caption="Small dots are the networks with that option, their number in brackets. Dearer "
        "options also buy multiply-adds, and the other choices were not held still.",
        table=pd.DataFrame(table),
    )


def check_section(run: Run) -> Section | None:
    """The baseline against random networks; None where the run has no search."""
    if run.search is None:
        return None
    title = "Better than a random network?"
    if run.check is None:
        return Section(
            key="check",
            title=title,
            missing=f"Not asked yet: `autoscale check-baseline --run {run.path}` compares the "
            "baseline with random networks of its cost on images that no search has seen.",
        )
    return Section(
        key="check", title=title, figures=(_check(run.check),), text=(_verdict(run.check),)
    )


def _verdict(check: Record) -> str:
    return (
        f"On {check['split']} images the margin is {100 * check['margin']:+.1f} points "
        f"± {100 * check['margin_error']:.1f} (standard error): {check['verdict']}."
    )


def _check(check: Record) -> Figure:
    groups = (
        ("Baseline, new seeds", check["baseline"], check["baseline_macs"], "pick"),
        ("Random networks, on average", check["random"], check["random_macs"], "quiet"),
    )
    entries = [
        Row(
            name=f"{name}: {format_count(macs)} multiply-adds",
            value=mean(values),
            more=tuple(values),
            tone=tone,  # type: ignore[arg-type]
            shape="diamond",
            tip=f"{name}: mean {percent(mean(values))} of {len(values)} trainings",
        )
        for name, values, macs, tone in groups
    ]
    every = [*check["baseline"], *check["random"]]
    return Figure(
        key="against-random",
        title="Baseline and random networks",
        svg=rows(
            Scale.around(every, title=f"Accuracy on {check['split']} images", text=whole_percent),
            entries,
            title="Baseline and random networks",
        ),
        caption="Small dots are trainings, the diamond is their mean. Seeds are new ones, so no "
        "luck of the search counts.",
        table=pd.DataFrame(
            [
                {"network": name, "multiply-adds": macs, "accuracy": value}
                for name, values, macs, _ in groups
                for value in values
            ]
        ),
    )
