"""The samplers by name. A new one is a file here and a line in `SAMPLERS`."""

from collections.abc import Callable, Hashable, Mapping

from optuna.samplers import BaseSampler

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Design
from autoscale.search.knowledge import NOTHING, Known
from autoscale.search.samplers import public
from autoscale.search.samplers.evolution import RegularizedEvolutionSampler
from autoscale.search.samplers.guided import GuidedSampler

Identify = Callable[[Design], Hashable]
Factory = Callable[[int, SearchSpace | None, Known, Identify | None], BaseSampler]

SAMPLERS: Mapping[str, Factory] = {
    "guided": lambda seed, space, known, identify: GuidedSampler(
        seed=seed, space=space, known=known, identify=identify
    ),
    "evolution": lambda seed, space, known, identify: RegularizedEvolutionSampler(
        seed=seed, space=space, known=known, identify=identify
    ),
    "random": lambda seed, space, known, identify: public.random(seed=seed),
    "tpe": lambda seed, space, known, identify: public.tpe(seed=seed),
    "nsga2": lambda seed, space, known, identify: public.nsga2(seed=seed),
    "gp": lambda seed, space, known, identify: public.gp(seed=seed),
}


def make_sampler(
    name: str,
    *,
    seed: int,
    space: SearchSpace | None = None,
    known: Known = NOTHING,
    identify: Identify | None = None,
) -> BaseSampler:
    """The sampler called `name`, with its default settings; Optuna's own listen only to `seed`.

    Raises:
        InvalidSetting: if there is none of that name, or what it needs is not installed.
    """
    if name not in SAMPLERS:
        raise InvalidSetting(f"no sampler {name!r}; choose from {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed, space, known, identify)
