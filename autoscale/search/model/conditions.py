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

from optuna.distributions import BaseDistribution
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


def parameters(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Every parameter of complete trials, by name, without those whose range differs from trial to
    trial."""
    found: dict[str, BaseDistribution] = {}
    loose: set[str] = set()
    for trial in complete(trials):
        for name, distribution in trial.distributions.items():
            if found.setdefault(name, distribution) != distribution:
                loose.add(name)
    return {name: found[name] for name in sorted(found.keys() - loose)}


def conditional(trials: Sequence[FrozenTrial], names: Mapping[str, object]) -> bool:
    """Whether some complete trial lacks one of the parameters."""
    return any(not names.keys() <= trial.params.keys() for trial in complete(trials))
