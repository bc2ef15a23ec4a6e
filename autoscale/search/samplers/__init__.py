"""Samplers by name. A new one is one file and one line here."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec

from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.samplers.controller import ControllerSampler
from autoscale.search.samplers.evolution import RegularizedEvolutionSampler
from autoscale.search.samplers.guided import GuidedSampler
from autoscale.search.samplers.reseeded import ReplayableNSGAII, Reseeded

Factory = Callable[[int, SearchSpace | None, KnownCosts], BaseSampler]


def _gp(seed: int) -> BaseSampler:
    if find_spec("scipy") is None:
        raise InvalidSetting("the gp sampler needs scipy; pip install scipy, or use guided")
    return Reseeded(_gp_sampler, seed)


def _gp_sampler(*, seed: int) -> BaseSampler:
    return GPSampler(
        seed=seed,
        independent_sampler=RandomSampler(seed=seed),
        n_startup_trials=10,
        deterministic_objective=False,
        warn_independent_sampling=False,
    )


_tpe = partial(TPESampler, multivariate=True, n_startup_trials=10, constant_liar=True)
_nsga2 = partial(ReplayableNSGAII, population_size=20)


#: Name -> maker of a sampler. Settings are explicit: Optuna's defaults move.
SAMPLERS: Mapping[str, Factory] = {
    "guided": lambda seed, space, known: GuidedSampler(seed=seed, space=space, known=known),
    "evolution": lambda seed, space, known: RegularizedEvolutionSampler(
        seed=seed, space=space, known=known
    ),
    "controller": lambda seed, space, known: ControllerSampler(seed=seed, space=space, known=known),
    "random": lambda seed, *_: Reseeded(RandomSampler, seed),
    "tpe": lambda seed, *_: Reseeded(_tpe, seed),
    "nsga2": lambda seed, *_: Reseeded(_nsga2, seed),
    "gp": lambda seed, *_: _gp(seed),
}


def make_sampler(
    name: str,
    *,
    seed: int,
    space: SearchSpace | None = None,
    known: KnownCosts = NOTHING,
) -> BaseSampler:
    """The sampler of that name, with its default settings; Optuna's own listen only to `seed`.

    Args:
        space, known: see `DesignSampler`.

    Raises:
        InvalidSetting: if there is none, the message lists them; or if what it needs is missing.
    """
    if name not in SAMPLERS:
        raise InvalidSetting(f"no sampler {name!r}; choose from {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed, space, known)
