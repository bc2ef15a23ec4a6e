"""Trainings of a run's grids that are exactly those asked for elsewhere."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

from autoscale.design.architecture import Architecture
from autoscale.jobs.grid.candidates import GROW, SHRINK
from autoscale.jobs.workers.proxy import Proxy
from autoscale.runs.records import outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder, read_text
from autoscale.scaling.scalable import Design, network_digest
from autoscale.search.objective import Score


def pixels_of_grids(run: Path) -> int | None:
    """Pixels per side at which a run's grids decoded their images, the more of the two; None where
    neither is finished."""
    sides = (_pixels(run, name) for name in (GROW, SHRINK))
    return max((side for side in sides if side is not None), default=None)


def networks_of_grids(run: Path, base: Design) -> list[Architecture]:
    """The networks around a base that the run's finished grids have trained."""
    found: dict[Architecture, None] = {}
    for name in (GROW, SHRINK):
        outcomes = outcomes_from_journal(Journal(StepFolder(run, name).file("trainings.jsonl")))
        trained = {outcome.key.partition("/")[0] for outcome in outcomes if outcome.score}
        for row in _rows(run, name):
            try:
                depth, width, pixels = float(row["alpha"]), float(row["beta"]), int(row["pixels"])
            except (KeyError, ValueError):
                continue  # of another version: what is not known serves nobody
            network = base.at(depth, width, pixels)
            if network_digest(network) in trained:
                found[network] = None
    return list(found)


def _rows(run: Path, name: str) -> list[dict[str, str]]:
    """The table of a grid's candidates; empty where it is not finished."""
    file = StepFolder(run, name).file("grid.csv")
    return list(csv.DictReader(io.StringIO(read_text(file)))) if file.exists() else []


def _pixels(run: Path, name: str) -> int | None:
    """Pixels per side at which a finished grid decoded its images."""
    found = [row.get("pixels", "") for row in _rows(run, name)]
    return max((int(text) for text in found if text.isdigit()), default=None)


def scores_of_grids(run: Path, proxy: Proxy) -> dict[str, Score]:
    """Scores of grids whose networks were trained exactly as by `proxy`, by the grids' keys."""
    found: dict[str, Score] = {}
    for name in (GROW, SHRINK):
        folder = StepFolder(run, name)
        begun = folder.read()
        if begun is None or _pixels(run, name) != proxy.size:
            continue
        facts = begun["settings"]
        theirs = Proxy.from_record(facts, notes={**begun["notes"], "data": proxy.source.data})
        theirs = replace(theirs, fingerprint=str(facts.get("images")))
        if theirs.record() == replace(proxy, inheritance=None).record():
            outcomes = outcomes_from_journal(Journal(folder.file("trainings.jsonl")))
            found |= {outcome.key: outcome.score for outcome in outcomes if outcome.score}
    return found
