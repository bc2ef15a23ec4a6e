"""Optuna's own samplers, with every setting that its versions have changed written out.

Optuna's keep a random state that the trials do not record. Here each trial gets a sampler of its
own, seeded from the study's seed and the trial's number, so these too go on after a resume as if
nothing had happened.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from autoscale.errors import InvalidSetting


class SeededByTrial(BaseSampler):
    """`make(seed)` anew for each trial, with a seed from `seed` and the trial's number."""

    asks_for_repeats = False

    def __init__(self, make: Callable[[int], BaseSampler], *, seed: int) -> None:
        self._make = make
        self._seed = seed
        self._made: dict[int, BaseSampler] = {}

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number not in self._made:
            seed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
            self._made[trial.number] = self._make(int(seed))
        return self._made[trial.number]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler(trial).before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        sampler = self._sampler(trial)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._sampler(trial).after_trial(study, trial, state, values)
        del self._made[trial.number]


def random(*, seed: int) -> BaseSampler:
    """Every parameter uniformly."""
    return SeededByTrial(lambda s: RandomSampler(seed=s), seed=seed)


def tpe(*, seed: int) -> BaseSampler:
    """Tree-structured Parzen estimators over all parameters together, told of running trials.

    Source: Bergstra et al. 2011; Watanabe 2023 for the settings.
    """
    return SeededByTrial(
        lambda s: TPESampler(
            seed=s, n_startup_trials=10, n_ei_candidates=24, constant_liar=True, group=False
        ),
        seed=seed,
    )


def nsga2(*, seed: int) -> BaseSampler:
    """NSGA-II (Deb et al. 2002) with generations of 20.

    A generation is known from the trials' system attributes: a study that is rebuilt from its
    trials must keep them.
    """
    return SeededByTrial(
        lambda s: NSGAIISampler(
            seed=s, population_size=20, crossover_prob=0.9, swapping_prob=0.5, mutation_prob=None
        ),
        seed=seed,
    )


def gp(*, seed: int) -> BaseSampler:
    """Optuna's Gaussian process; it needs scipy, which autoscale does not install.

    Raises:
        InvalidSetting: without scipy.
    """
    if find_spec("scipy") is None:
        raise InvalidSetting("the gp sampler needs scipy; pip install scipy, or use guided")
    return SeededByTrial(
        lambda s: GPSampler(
            seed=s,
            independent_sampler=RandomSampler(seed=s),
            n_startup_trials=10,
            deterministic_objective=False,
            warn_independent_sampling=False,
        ),
        seed=seed,
    )
