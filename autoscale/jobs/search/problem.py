"""What is searched: all that decides which designs a search proposes, and how they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from autoscale.design.measures.limits import Limit, require_reachable
from autoscale.design.measures.macs import MACS
from autoscale.design.space import SearchSpace
from autoscale.devices.board import Board
from autoscale.errors import BudgetUnreachable
from autoscale.jobs.costs import board_of, cost_from, hold_to_board, limits_from
from autoscale.jobs.deadline import Deadline
from autoscale.jobs.inheritance import notes_for_space
from autoscale.jobs.record import Record
from autoscale.jobs.search.earlier import EarlierSearches
from autoscale.jobs.search.goal import make_objective, ready, require_objective
from autoscale.jobs.search.result import STEP
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.search.spaces import space_text
from autoscale.jobs.shared.job import SharedRanking
from autoscale.jobs.shared.settings import SharedPlan
from autoscale.jobs.starts.pointer import on_weights
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener
from autoscale.metrics.choice import MetricChoice
from autoscale.runs.store import StepFolder
from autoscale.search.model.earlier import EarlierSearch
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
    limits: tuple[Limit, ...]
    rungs: Rungs | None
    earlier: EarlierSearches
    shared_plan: SharedPlan | None  # of weights that all designs share, if they are asked for
    listener: Listener
    shared: EarlierSearch | None = None  # what they say, once they are trained

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
        if settings.aspect is not None:
            shipped = replace(shipped, aspect=settings.aspect)
        proxy = proxy.for_design(shipped)
        for note in notes_for_space(proxy.transfer.start, shipped):
            listener.notice(note)
        require_objective(settings)
        padding = proxy.transfer.start.expected.style.padding
        measure = cost_from(settings.cost_measure, padding=padding)
        board = board_of(settings, listener)
        hold_to_board(board, settings.dtype, listener)
        if settings.dtype == "int8":
            from autoscale.models.quantized.in_loop import require_int8_space

            require_int8_space(shipped)
        limits = limits_from(
            settings.max_cost, max_macs=settings.max_macs, board=board, padding=padding
        )
        settings = settings.timed_in_runtime(
            None if board is None else board.timed_in,
            settings.dtype,
            timed=not all(one.counted for one in (measure, *(limit.measure for limit in limits))),
        )
        size = settings.resolution or max(shipped.resolution)
        proxy = proxy.load(size=size, listener=listener)
        space = shipped.for_task(
            resolution=settings.resolution, num_classes=len(proxy.images.classes)
        )
        with _named(board):
            require_reachable(space, [limit for limit in limits if limit.measure.counted])
        measure, *limited = ready(
            [measure, *(limit.measure for limit in limits)],
            space,
            timing=partial(settings.timing, settings.dtype, settings.device),
            kept=_kept_measures(folder),
            listener=listener,
        )
        limits = tuple(replace(limit, measure=m) for limit, m in zip(limits, limited, strict=True))
        with _named(board):
            require_reachable(space, limits)
        objective = replace(
            make_objective(settings, space, measure, limits, listener),
            quality=proxy.chosen.quality,
        )
        earlier = EarlierSearches.of(folder, settings.learn_from, space, sampler=settings.sampler)
        for note in on_weights(
            run,
            proxy.transfer.start,
            weights=settings.weights,
            data=settings.data,
            sizes=_sizes(settings, objective, space),
        ):
            listener.notice(note)
        return cls(
            folder=folder,
            settings=settings,
            proxy=proxy,
            space=space,
            space_text=text,
            objective=objective,
            limits=limits,
            rungs=rungs,
            earlier=earlier,
            shared_plan=settings.shared_plan(proxy.recipe.epochs),
            listener=listener,
        )

    @property
    def seed(self) -> int:
        """Of proposals, and the first one of trainings."""
        return self.settings.seed

    @property
    def views(self) -> tuple[EarlierSearch, ...]:
        """What may tell a design's score before it is trained, as the sampler takes it."""
        return (*self.earlier.views, *([] if self.shared is None else [self.shared]))

    def ranked(self, deadline: Deadline | None) -> SearchProblem:
        """With what shared weights say, if they are asked for: trained, or as the folder has it.

        Raises:
            AutoscaleError: as `SharedRanking.made`.
        """
        if self.shared_plan is None:
            return self
        record = self.record()
        ranking = SharedRanking(
            folder=self.folder,
            space=self.space,
            proxy=self.proxy,
            limits=self.limits,
            plan=self.shared_plan,
            seed=self.seed,
            facts={**record.settings.binding(), **record.facts},
            listener=self.listener,
            deadline=deadline,
        )
        return replace(self, shared=ranking.made())

    def record(self) -> Record:
        """What a search that goes on must share, and what it may change."""
        facts: dict[str, Any] = {
            **self.proxy.record(),
            "space": self.space_text,
            "classes": list(self.proxy.images.classes),
            "objective": self.objective.to_dict(),
            "rungs": asdict(self.rungs) if self.rungs else None,
        }
        if limits := {m.measure.name: m.to_dict() for m in self.limits if m.measure != MACS}:
            facts["max_cost"] = limits
        facts |= self.settings.timed_in | self.earlier.facts()
        if self.shared_plan is not None:
            facts["shared"] = asdict(self.shared_plan)
        return Record(settings=self.settings, facts=facts, notes=self.proxy.transfer.told)


def _sizes(settings: SearchSettings, objective: Objective, space: SearchSpace) -> list[str]:
    """Of the weights' own design, the size that is nearest to what is searched, as it is typed."""
    if objective.measure.counted:
        budget = objective.measure.write(objective.target)
        named = [] if objective.measure == MACS else ["--measure", settings.cost_measure]
        return ["--budgets", budget, *named]
    smallest = space.architecture_at((0,) * len(space.parameters))
    return ["--budgets", MACS.write(MACS.of(smallest))]


@contextmanager
def _named(board: Board | None) -> Iterator[None]:
    """Say of limits that nothing keeps which board's they are."""
    try:
        yield
    except BudgetUnreachable as problem:
        raise problem if board is None else BudgetUnreachable(f"{board.name}: {problem}") from None


def _kept_measures(folder: StepFolder) -> dict[str, Any]:
    """What an earlier call of the same search knew of its measures, by their names."""
    settings = (folder.read() or {}).get("settings") or {}
    limits = dict(settings.get("max_cost") or {}).items()
    known = {name: plain["measure"] for name, plain in limits if "measure" in plain}
    return known | dict(settings.get("objective") or {})


def _proxy(settings: SearchSettings, listener: Listener) -> Proxy:
    transfer = Transfer.for_many(settings, device=settings.device, threads=settings.threads)
    return Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed,
            limit=settings.limit,
            strict=settings.strict,
            group_by=settings.group_by,
            white_level=transfer.start.expected.preparation.white_level,
        ),
        recipe=settings.recipe_asked,
        inheriting_rate=settings.inheriting_rate,
        kernels=choose_kernels(
            settings.kernels,
            precision=settings.precision,
            device=settings.device,
            listener=listener,
        ),
        dtype=settings.dtype,
        chosen=MetricChoice.named(settings.metric),
        balance=settings.balance,
        device=settings.device,
        threads=settings.threads,
        transfer=transfer,
    )
