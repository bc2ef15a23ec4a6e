"""Optuna's own samplers, made to go on after a break as if there had been none."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class MakeSampler(Protocol):
    def __call__(self, *, seed: int) -> BaseSampler: ...


class Reseeded(BaseSampler):
    """Use a fresh sampler for every trial, seeded by the run's seed and the trial's number.

    A sampler's random state is lost when a process dies; this one has none to lose, so a study that
    is rebuilt from its finished trials proposes what the unbroken one would have.

    Args:
        make: a sampler, from its seed.
        seed: of the run.
    """

    def __init__(self, make: MakeSampler, seed: int) -> None:
        self._make = make
        self._seed = seed

    def _for(self, trial: FrozenTrial) -> BaseSampler:
        sequence = np.random.SeedSequence([self._seed, trial.number])
        return self._make(seed=int(sequence.generate_state(1)[0]))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._for(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._for(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        # Independent draws of one trial must differ from each other: seed by the name as well.
        sequence = np.random.SeedSequence([self._seed, trial.number, *param_name.encode()])
        sampler = self._make(seed=int(sequence.generate_state(1)[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._for(trial).after_trial(study, trial, state, values)


class ReplayableNSGAII(NSGAIISampler):
    """NSGA-II whose parents stand in the same order before and after a study is rebuilt.

    Optuna returns them ranked when a generation begins and in trial order from then on; here it is
    always trial order.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        super().get_parent_population(study, generation)  # fills the study's record of parents
        return super().get_parent_population(study, generation)
