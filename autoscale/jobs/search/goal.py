"""What a search aims at: accuracy, and a cost that is counted or predicted for this device."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.design.measures.latency import LatencyTable, fit_latency_table
from autoscale.design.measures.limits import Limit
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.space import SearchSpace
from autoscale.design.workload import workload
from autoscale.devices.timing.conditions import Conditions
from autoscale.devices.timing.latency import measure_latencies
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.search.spaces import usual_cost
from autoscale.listener import Listener
from autoscale.search.objective import Objective

#: Networks that are timed to predict the latency of all others, and passes of each.
TIMED, PASSES = 60, 15
#: Drawn designs among which those that are timed run every kind of operation.
_POOL = 2000


def require_objective(settings: SearchSettings) -> None:
    """Refuse what makes no objective, before anything is read or timed.

    Raises:
        InvalidSetting: for a target or an exponent out of range.
    """
    target = settings.target_cost
    _objective(settings, MACS, target=1 if target is None else target)


def make_objective(
    settings: SearchSettings,
    space: SearchSpace,
    measure: CostMeasure,
    limits: Sequence[Limit],
    listener: Listener,
) -> Objective:
    """The objective of a search over `space`.

    Without a target it is what half of the designs cost at most, or the limit on that cost if that
    is less.

    Args:
        measure: what the cost is, ready to be asked.
        limits: that every network keeps.

    Raises:
        InvalidSetting: for values that make no objective.
    """
    target = settings.target_cost
    if target is None:
        usual = usual_cost(space, measure.of)
        target = round(usual) if measure.whole else usual
    least = min((one.most for one in limits if one.measure == measure), default=target)
    bounded = settings.target_cost is None and least < target
    if bounded:
        target = least
    objective = _objective(settings, measure, target=target)
    if objective.kind == "soft" and objective.reward.ignores_target:
        listener.notice(
            f"warning: with one exponent ({settings.w:g}) the target {objective.show(target)} "
            "multiplies every reward by the same factor and changes no choice; hold a budget with "
            "--objective hard or --max-flops"
        )
    elif bounded:
        listener.notice(f"target: {objective.show(target)}, the limit; --target sets another")
    elif settings.target is None:
        listener.notice(
            f"target: {objective.show(target)}, which half of the designs of {space.name} do not "
            "exceed; --target sets another"
        )
    return objective


def _objective(settings: SearchSettings, measure: CostMeasure, *, target: float) -> Objective:
    kind = settings.objective
    return Objective(kind=kind, target=target, w=settings.w, measure=measure)  # type: ignore[arg-type]


def ready(
    measures: Sequence[CostMeasure],
    space: SearchSpace,
    *,
    timing: Callable[[], Conditions],
    kept: Mapping[str, Any],
    listener: Listener,
) -> list[CostMeasure]:
    """The measures in their order, those of a device fitted to networks of the space, each once.

    Args:
        timing: gives what networks are timed under; asked only if one of the measures is timed.
        kept: by their names, what an earlier call of the same search knew of them, as plain data;
            such are not measured again.

    Raises:
        InvalidSetting: for a device that cannot be timed.
    """
    fitted: dict[str, CostMeasure] = {}
    for measure in measures:
        if not measure.counted and measure.name not in fitted:
            known = kept.get(measure.name)
            fitted[measure.name] = (
                measure.from_dict(known) if known else time_space(space, timing(), listener)
            )
    return [fitted.get(measure.name, measure) for measure in measures]


def time_space(space: SearchSpace, timing: Conditions, listener: Listener) -> LatencyTable:
    """Latencies of the designs of a space on this device, from a few that are timed.

    Raises:
        InvalidSetting: for a device or a runtime that cannot be timed.
    """
    chosen = spanning(space, TIMED)
    listener.notice(
        f"timing {len(chosen)} networks of {space.name} on this device in {timing.runtime}, "
        f"{timing.dtype}, {PASSES} passes each"
    )
    timed = measure_latencies(chosen, timing.but(repeats=PASSES))
    table = fit_latency_table(
        [workload(a) for a in chosen],
        [one.steady_ms for one in timed],
        timed_in=timed[0].timed_in,
    )
    listener.notice(
        f"latencies are predicted for {timed[0].version}, {timing.dtype}; the error on networks "
        f"left out in turn is {table.error:.1%} in the median"
    )
    return table


def spanning(space: SearchSpace, count: int) -> list[Architecture]:
    """Different designs, at most `count`, that together run every kind of operation.

    As far as 2,000 drawn ones tell; first come those that run what none before them does.
    """
    rng = random.Random(0)
    pool = list(dict.fromkeys(space.sample(rng) for _ in range(_POOL)))
    kinds = [{kind for kind, _ in workload(design)} for design in pool]
    frequency = Counter(kind for one in kinds for kind in one)
    chosen: dict[Architecture, None] = {}
    covered: set[str] = set()
    for kind in sorted(frequency, key=lambda kind: (frequency[kind], kind)):
        if kind not in covered:
            first = next(i for i, one in enumerate(kinds) if kind in one)
            chosen[pool[first]] = None
            covered |= kinds[first]
    for design in pool:
        if len(chosen) >= count:
            break
        chosen[design] = None
    return list(chosen)
