"""Earlier searches that a search learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.search.result import load_trials
from autoscale.runs.store import StepFolder
from autoscale.search.designs import Designs
from autoscale.search.model.earlier import LEAST, EarlierSearch

#: The file of a search's folder that keeps them, so that it goes on as it began whatever becomes of
#: the runs that they were read from.
KEPT = "earlier.json"


@dataclass(frozen=True, kw_only=True)
class EarlierSearches:
    """What other runs' searches found, as plain data.

    Attributes:
        runs: for the place of each, parameters and scores of its finished trainings; the scores are
            accuracies, or what else judged them.
    """

    runs: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(
        cls, folder: StepFolder, places: Sequence[str], space: SearchSpace, *, sampler: str
    ) -> EarlierSearches:
        """Those at `places`: as `folder` keeps them if it began with the same ones, else read.

        Raises:
            InvalidSetting: if a place has no search, one that `space` can learn nothing from, or
                the run itself; or if the sampler learns from none.
            RunConflict: if files are not readable.
        """
        if not places:
            return cls(runs={})
        if sampler != "guided":
            raise InvalidSetting(
                f"the {sampler} sampler learns from no earlier search; leave --learn-from out, or "
                "use --sampler guided"
            )
        names = [str(Path(place).resolve()) for place in places]
        if str(folder.run.resolve()) in names:
            raise InvalidSetting(
                f"{folder.run} cannot learn from itself; a larger --trials prolongs its search"
            )
        kept = folder.read_result(KEPT)
        if kept is not None and sorted(kept.get("runs", ())) == sorted(names):
            return cls(runs=kept["runs"])
        found = cls(runs={name: _rows(place) for name, place in zip(names, places, strict=True)})
        designs = Designs.of_space(space)
        for view in found.views:
            points, _ = view.translated(designs)
            if (usable := len({designs.identity(point) for point in points})) < LEAST:
                raise InvalidSetting(
                    f"{view.name}: {usable} of its {len(view.scores)} trainings are of designs "
                    f"like those of {space.name}; at least {LEAST} are needed to learn from it: "
                    "prolong that search by a larger --trials, or leave it out"
                )
        return found

    @property
    def views(self) -> tuple[EarlierSearch, ...]:
        """As the sampler takes them."""
        return tuple(
            EarlierSearch(
                Path(place).name,
                [row["params"] for row in rows],
                [float(row["score"]) for row in rows],
            )
            for place, rows in self.runs.items()
        )

    def facts(self) -> dict[str, Any]:
        """What they come to, as a record of the search binds it."""
        if not self.runs:
            return {}
        told = dumps(list(self.runs.values()), sort_keys=True)
        return {"learn_from": sha256(told.encode()).hexdigest()}

    def keep(self, folder: StepFolder) -> None:
        if self.runs:
            folder.write_result(KEPT, {"runs": self.runs})


def _rows(place: str) -> list[dict[str, Any]]:
    """Finished trainings of a run's search."""
    _, _, trials = load_trials(place)
    rows = [
        {"params": dict(trial.params), "score": trial.score.judged}
        for trial in trials
        if trial.status == "finished" and trial.score
    ]
    if not rows:
        raise RunConflict(f"the search in {place} has no finished training to learn from")
    return rows
