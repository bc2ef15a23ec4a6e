"""Which networks a source of weights is tried with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from autoscale.design.amounts import format_count
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.limits import Limit
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.jobs.costs import cost_from
from autoscale.jobs.start import Start
from autoscale.jobs.starts.settings import StartChoices
from autoscale.listener import Listener
from autoscale.models.count import load_architecture
from autoscale.network.inheritance.correspondence import require_kindred
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.scalable import network_digest
from autoscale.scaling.within import scalable, scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A network that is trained with weights and without."""

    name: str
    architecture: Architecture  # with the classes of the images

    @property
    def key(self) -> str:
        """What tells it from all others, in a few letters."""
        return network_digest(self.architecture)

    @property
    def size(self) -> str:
        """What it costs, for people: 5.4M multiply-adds."""
        return f"{format_count(cost(self.architecture).macs)} multiply-adds"


def networks_to_try(
    choices: StartChoices, start: Start, listener: Listener, *, classes: int
) -> tuple[Tried, ...]:
    """The networks that are asked for, each once, in their order.

    Args:
        start: with its weights read; its design is scaled to the budgets.
        listener: told of budgets above that design, and of networks that are the same.
        classes: of the images.

    Raises:
        InvalidSetting: for a design that cannot take the weights over, or a budget that is none.
        BudgetUnreachable: if the design cannot be scaled so far.
    """
    found = [
        _named(name, start, _shaped(load_architecture(name), choices), classes)
        for name in choices.network
    ]
    if choices.budgets is not None:
        texts = [text.strip() for text in choices.budgets.split(",")]
        found += [_within(text, choices, start, listener, classes) for text in texts]
    once: dict[str, Tried] = {}
    for tried in found:
        first = once.setdefault(tried.key, tried)
        if tried.name != first.name:
            listener.notice(f"{tried.name} is the same network as {first.name}, and tried with it")
    return tuple(once.values())


def _shaped(design: Architecture, choices: StartChoices) -> Architecture:
    """For images of the aspect that is asked for."""
    return design if choices.aspect is None else replace(design, aspect=choices.aspect)


def _named(name: str, start: Start, design: Architecture, classes: int) -> Tried:
    try:
        require_kindred(design, "network")
    except InvalidSetting as problem:
        raise InvalidSetting(
            f"--network {name} cannot take over the weights of {start.label}: {problem}"
        ) from None
    named = Path(name).stem if Path(name).suffix else name
    return Tried(name=named, architecture=replace(design, num_classes=classes))


def _within(
    text: str, choices: StartChoices, start: Start, listener: Listener, classes: int
) -> Tried:
    """The weights' own design scaled to one budget."""
    assert start.origin is not None
    base = scalable(_shaped(start.origin.architecture, choices), classes)
    counted = cost_from(choices.measure)
    whole = counted.of(base.base)
    budget = parse_budget(text, base=whole, measure=counted)
    if budget.limit > whole:
        listener.notice(
            f"--budgets {text}: {start.origin.name} itself costs {counted.exactly(whole)} and is "
            "not enlarged; a larger design is tried by --network"
        )
    try:
        member = scaled(base, [Limit(counted, budget.limit)])
    except BudgetUnreachable as problem:
        raise BudgetUnreachable(
            f"--budgets {text}: {problem}, or name a design with --network"
        ) from None
    return Tried(name=f"{start.origin.name} at {text}", architecture=member.architecture)
