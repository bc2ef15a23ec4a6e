"""What is searched: all that decides which designs a search proposes, and how they are judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoscale.design.space import SearchSpace
from autoscale.jobs.record import Record
from autoscale.jobs.search.goal import make_objective, require_objective
from autoscale.jobs.search.result import STEP
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.search.spaces import space_text
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import ImageSource, Proxy, recipe_named
from autoscale.listener import Listener
from autoscale.runs.store import StepFolder
from autoscale.search.engine import require_reachable
from autoscale.search.objective import Objective
from autoscale.search.rungs import Rungs


@dataclass(frozen=True, kw_only=True)
class SearchProblem:
    """What is searched, where it is kept, and who is told."""

    folder: StepFolder
    settings: SearchSettings
    proxy: Proxy  # with its images
    space: SearchSpace  # with the classes and the resolution of the images
    space_text: str  # as it was written
    objective: Objective
    rungs: Rungs | None
    listener: Listener

    @classmethod
    def of(cls, run: str | Path, settings: SearchSettings, listener: Listener) -> SearchProblem:
        """The problem that settings pose; reads the images.

        Raises:
            AutoscaleError: one of its kinds, if they pose none.
        """
        folder = StepFolder(Path(run), STEP)
        proxy = _proxy(settings, listener)
        rungs = settings.stages(proxy.recipe.epochs)
        text = space_text(settings.space)
        shipped = SearchSpace.from_yaml(text, source=settings.space)
        require_objective(settings)
        size = settings.resolution or max(shipped.resolution)
        proxy = proxy.load(size=size, listener=listener)
        space = shipped.for_task(
            resolution=settings.resolution, num_classes=len(proxy.images.classes)
        )
        require_reachable(space, settings.max_macs)
        kept = ((folder.read() or {}).get("settings") or {}).get("objective")
        return cls(
            folder=folder,
            settings=settings,
            proxy=proxy,
            space=space,
            space_text=text,
            objective=make_objective(settings, space, kept=kept, listener=listener),
            rungs=rungs,
            listener=listener,
        )

    @property
    def seed(self) -> int:
        """Of proposals, and the first one of trainings."""
        return self.settings.seed

    def record(self) -> Record:
        """What a search that goes on must share, and what it may change."""
        facts: dict[str, Any] = {
            **self.proxy.record(),
            "space": self.space_text,
            "classes": list(self.proxy.images.classes),
            "objective": self.objective.to_dict(),
            "rungs": asdict(self.rungs) if self.rungs else None,
        }
        return Record(settings=self.settings, facts=facts)


def _proxy(settings: SearchSettings, listener: Listener) -> Proxy:
    return Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed,
            limit=settings.limit,
            strict=settings.strict,
            white_level=settings.white_level,
        ),
        recipe=recipe_named(settings.recipe, epochs=settings.epochs),
        kernels=choose_kernels(settings.kernels, device=settings.device, listener=listener),
        device=settings.device,
        threads=settings.threads,
    )
