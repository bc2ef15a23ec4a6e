"""Samplers by name. A new one is one file and one line here."""

from collections.abc import Callable, Hashable, Mapping
from importlib.util import find_spec

from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Design
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.samplers.controller import ControllerSampler
from autoscale.search.samplers.evolution import RegularizedEvolutionSampler
from autoscale.search.samplers.guided import GuidedSampler
from autoscale.search.samplers.reseeded import ReplayableNSGAII, Reseeded

Identify = Callable[[Design], Hashable]
Factory = Callable[[int, SearchSpace | None, KnownCosts, Identify | None], BaseSampler]


def _gp(seed: int) -> BaseSampler:
    if find_spec("scipy") is None:
        raise InvalidSetting("the gp sampler needs scipy; pip install scipy, or use guided")
    return Reseeded(
        lambda s: GPSampler(
            seed=s,
            independent_sampler=RandomSampler(seed=s),
            n_startup_trials=10,
            deterministic_objective=False,
            warn_independent_sampling=False,
        ),
        seed,
    )


#: Name -> maker of a sampler. Settings are explicit: Optuna's defaults move.
SAMPLERS: Mapping[str, Factory] = {
    "guided": lambda seed, space, known, identify: GuidedSampler(
        seed=seed, space=space, known=known, identify=identify
    ),
    "evolution": lambda seed, space, known, identify: RegularizedEvolutionSampler(
        seed=seed, space=space, known=known, identify=identify
    ),
    "controller": lambda seed, space, known, identify: ControllerSampler(
        seed=seed, space=space, known=known, identify=identify
    ),
    "random": lambda seed, *_: Reseeded(lambda s: RandomSampler(seed=s), seed),
    "tpe": lambda seed, *_: Reseeded(
        lambda s: TPESampler(seed=s, multivariate=True, n_startup_trials=10, constant_liar=True),
        seed,
    ),
    "nsga2": lambda seed, *_: Reseeded(
        lambda s: ReplayableNSGAII(seed=s, population_size=20), seed
    ),
    "gp": lambda seed, *_: _gp(seed),
}


def make_sampler(
    name: str,
    *,
    seed: int,
    space: SearchSpace | None = None,
    known: KnownCosts = NOTHING,
    identify: Identify | None = None,
) -> BaseSampler:
    """The sampler of that name, with its default settings; Optuna's own listen only to `seed`.

    Args:
        space, known, identify: see `DesignSampler`.

    Raises:
        InvalidSetting: if there is none, the message lists them; or if what it needs is missing.
    """
    if name not in SAMPLERS:
        raise InvalidSetting(f"no sampler {name!r}; choose from {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed, space, known, identify)
