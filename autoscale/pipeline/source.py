"""What a network begins with, and what is scaled to its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscale.datasets.data import told_by
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.limits import Limit, split_limit
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.params import Params
from autoscale.design.measures.registry import kind_named
from autoscale.design.published import published
from autoscale.devices.board import Board
from autoscale.devices.boards import load_board
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.inspection.weights import weights_here
from autoscale.jobs.costs import limits_from
from autoscale.jobs.groups.networks import WeightsSettings
from autoscale.jobs.inheritance import takes_over
from autoscale.jobs.names import NO_WEIGHTS
from autoscale.jobs.start import Start
from autoscale.pipeline.settings import AUTO, MakeSettings
from autoscale.scaling.family import Member
from autoscale.scaling.scalable import Design
from autoscale.scaling.within import scalable, scaled

#: How much larger a grid's networks are than its base.
GROWTH = 2.0
#: What is scaled where no weights say otherwise, and the weights that are preferred.
USUAL = "efficientnet-lite0"


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A published design at the limits, and the weights that networks begin with."""

    source: str | None  # as --weights takes it; None for random weights
    start: Start  # with the weights read
    name: str  # of the design
    scaled: Member  # that design at the limits
    smaller: Member | None  # the same for a grid's base; None where the design gets not so small
    limits: tuple[Limit, ...]  # the board's among them
    aim: str  # what search and grid come near to, as --limit takes it
    board: Board | None  # that the network must fit
    notes: tuple[str, ...]  # what a person should know, in sentences

    @property
    def architecture(self) -> Architecture:
        """The design at the limits."""
        return self.scaled.architecture

    def costs_of(self, design: Architecture) -> dict[str, str]:
        """What a design costs, by measure: multiply-adds, parameters, and what is limited."""
        measures = (MACS, Params(), *(limit.measure for limit in self.limits))
        return {m.name: m.exactly(m.of(design)) for m in measures}


def beginning(settings: MakeSettings) -> Beginning:
    """Choose the weights, and scale their design to the limits; no image is decoded.

    Raises:
        InvalidSetting: for weights that cannot be given to other designs.
        BudgetUnreachable: if no size keeps the limits.
        DataProblem: if there are no such images.
    """
    told = told_by(settings.data)
    classes = len(told.classes)
    if told.several:
        raise InvalidSetting(
            f"make is of images with one label each, and those of {settings.data} may have several;"
            " take search-baseline, grid, family and train one after the other"
        )
    source, notes = _source(settings)
    start = _start(settings, source)
    name, design = USUAL, published(USUAL)
    if start.origin is not None:
        name, design = start.origin.name, start.origin.architecture
    if settings.aspect is not None:
        design = replace(design, aspect=settings.aspect)
    start = start.for_design(design)
    board, padding = _board(settings), start.expected.style.padding
    limits = limits_from(settings.max_cost, board=board, padding=padding)
    if not limits:
        raise InvalidSetting(
            f"the board {settings.board} limits neither flash nor RAM; say what the network may "
            "cost, as in --limit macs=30M"
        )
    base = scalable(design, classes)
    try:
        largest = scaled(base, limits)
    except BudgetUnreachable as problem:
        raise problem if board is None else BudgetUnreachable(f"{board.name}: {problem}") from None
    aims = settings.max_cost or (f"macs={cost(largest.architecture).macs}",)
    smaller = [lowered(limit, GROWTH) for limit in aims]
    return Beginning(
        source=source,
        start=start,
        name=name,
        scaled=largest,
        smaller=_smaller(base, limits_from(smaller, board=board, padding=padding)),
        limits=limits,
        aim=aims[0],
        board=board,
        notes=tuple(notes),
    )


def without_weights(began: Beginning, settings: MakeSettings) -> Beginning:
    """The same designs, begun with random weights."""
    start = _start(settings, None).for_design(began.architecture)
    return replace(began, source=None, start=start)


def _start(settings: MakeSettings, source: str | None) -> Start:
    asked = {**settings.of_weights(source), "white_level": settings.white_level}
    return Start.for_many(WeightsSettings(**asked))


def _board(settings: MakeSettings) -> Board | None:
    """
    Raises:
        InvalidSetting: if there is no such board, or it has a limit that must be timed.
    """
    if settings.board is None:
        return None
    board = load_board(settings.board)
    if board.milliseconds is not None:
        raise InvalidSetting(
            f"make keeps limits that can be counted, and {board.name} has one of "
            f"{board.milliseconds:g} ms; leave it out of the board's file and limit macs, or "
            f"search with search-baseline --board {settings.board}"
        )
    return board


def lowered(text: str, growth: float) -> str:
    """A limit as settings take it, divided by a growth."""
    measure, most = split_limit(text)
    kind = kind_named(measure)
    return f"{measure}={int(most / growth) if kind.whole else kind.write(most / growth)}"


def _smaller(base: Design, limits: Sequence[Limit]) -> Member | None:
    try:
        return scaled(base, limits)
    except BudgetUnreachable:
        return None


def _source(settings: MakeSettings) -> tuple[str | None, list[str]]:
    """The weights to begin with, and what to say of the choice."""
    if settings.weights == NO_WEIGHTS:
        return None, ["networks begin with random weights, as asked"]
    if settings.weights != AUTO:
        return settings.weights, []
    here = weights_here()
    usable = [
        one.source
        for one in here.held
        if one.network is not None and not one.problem and takes_over(published(one.network))
    ]
    usable.sort(key=lambda source: source != USUAL)
    if usable:
        return usable[0], [f"networks begin with the weights {usable[0]}, found on this machine"]
    way = next((one.command for one in here.missing if one.source == USUAL), None)
    return None, [
        "warning: no published weights are here, so networks begin with random ones, which takes "
        f"many more epochs; to get some: {way or 'autoscale weights'}"
    ]
