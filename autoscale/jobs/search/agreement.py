"""How far what was known of networks beforehand agrees with their trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoscale.design.space import SearchSpace
from autoscale.search.designs import Designs
from autoscale.search.engine import Trial
from autoscale.search.model.earlier import LEAST, EarlierSearch


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well something ranks the networks of a search that were trained."""

    tau: float  # Kendall's rank correlation of what it foretells with their scores
    networks: int  # different ones

    @property
    def told(self) -> str:
        """As it goes on after what agrees."""
        return f"tau {self.tau:.2f} over {self.networks} networks"


def agreement(view: EarlierSearch, space: SearchSpace, trials: Sequence[Trial]) -> Agreement | None:
    """How well an earlier search ranks the networks of this one; None of too few."""
    designs = Designs.of_space(space)
    scored: dict[int, tuple[Any, list[float]]] = {}
    for trial in trials:
        if trial.score and trial.status == "finished":
            point = designs.point_of(trial.params)
            assert point is not None
            scored.setdefault(designs.identity(point), (point, []))[1].append(trial.score.judged)
    if len(scored) < LEAST:
        return None
    ours = np.array([np.mean(found) for _, found in scored.values()])
    theirs = view.of(designs, [point for point, _ in scored.values()])
    return Agreement(tau=kendall(theirs, ours), networks=len(scored))


def kendall(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's rank correlation; ties count as nothing."""
    rows = np.triu_indices(len(one), 1)
    signs = [np.sign(x[:, None] - x[None])[rows] for x in (one, other)]
    return float(np.mean(signs[0] * signs[1]))
