"""The paper's way: a recurrent controller that learns from the reward of what it proposes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Designs, Point
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.samplers.base import DesignSampler, require_one_objective

if TYPE_CHECKING:
    import torch

    from autoscale.search.samplers.policy import Policy

_EPOCHS = 4  # passes over a batch
_CLIP = 0.2  # of the ratio of probabilities; Schulman et al. 2017, section 6.1
_ENTROPY = 0.01
_LARGEST = 1e150  # reward; the square of a larger one is no number
_BASELINE_DECAY = 0.9
_TRIES = 1000
_DRAWN = 16  # designs drawn at once, of which the first new one is proposed
_HEAT = 1.1  # by which each further draw of known networks only flattens the choice


class ControllerSampler(DesignSampler):
    """Choose level by level with an LSTM that is trained on rewards by PPO.

    Trials are learnt from in batches of equal size, by number: a batch when all its trials are
    done. So what the controller has learnt follows from the finished trials alone; it is learnt
    again, in the same way, when a study is rebuilt. A design that breaks constraints is rewarded
    less than those of its batch that keep them.

    Sources: Zoph et al. 2018 (NASNet), appendix, for the controller (an LSTM of 100 units, one
    softmax for each choice, PPO, a moving average as baseline); Tan et al. 2019 (MnasNet), section
    4.2; Schulman et al. 2017 for PPO. Theirs saw 8,000 networks and more; the rate and the batch
    here suit a thousand.

    Args:
        batch: trials learnt from together.
        new_only: whether draws of known networks are passed over. The papers' controllers repeat
            themselves more and more as they settle; the score of a repeat is known.
        rate: of Adam.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        space: SearchSpace | None = None,
        known: KnownCosts = NOTHING,
        batch: int = 10,
        rate: float = 5e-3,
        new_only: bool = True,
    ) -> None:
        if batch < 1:
            raise InvalidSetting(f"batch must be at least 1, got {batch}")
        super().__init__(seed=seed, space=space, known=known)
        self._batch = batch
        self._rate = rate
        self._new_only = new_only
        self._learner: Learner | None = None

    def choose(self, history: History, rng: np.random.Generator, number: int) -> Point:
        require_one_objective(history, "controller")
        batches = _complete_batches(history, number, self._batch)
        learner = self._learner
        if (
            learner is None
            or learner.designs is not history.designs
            or learner.learnt != batches[: len(learner.learnt)]
        ):
            learner = self._learner = Learner(history.designs, seed=self._seed, rate=self._rate)
        for batch in batches[len(learner.learnt) :]:
            learner.learn(batch)
        drawn = _draws(learner.policy, rng)
        if not self._new_only:
            for point in islice(drawn, _TRIES):
                if self.keeps_limits(history.designs, point):
                    return point
        return self.unseen(history, lambda _: next(drawn), rng)


def _draws(policy: Policy, rng: np.random.Generator) -> Iterator[Point]:
    temperature = 1.0
    while True:
        yield from policy.sample(rng, count=_DRAWN, temperature=temperature)
        temperature *= _HEAT


Batch = tuple[tuple[Point, float], ...]


def _complete_batches(history: History, upto: int, size: int) -> list[Batch]:
    """The scored trials below `upto` in batches of `size` numbers, as far as all are done."""
    scored = dict(zip(history.numbers, range(len(history)), strict=True))
    first_open = min([*history.running_numbers, upto])
    batches = []
    for start in range(0, first_open - size + 1, size):
        rows = [scored[n] for n in range(start, start + size) if n in scored]
        rewards = _rewards(history.gains[rows, 0], history.violations[rows])
        batches.append(tuple(zip([history.points[r] for r in rows], rewards, strict=True)))
    return batches


def _rewards(gains: np.ndarray, violations: np.ndarray) -> list[float]:
    """Gains, where constraints are broken below all others and the lower the more they are."""
    if not violations.any():
        return gains.tolist()
    span = float(np.ptp(gains)) or 1.0
    broken = np.minimum(violations / np.minimum(violations.max(), np.finfo(float).max), 1.0)
    return np.where(violations > 0, gains.min() - span * broken, gains).tolist()


@dataclass
class _Baseline:
    """Moving mean and spread of the rewards."""

    mean: float = 0.0
    square: float = 1.0
    started: bool = False

    def advantages(self, rewards: np.ndarray) -> np.ndarray:
        rewards = np.clip(rewards, -_LARGEST, _LARGEST)
        if not self.started:
            self.mean, self.square, self.started = float(rewards.mean()), float(rewards.var()), True
        found = (rewards - self.mean) / max(self.square**0.5, 1e-8)
        decay = _BASELINE_DECAY
        self.square = decay * self.square + (1 - decay) * float(((rewards - self.mean) ** 2).mean())
        self.mean = decay * self.mean + (1 - decay) * float(rewards.mean())
        return np.clip(found, -3, 3)


class Learner:
    """A policy and what it has learnt from."""

    def __init__(self, designs: Designs, *, seed: int, rate: float) -> None:
        import torch

        from autoscale.search.samplers.policy import Policy

        self.designs = designs
        self.learnt: list[Batch] = []
        self.policy: Policy = Policy(designs.sizes, seed=seed)
        self._optimiser: torch.optim.Optimizer = torch.optim.Adam(self.policy.parameters(), lr=rate)
        self._baseline = _Baseline()

    def learn(self, batch: Batch) -> None:
        """One PPO update: four passes of the clipped objective."""
        import torch

        self.learnt.append(batch)
        if not batch:
            return
        advantages = torch.tensor(
            self._baseline.advantages(np.array([reward for _, reward in batch])),
            dtype=torch.float32,
        )
        tokens = torch.tensor([point for point, _ in batch])
        with torch.no_grad():
            before, _ = self.policy.log_probability(tokens)
        for _ in range(_EPOCHS):
            after, entropy = self.policy.log_probability(tokens)
            ratio = torch.exp(after - before)
            clipped = torch.clamp(ratio, 1 - _CLIP, 1 + _CLIP)
            gain = torch.minimum(ratio * advantages, clipped * advantages).mean()
            self._optimiser.zero_grad()
            (-gain - _ENTROPY * entropy.mean()).backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
            self._optimiser.step()
