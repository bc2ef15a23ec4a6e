"""The loop of a search: Optuna proposes, something scores, the study is told.

The study lives in memory. Every step that it takes is handed to `record`, and a study that is
rebuilt from these records proposes what the unbroken one would have. With several trainings at
once, samplers see those at work as running, and steps count in the order in which they end.
"""

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from autoscale.design.architecture import Architecture
from autoscale.design.choices import Value
from autoscale.design.cost import cost
from autoscale.design.measures.limits import Limit, broken, require_reachable
from autoscale.design.space import SearchSpace
from autoscale.errors import EvaluationFailed, InvalidSetting, SpaceExhausted
from autoscale.search.history import RUNGS
from autoscale.search.identity import network_of
from autoscale.search.knowledge import KnownCosts, View
from autoscale.search.model.design_facts import ExactCost, Excess
from autoscale.search.model.recommend import recommend
from autoscale.search.objective import Objective, Score
from autoscale.search.rungs import LearningCurve, RungCheck, Rungs, TrainingResult
from autoscale.search.work import work_off

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
    why. `repeat`: the network of an earlier trial, whose score it takes. `refused`: over a
    limit on a cost, which is known without training. A sampler that asks for repeats gets another
    training instead.
    """

    number: int  # in the order in which steps ended, from 0 without gaps
    status: Status
    params: Mapping[str, Value]  # what the sampler chose
    architecture: Architecture
    score: Score | None = None
    cause: str = ""
    sampler_attrs: Mapping[str, Any] = field(default_factory=dict)  # the sampler's own notes
    rungs: Mapping[int, float] = field(default_factory=dict)  # what is judged, after so many epochs
    partial: Score | None = None  # at the rung where it was stopped
    repetition: int = 0  # which training of its network this was

    @property
    def trained(self) -> bool:
        """Whether it cost a training, with or without success."""
        return self.status in ("finished", "stopped", "failed")

    @property
    def measured(self) -> Score | None:
        """Its score, where it was stopped if it was; None if it has none."""
        return self.score or self.partial

    def climb(self, objective: Objective) -> LearningCurve | None:
        """How its training went; None if it had no rungs or broke."""
        if not self.rungs or self.status not in ("finished", "stopped"):
            return None
        return LearningCurve(
            trial=self.number,
            cost=objective.cost(self.architecture),
            rungs=self.rungs,
            end=self.score.judged_as_trained if self.score else None,
        )


Evaluate = Callable[..., Score | Future[TrainingResult]]
"""Scores an architecture, or begins to.

Called with the architecture and a number that says which training of its network that is. With
rungs a third argument is to be called after each of them, with the epochs done and what
is judged, accuracy or another share; if
it returns True, training ends there and that is the score. A future answers with it, as it then is.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What is searched, for what, and how far.

    Raises:
        InvalidSetting: if `trials` or `at_once` is below 1.
    """

    space: SearchSpace
    objective: Objective
    trials: int  # trainings; failed ones count
    seed: int = 0  # of the random draws that replace a sampler which only repeats itself
    limits: Sequence[Limit] = ()  # designs that break one are refused before training
    # When trainings are looked at and may be stopped. A repeat that the sampler asks for is not
    # stopped: only lucky ones would count.
    rungs: Rungs | None = None
    at_once: int = 1  # trainings that may have begun and not finished

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InvalidSetting(f"trials must be at least 1, got {self.trials}")
        if self.at_once < 1:
            raise InvalidSetting(f"trainings at once must be at least 1, got {self.at_once}")


def search(
    plan: SearchPlan,
    sampler: BaseSampler,
    evaluate: Evaluate,
    *,
    history: Sequence[Trial] = (),
    record: Callable[[Trial], None] = lambda trial: None,
    may_begin: Callable[[], bool] = lambda: True,
) -> list[Trial]:
    """Propose, score and record until the plan's trainings are done.

    No network is trained twice, under whatever choices it comes, unless the sampler asks for
    repeats to beat noise (`asks_for_repeats`); then no two trainings have the same number.

    Args:
        evaluate: scores an architecture, see `Evaluate`.
        history: steps of an earlier, broken call with the same plan and sampler; they count.
        record: called with each step when it is done, before the next one begins.
        may_begin: asked before each proposal; what it says changes no proposal.

    Returns:
        All steps, `history` included. Fewer than `trials` are trained only if the space has no more
        different networks, or no more may begin.

    Raises:
        BudgetUnreachable: if nothing in the space keeps all limits.
        EvaluationFailed: if the first trainings all fail.
    """
    require_reachable(plan.space, plan.limits)
    running = _Search(plan, sampler, evaluate, record, may_begin, list(history))
    work_off(running.begin, running.finish, at_once=plan.at_once)
    return running.steps


@dataclass(frozen=True, eq=False)
class _Proposal:
    """What the sampler asked for."""

    trial: optuna.Trial
    architecture: Architecture
    network: Hashable


@dataclass(frozen=True, eq=False)
class _Training:
    """A proposal that is being trained."""

    proposal: _Proposal
    repetition: int
    look: RungCheck | None
    answer: Future[TrainingResult]


class _Search:
    """A search on its way."""

    def __init__(
        self,
        plan: SearchPlan,
        sampler: BaseSampler,
        evaluate: Evaluate,
        record: Callable[[Trial], None],
        may_begin: Callable[[], bool],
        steps: list[Trial],
    ) -> None:
        self.steps = steps
        self._plan, self._objective = plan, plan.objective
        self._evaluate, self._record, self._may_begin = evaluate, record, may_begin
        self._again = bool(getattr(sampler, "asks_for_repeats", False))
        self._recording = False
        self._study = _study(plan.space, plan.objective, sampler, steps)
        self._trained = [step for step in steps if step.trained]
        climbs = [step.climb(plan.objective) for step in self._trained]
        self._climbs = [climb for climb in climbs if climb]
        self._known: dict[Hashable, list[Trial]] = {}
        for step in self._trained:
            self._known.setdefault(network_of(step.architecture), []).append(step)
        self._idle = next(  # proposals since the last training
            (n for n, step in enumerate(reversed(steps)) if step.trained), len(steps)
        )
        self._running: Sequence[_Training] = ()  # as `begin` was told last
        self._exhausted = False  # whether the space has no more untried networks
        self._waiting: list[_Proposal] = []  # for the score of a network that is being trained

    def begin(
        self, running: Sequence[_Training]
    ) -> tuple[Future[TrainingResult], _Training] | None:
        """One more training, after what needs none; None if none is left or may begin."""
        self._running = running
        while not self._exhausted and len(running) < self._plan.trials - len(self._trained):
            if not self._may_begin():
                return None
            if training := self._propose():
                return training.answer, training
        return None

    def _propose(self) -> _Training | None:
        """One more proposal and what follows from it: a training, perhaps."""
        if self._idle >= PATIENCE:
            params = self._untried()
            if params is None:
                self._exhausted = True
                return None
            self._study.enqueue_trial(params)
        trial = self._study.ask()
        try:
            architecture = self._plan.space.suggest(trial)
        except SpaceExhausted:
            self._exhausted = True
            return None
        proposal = _Proposal(trial, architecture, network_of(architecture))
        earlier = self._known.get(proposal.network, [])
        running = [t for t in self._running if t.proposal.network == proposal.network]
        self._idle += 1
        if earlier and not (self._again and all(step.score for step in earlier)):
            self._repeat(proposal)
        elif over := broken(self._plan.limits, architecture):
            self._keep(proposal, status="refused", cause=f"over {over.exactly}")
        elif running and not self._again:
            self._waiting.append(proposal)
        else:
            taken = [step.repetition for step in earlier] + [t.repetition for t in running]
            return self._train(proposal, max([len(taken), *(number + 1 for number in taken)]))
        return None

    def _train(self, proposal: _Proposal, repetition: int) -> _Training:
        self._idle = 0
        look = None
        if self._plan.rungs is not None:
            look = RungCheck(
                rungs=self._plan.rungs,
                objective=self._objective,
                climbs=tuple(self._climbs),
                trial=len(self.steps),
                cost=self._objective.cost(proposal.architecture),
                stop=repetition == 0,
            )
        answer: Future[TrainingResult] = Future()
        try:
            told = self._evaluate(proposal.architecture, repetition, *([look] if look else []))
            if isinstance(told, Future):
                answer = told
            else:
                answer.set_result(TrainingResult(told, look))
        except EvaluationFailed as problem:
            answer.set_exception(problem)
        return _Training(proposal, repetition, look, answer)

    def finish(self, training: _Training, answer: Future[TrainingResult]) -> None:
        """Keep what came of a training, unless keeping is what broke before."""
        if self._recording:
            return
        look = training.look
        status: Status = "finished"
        score: Score | None = None
        partial: Score | None = None
        cause = ""
        try:
            told = answer.result()
            score, look = told.score, told.look
            if look and look.verdict:
                status, score, partial, cause = "stopped", None, told.score, look.verdict
        except EvaluationFailed as problem:
            status, cause = "failed", str(problem)
        step = self._keep(
            training.proposal,
            status=status,
            score=score,
            cause=cause,
            rungs=look.seen if look else {},
            partial=partial,
            repetition=training.repetition,
        )
        self._trained.append(step)
        self._known.setdefault(training.proposal.network, []).append(step)
        climb = step.climb(self._objective)
        self._climbs += [climb] if climb else []
        waited = [p for p in self._waiting if p.network == training.proposal.network]
        for proposal in waited:
            self._waiting.remove(proposal)
            self._repeat(proposal)
        if len(self._trained) >= HOPELESS and all(s.status == "failed" for s in self._trained):
            raise EvaluationFailed(
                f"the first {len(self._trained)} trainings all failed: {step.cause}"
            )

    def _repeat(self, proposal: _Proposal) -> None:
        first = self._known[proposal.network][0]
        cause = f"same network as trial {first.number}"
        self._keep(proposal, status="repeat", score=first.score, cause=cause)

    def _keep(self, proposal: _Proposal, **found: Any) -> Trial:
        """Tell the study and record what came of a proposal."""
        trial = proposal.trial
        step = Trial(
            number=len(self.steps),
            params=trial.params,
            architecture=proposal.architecture,
            **found,
        )
        if step.rungs:
            trial.set_user_attr(RUNGS, _rung_values(step, self._objective))
        told = self._study.tell(
            trial,
            _values(step, self._objective),
            state=_state(step),
        )
        step = replace(step, sampler_attrs=dict(told.system_attrs))
        self._recording = True
        self._record(step)
        self.steps.append(step)
        self._recording = False
        return step

    def _untried(self) -> dict[str, Value] | None:
        """The choices of a random network that was never trained; None if none is met."""
        rng = random.Random(f"{self._plan.seed}/{len(self.steps)}")
        taken = self._known.keys() | {training.proposal.network for training in self._running}
        for _ in range(DRAWS):
            architecture = self._plan.space.sample(rng)
            if network_of(architecture) not in taken and not broken(
                self._plan.limits, architecture
            ):
                return self._plan.space.params_of(architecture)
        return None


class Standings:
    """The finished networks by their mean reward, kept up to date one trial after the other.

    What was measured and nothing else; `recommend` weighs it with what similar designs say.
    """

    def __init__(self, objective: Objective, trials: Iterable[Trial] = ()) -> None:
        self._objective = objective
        # Of each the sum of its rewards, their count, its cost and its first trial.
        self._networks: dict[Hashable, tuple[float, int, float, Trial]] = {}
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Count one more trial, if it is finished."""
        if trial.status == "finished" and trial.score:
            network = network_of(trial.architecture)
            cost = self._objective.cost(trial.architecture)
            total, count, _, first = self._networks.get(network, (0.0, 0, cost, trial))
            worth = self._objective.worth(trial.score.judged, trial.architecture)
            self._networks[network] = (total + worth, count + 1, cost, first)

    def ranking(self) -> list[Trial]:
        """The first trial of each network, highest mean first, the cheaper of equals."""
        return [trial for *_, trial in sorted(self._networks.values(), key=_place)]

    def best(self) -> Trial | None:
        """The first of the ranking; None if no trial is finished."""
        return min(self._networks.values(), key=_place)[-1] if self._networks else None


def _place(standing: tuple[float, int, float, Trial]) -> tuple[float, float, int]:
    total, count, cost, first = standing
    return (-total / count, cost, first.number)


def predicted_ranking(
    trials: Sequence[Trial],
    space: SearchSpace,
    objective: Objective,
    *,
    count: int,
    views: Sequence[View] = (),
) -> list[Trial]:
    """The `count` trained networks with the best estimates, each by its first finished trial.

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
    known = knowledge(objective, views=views)
    found = recommend(
        study.get_trials(deepcopy=False), study.directions, space=space, known=known, count=count
    )
    return [telling[entry.trials[0]] for entry in found]


def knowledge(
    objective: Objective, limits: Sequence[Limit] = (), views: Sequence[View] = ()
) -> KnownCosts:
    """What samplers may know of a design before any training: its costs, exactly, and what may
    tell its accuracy."""
    price, excesses = ExactCost(objective.measure), [Excess(limit) for limit in limits]
    if objective.kind == "front":
        return KnownCosts(values={1: price}, limits=excesses, views={0: views})
    return KnownCosts(reward=objective.reward.of, cost=price, limits=excesses, views={0: views})


def frozen(trial: Trial, space: SearchSpace, objective: Objective) -> FrozenTrial:
    """The step as Optuna keeps it."""
    return create_trial(
        state=_state(trial),
        params=dict(trial.params),
        distributions=_distributions(space),
        values=_values(trial, objective),
        system_attrs=dict(trial.sampler_attrs),
        user_attrs={"status": trial.status, "macs": cost(trial.architecture).macs}
        | ({objective.quality.column: trial.score.judged} if trial.score else {})
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


def _values(trial: Trial, objective: Objective) -> list[float] | None:
    """The study's values of a finished trial."""
    if trial.score is None:
        return None
    return list(objective.values(trial.score.judged, objective.cost(trial.architecture)))


def _rung_values(trial: Trial, objective: Objective) -> dict[str, list[float]]:
    """The study's values at each rung; names are text because Optuna's storages keep JSON."""
    price = objective.cost(trial.architecture)
    return {str(e): list(objective.values(accuracy, price)) for e, accuracy in trial.rungs.items()}
