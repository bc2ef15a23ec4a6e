"""The loop of a search: Optuna proposes, something scores, the study is told.

The study lives in memory. Every step that it takes is handed to `record`, and a study that is
rebuilt from these records proposes what the unbroken one would have.
"""

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace, Value
from autoscale.errors import BudgetUnreachable, EvaluationFailed, InvalidSetting, SpaceExhausted
from autoscale.search.history import RUNGS
from autoscale.search.identity import network_of
from autoscale.search.knowledge import Known
from autoscale.search.objective import Objective, Reward, Score
from autoscale.search.reading import Macs
from autoscale.search.recommend import recommend
from autoscale.search.rungs import Climb, Rungs

optuna.logging.set_verbosity(optuna.logging.WARNING)

#: Proposals in a row that need no training, after which an untried design is drawn at random.
PATIENCE = 50
#: Draws of an untried design before the space counts as exhausted.
DRAWS = 2000
#: Failures in a row, with no success before them, that end a search.
HOPELESS = 5

Status = Literal["finished", "stopped", "failed", "repeat", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One step of a search.

    `finished`: trained and scored. `stopped`: left behind at a rung, `cause` says by whom; it has
    no `score`, only a `partial` one, and so is on no front. `failed`: training broke, `cause` says
    why. `repeat`: the network of an earlier trial, whose score it takes. `refused`: over the limit
    on multiply-adds, which is known without training. A sampler that asks for repeats gets another
    training instead.
    """

    number: int  # of the study, from 0 without gaps
    status: Status
    params: Mapping[str, Value]  # what the sampler chose
    architecture: Architecture
    score: Score | None = None
    cause: str = ""
    sampler_attrs: Mapping[str, Any] = field(default_factory=dict)  # the sampler's own notes
    rungs: Mapping[int, float] = field(default_factory=dict)  # accuracy after so many epochs
    partial: Score | None = None  # at the rung where it was stopped

    @property
    def trained(self) -> bool:
        """Whether it cost a training, with or without success."""
        return self.status in ("finished", "stopped", "failed")

    @property
    def climb(self) -> Climb | None:
        """How its training went; None if it had no rungs or broke."""
        if not self.rungs or self.status not in ("finished", "stopped"):
            return None
        return Climb(
            trial=self.number,
            macs=cost(self.architecture).macs,
            rungs=self.rungs,
            end=self.score.accuracy if self.score else None,
        )


def search(
    space: SearchSpace,
    objective: Objective,
    evaluate: Callable[..., Score],
    *,
    trials: int,
    sampler: BaseSampler,
    seed: int = 0,
    max_macs: int | None = None,
    rungs: Rungs | None = None,
    history: Sequence[Trial] = (),
    record: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Propose, score and record until `trials` trainings are done; failed ones count.

    No network is trained twice, under whatever choices it comes, unless the sampler asks for
    repeats to beat noise (`asks_for_repeats`).

    Args:
        evaluate: scores an architecture; the number says how often its network was trained before.
            With `rungs` a third argument is to be called after each of them, with the epochs done
            and the accuracy; if it returns True, training ends there and that is the score.
        max_macs: designs that cost more are refused before training.
        rungs: when trainings are looked at and may be stopped. A repeat that the sampler asks for
            is not stopped: only lucky ones would count.
        seed: of the random draws that replace a sampler which only repeats itself.
        history: steps of an earlier, broken call with the same arguments; they count.
        record: called with each step when it is done, before the next one begins.

    Returns:
        All steps, `history` included. Fewer than `trials` are trained only if the space has no more
        different networks.

    Raises:
        InvalidSetting: if `trials` is below 1.
        BudgetUnreachable: if nothing in the space costs at most `max_macs`.
        EvaluationFailed: if the first trainings all fail.
    """
    if trials < 1:
        raise InvalidSetting(f"trials must be at least 1, got {trials}")
    require_reachable(space, max_macs)
    steps = list(history)
    trained = [step for step in steps if step.trained]
    climbs = [step.climb for step in trained if step.climb]
    known: dict[Hashable, list[Trial]] = {}
    for step in trained:
        known.setdefault(network_of(step.architecture), []).append(step)
    again = bool(getattr(sampler, "asks_for_repeats", False))
    study = _study(space, objective, sampler, steps)
    idle = _idle(steps)
    while len(trained) < trials:
        if idle >= PATIENCE:
            params = _untried(space, known, max_macs, random.Random(f"{seed}/{len(steps)}"))
            if params is None:
                break
            study.enqueue_trial(params)
        trial = study.ask()
        try:
            architecture = space.suggest(trial)
        except SpaceExhausted:
            break
        network = network_of(architecture)
        earlier = known.get(network, [])
        watch = None if rungs is None else Watch(rungs, objective, climbs, trial.number)
        step = _step(trial, architecture, evaluate, earlier, again, max_macs, watch)
        if step.rungs:
            trial.set_user_attr(RUNGS, _rung_values(step, objective))
        told = study.tell(
            trial, objective.values(step.score) if step.score else None, state=_state(step)
        )
        step = replace(step, sampler_attrs=dict(told.system_attrs))
        record(step)
        steps.append(step)
        if step.trained:
            trained.append(step)
            known.setdefault(network, []).append(step)
            climbs += [step.climb] if step.climb else []
        idle = _idle(steps)
        if len(trained) >= HOPELESS and all(s.status == "failed" for s in trained):
            raise EvaluationFailed(f"the first {len(trained)} trainings all failed: {step.cause}")
    return steps


def require_reachable(space: SearchSpace, max_macs: int | None) -> None:
    """Refuse a limit that nothing in the space keeps.

    Raises:
        BudgetUnreachable: naming the cheapest network's multiply-adds.
    """
    if max_macs is not None and max_macs < space.macs_range()[0]:
        raise BudgetUnreachable(
            f"no network of the space {space.name!r} costs at most {max_macs:,} multiply-adds; "
            f"the cheapest costs {space.macs_range()[0]:,}"
        )


class Standings:
    """The finished networks by their mean reward, kept up to date one trial after the other.

    What was measured and nothing else; `recommend` weighs it with what similar designs say.
    """

    def __init__(self, reward: Reward, trials: Iterable[Trial] = ()) -> None:
        self._reward = reward
        self._networks: dict[Hashable, tuple[float, int, Trial]] = {}  # sum, count, first trial
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Count one more trial, if it is finished."""
        if trial.status == "finished" and trial.score:
            network = network_of(trial.architecture)
            total, count, first = self._networks.get(network, (0.0, 0, trial))
            self._networks[network] = (total + self._reward(trial.score), count + 1, first)

    def ranking(self) -> list[Trial]:
        """The first trial of each network, highest mean first, the cheaper of equals."""
        return [trial for *_, trial in sorted(self._networks.values(), key=_place)]

    def best(self) -> Trial | None:
        """The first of the ranking; None if no trial is finished."""
        return min(self._networks.values(), key=_place)[-1] if self._networks else None


def _place(standing: tuple[float, int, Trial]) -> tuple[float, int, int]:
    total, count, first = standing
    return (-total / count, first.score.macs if first.score else 0, first.number)


def believed_ranking(
    trials: Sequence[Trial], space: SearchSpace, objective: Objective, *, count: int
) -> list[Trial]:
    """The `count` trained networks that are believed best, each by its first finished trial.

    The posterior mean of a model over all trials, not one lucky score, decides; see `recommend`.
    On a front the reward decides as everywhere. A network whose trainings were stopped is never
    among them, but what they showed is known.

    Raises:
        InvalidSetting: if no trial is finished.
    """
    telling = [trial for trial in trials if trial.status in ("finished", "stopped")]
    if objective.kind == "front":
        objective = replace(objective, kind="hard")
    study = _study(space, objective, None, telling)
    known = knowledge(objective, None)
    found = recommend(
        study.get_trials(deepcopy=False), study.directions, space=space, known=known, count=count
    )
    return [telling[entry.trials[0]] for entry in found]


def knowledge(objective: Objective, max_macs: int | None) -> Known:
    """What samplers may know of a design before any training: its multiply-adds, exactly."""
    limits = [] if max_macs is None else [Macs(limit=max_macs)]
    if objective.kind == "front":
        return Known(values={1: Macs()}, limits=limits)
    return Known(reward=objective.reward.of, cost=Macs(), limits=limits)


def frozen(trial: Trial, space: SearchSpace, objective: Objective) -> FrozenTrial:
    """The step as Optuna keeps it."""
    return create_trial(
        state=_state(trial),
        params=dict(trial.params),
        distributions=_distributions(space),
        values=list(objective.values(trial.score)) if trial.score else None,
        system_attrs=dict(trial.sampler_attrs),
        user_attrs={"status": trial.status, "macs": cost(trial.architecture).macs}
        | ({"accuracy": trial.score.accuracy} if trial.score else {})
        | ({RUNGS: _rung_values(trial, objective)} if trial.rungs else {}),
    )


@lru_cache(maxsize=4)
def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {p.name: CategoricalDistribution(p.labels) for p in space.parameters}


def _study(
    space: SearchSpace, objective: Objective, sampler: BaseSampler | None, steps: Sequence[Trial]
) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, directions=objective.directions)
    study.add_trials([frozen(step, space, objective) for step in steps])
    return study


def _state(trial: Trial) -> TrialState:
    if trial.score:
        return TrialState.COMPLETE
    return TrialState.PRUNED if trial.status == "stopped" else TrialState.FAIL


def _rung_values(trial: Trial, objective: Objective) -> dict[str, list[float]]:
    """The study's values at each rung; names are text because Optuna's storages keep JSON."""
    macs = cost(trial.architecture).macs
    return {str(e): list(objective.of(accuracy, macs)) for e, accuracy in trial.rungs.items()}


class Watch:
    """Looks at one training at its rungs."""

    def __init__(
        self, rungs: Rungs, objective: Objective, climbs: Sequence[Climb], trial: int
    ) -> None:
        self._rungs = rungs
        self._objective = objective
        self._climbs = climbs
        self._trial = trial
        self.seen: dict[int, float] = {}
        self.verdict = ""  # why it was stopped

    def looks_at(self, architecture: Architecture, *, stop: bool) -> Callable[[int, float], bool]:
        """To be told epochs and accuracy at each rung; True ends the training."""
        macs = cost(architecture).macs

        def look(epochs: int, accuracy: float) -> bool:
            if epochs not in self._rungs.looks:
                return False
            self.seen[epochs] = accuracy
            one = Climb(trial=self._trial, macs=macs, rungs=self.seen)
            better = self._rungs.better(one, epochs, self._climbs, self._objective)
            if better and stop:
                self.verdict = (
                    f"stopped after {epochs} of {self._rungs.epochs[-1]} epochs at "
                    f"{accuracy:.3f}, where trial {better.trial} had {better.rungs[epochs]:.3f}"
                )
            return bool(self.verdict)

        return look


def _step(
    trial: optuna.Trial,
    architecture: Architecture,
    evaluate: Callable[..., Score],
    earlier: Sequence[Trial],
    again: bool,
    max_macs: int | None,
    watch: Watch | None,
) -> Trial:
    status: Status = "finished"
    score: Score | None = None
    partial: Score | None = None
    cause = ""
    if earlier and not (again and all(step.score for step in earlier)):
        status, score = "repeat", earlier[0].score
        cause = f"same network as trial {earlier[0].number}"
    elif max_macs is not None and cost(architecture).macs > max_macs:
        status, cause = "refused", f"over {max_macs:,} multiply-adds"
    else:
        looks = [watch.looks_at(architecture, stop=not earlier)] if watch else []
        try:
            score = evaluate(architecture, len(earlier), *looks)
        except EvaluationFailed as problem:
            status, cause = "failed", str(problem)
        if score and watch and watch.verdict:
            status, score, partial, cause = "stopped", None, score, watch.verdict
    return Trial(
        number=trial.number,
        status=status,
        params=trial.params,
        architecture=architecture,
        score=score,
        cause=cause,
        rungs=watch.seen if watch else {},
        partial=partial,
    )


def _idle(steps: Sequence[Trial]) -> int:
    """Steps since the last training."""
    return next(
        (n for n, step in enumerate(reversed(steps)) if step.trained),
        len(steps),
    )


def _untried(
    space: SearchSpace,
    known: Mapping[Hashable, Sequence[Trial]],
    max_macs: int | None,
    rng: random.Random,
) -> dict[str, Value] | None:
    for _ in range(DRAWS):
        architecture = space.sample(rng)
        if network_of(architecture) not in known and (
            max_macs is None or cost(architecture).macs <= max_macs
        ):
            return space.params_of(architecture)
    return None
