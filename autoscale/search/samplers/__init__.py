"""Samplers by name. A new one is one file and one line here."""

from collections.abc import Callable, Mapping

from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from autoscale.errors import InvalidSetting
from autoscale.search.samplers.reseeded import ReplayableNSGAII, Reseeded

#: Name -> maker of a sampler from a seed. Settings are explicit: Optuna's defaults move.
SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: Reseeded(lambda s: RandomSampler(seed=s), seed),
    "tpe": lambda seed: Reseeded(
        lambda s: TPESampler(seed=s, multivariate=True, n_startup_trials=10, constant_liar=True),
        seed,
    ),
    "nsga2": lambda seed: Reseeded(lambda s: ReplayableNSGAII(seed=s, population_size=20), seed),
}


def make_sampler(name: str, *, seed: int) -> BaseSampler:
    """The sampler of that name.

    Raises:
        InvalidSetting: if there is none; the message lists them.
    """
    if name not in SAMPLERS:
        raise InvalidSetting(f"no sampler {name!r}; choose from {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed)
