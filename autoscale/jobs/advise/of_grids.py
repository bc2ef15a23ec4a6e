"""Trainings of a run's grids that are exactly those asked for elsewhere."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

from autoscale.jobs.workers.proxy import Proxy
from autoscale.runs.records import outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder, read_text
from autoscale.search.objective import Score


def pixels_of_grid(run: Path, name: str) -> int | None:
    """Pixels per side at which a finished grid decoded its images."""
    file = StepFolder(run, name).file("grid.csv")
    if not file.exists():
        return None
    found = [row.get("pixels", "") for row in csv.DictReader(io.StringIO(read_text(file)))]
    return max((int(text) for text in found if text.isdigit()), default=None)


def scores_of_grid(run: Path, name: str, proxy: Proxy) -> dict[str, Score]:
    """Scores of a grid whose networks were trained exactly as by `proxy`, by the grid's keys."""
    folder = StepFolder(run, name)
    begun = folder.read()
    if begun is None or pixels_of_grid(run, name) != proxy.size:
        return {}
    facts = begun["settings"]
    theirs = Proxy.from_record(facts, notes={**begun["notes"], "data": proxy.source.data})
    theirs = replace(theirs, fingerprint=str(facts.get("images")))
    if theirs.record() != replace(proxy, inheritance=None).record():
        return {}
    outcomes = outcomes_from_journal(Journal(folder.file("trainings.jsonl")))
    return {outcome.key: outcome.score for outcome in outcomes if outcome.score}
