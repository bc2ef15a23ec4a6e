"""What the good trials of a search have in common: how much each choice of the space mattered.

PED-ANOVA compares how often each option stands among the best trials and among all, so it needs no
model of the scores (Watanabe et al. 2023, as Optuna implements it). It describes the trials that
were made: a sampler that tries what looked good has made more of those. With few trials chance
alone makes choices look important, so the same figure is given for shuffled rewards.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from autoscale.design.space import SearchSpace
from autoscale.errors import NotEnoughTrials
from autoscale.search.engine import Trial
from autoscale.search.objective import Objective

#: Below so many scored trials the best ones are too few to have anything in common.
LEAST_TRIALS = 10
#: The best trials are this share of all, and at least so many.
BEST_SHARE, LEAST_BEST = 0.25, 5
SHUFFLES = 200
#: Chance alone stays below `by_chance` in this share of the shuffles.
LEVEL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much one choice told the best trials from the others."""

    choice: str  # a parameter of the space, such as "stage2.kernel"
    share: float  # of all choices' importance; they add up to 1
    by_chance: float  # what shuffled rewards stay below in 90 % of cases

    @property
    def beyond_chance(self) -> bool:
        """Whether the share is more than chance alone would give."""
        return self.share > self.by_chance


def importances(
    trials: Sequence[Trial], space: SearchSpace, objective: Objective, *, seed: int = 0
) -> tuple[Importance, ...]:
    """The choices of a space, the most important first, judged by the objective's reward.

    Raises:
        NotEnoughTrials: for fewer than 10 scored trials, or if all have the same reward.
    """
    scored = [trial for trial in trials if trial.status == "finished" and trial.score]
    rewards = np.array([objective.worth(t.score.judged, t.architecture) for t in scored if t.score])
    if len(scored) < LEAST_TRIALS:
        raise NotEnoughTrials(
            f"the importance of choices needs at least {LEAST_TRIALS} scored trials, there are "
            f"{len(scored)}; search on with a larger --trials"
        )
    if np.ptp(rewards) == 0:
        raise NotEnoughTrials("all trials have the same reward, so no choice made a difference")
    study = _study(scored, space)
    found = _shares(study, rewards, space)
    rng = np.random.default_rng(seed)
    shuffled = [_shares(study, rng.permutation(rewards), space) for _ in range(SHUFFLES)]
    limits = np.quantile(shuffled, LEVEL, axis=0)
    names = [parameter.name for parameter in space.parameters]
    order = sorted(range(len(names)), key=lambda i: (-found[i], i))
    return tuple(
        Importance(choice=names[i], share=float(found[i]), by_chance=float(limits[i]))
        for i in order
    )


def _study(trials: Sequence[Trial], space: SearchSpace) -> optuna.Study:
    """The designs alone; what they are worth is told to the evaluator."""
    distributions = {p.name: CategoricalDistribution(p.labels) for p in space.parameters}
    study = optuna.create_study()
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                params=dict(trial.params),
                distributions={name: distributions[name] for name in trial.params},
                value=0.0,
            )
            for trial in trials
        ]
    )
    return study


def _shares(study: optuna.Study, rewards: np.ndarray, space: SearchSpace) -> np.ndarray:
    """Each parameter's share, in the order of the space."""
    quantile = min(0.5, max(BEST_SHARE, LEAST_BEST / len(rewards)))
    names = [parameter.name for parameter in space.parameters]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna reminds of the sign, which is turned below
        found = PedAnovaImportanceEvaluator(target_quantile=quantile).evaluate(
            study, params=names, target=lambda trial: -float(rewards[trial.number])
        )
    shares = np.array([found[name] for name in names])
    total = shares.sum()
    return shares / total if total > 0 else np.full(len(names), 1 / len(names))
