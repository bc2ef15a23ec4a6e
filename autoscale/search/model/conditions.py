"""Which parameters a design has where that depends on the values of others.

The objective of an Optuna study asks for parameters as it goes along, so which it asks for is only
seen in trials: `kind` is p or q, then `a` belongs to p alone. A decision tree over the values of
the trials says which parameters a design that was never tried would have. On the designs that were
tried it is right, wherever the values tell them apart.

Source: Quinlan 1993 (C4.5) for the gain ratio, which does not favour parameters of many values.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

#: The level of a parameter that a design does not have.
ABSENT = -1

Levels = tuple[int, ...]
#: For each parameter, whether a design has it.
Presence = tuple[bool, ...]


@dataclass(frozen=True)
class Branch:
    """A question for the level of one parameter."""

    axis: int
    ordered: bool  # whether a level that no trial had goes where the nearest goes
    children: tuple[tuple[int, "Tree"], ...]  # by level
    otherwise: Presence


Tree = Branch | Presence


def presence(levels: Levels) -> Presence:
    """Which parameters are there."""
    return tuple([level != ABSENT for level in levels])


def learn(tried: Sequence[Levels], ordered: Sequence[bool]) -> Tree:
    """The tree of designs that were tried, in the order of their trials.

    Where values do not tell two designs apart that have other parameters, the later one is right.
    """
    kinds = [presence(levels) for levels in tried]
    asked = [
        axis
        for axis in range(len(ordered))
        if all(kind[axis] for kind in kinds) and len({levels[axis] for levels in tried}) > 1
    ]
    if len(set(kinds)) == 1 or not asked:
        return kinds[-1]
    axis = max(asked, key=lambda axis: _gain_ratio([levels[axis] for levels in tried], kinds))
    found = sorted({levels[axis] for levels in tried})
    children = [(v, learn([t for t in tried if t[axis] == v], ordered)) for v in found]
    return Branch(axis, ordered[axis], tuple(children), kinds[-1])


def expected(tree: Tree, levels: Levels) -> Presence:
    """Which parameters a design of these levels would have."""
    while isinstance(tree, Branch):
        level = levels[tree.axis]
        near = min(tree.children, key=lambda child: abs(child[0] - level))
        if level == ABSENT or (near[0] != level and not tree.ordered):
            return tree.otherwise
        tree = near[1]
    return tree


def _gain_ratio(values: Sequence[int], kinds: Sequence[Presence]) -> float:
    told = _entropy(kinds) + _entropy(values) - _entropy(zip(values, kinds, strict=True))
    return told / _entropy(values)


def _entropy(seen: Iterable[Hashable]) -> float:
    counts = Counter(seen)
    total = counts.total()
    return -sum(count / total * log(count / total) for count in counts.values())


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that asked for all parameters of their design."""
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def parameters(trials: Sequence[FrozenTrial]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """Every parameter of complete trials with its range, and those whose range differs from trial
    to trial, by name.

    A range that was changed for good, by hand or with trials of another study, is what it is now.
    """
    runs: dict[str, list[tuple[BaseDistribution, int]]] = {}  # the ranges in turn, and how long
    for trial in complete(trials):
        for name, distribution in trial.distributions.items():
            told = runs.setdefault(name, [])
            if told and told[-1][0] == distribution:
                told[-1] = (distribution, told[-1][1] + 1)
            else:
                told.append((distribution, 1))
    settled = {name: told[-1][0] for name, told in sorted(runs.items()) if _for_good(told)}
    return settled, sorted(runs.keys() - settled.keys())


def _for_good(runs: Sequence[tuple[BaseDistribution, int]]) -> bool:
    """Whether the last range is new and, after more than one change, has stayed for a while."""
    changes = len(runs) - 1
    last, length = runs[-1]
    stays = changes <= 1 or length >= 2 * changes
    return stays and all(last != earlier for earlier, _ in runs[:-1])


def inside(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> bool:
    """Whether all numbers are in these ranges."""
    return all(
        distribution.low <= params[name] <= distribution.high
        for name, distribution in distributions.items()
        if name in params and isinstance(distribution, IntDistribution | FloatDistribution)
    )


def broken_off(trial: FrozenTrial) -> bool:
    """Whether a trial ended without a score, maybe before it had asked for all parameters."""
    return trial.state in (TrialState.FAIL, TrialState.PRUNED) and bool(trial.params)


def conditional(trials: Sequence[FrozenTrial], names: Mapping[str, object]) -> bool:
    """Whether some of the trials lacks one of the parameters."""
    return any(not names.keys() <= trial.params.keys() for trial in trials)
