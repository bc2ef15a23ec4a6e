import random
from dataclasses import replace

import pytest

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.activations import Activations
from autoscale.design.measures.latency import LatencyLine, LatencyTable
from autoscale.design.measures.limits import Limit, broken, most_macs
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.params import Params
from autoscale.design.space import SearchSpace
from autoscale.design.workload import workload
from autoscale.errors import BudgetUnreachable, EvaluationFailed, InvalidSetting
from autoscale.jobs.search.spaces import load_space
from autoscale.search.engine import Standings, Trial, frozen, knowledge, predicted_ranking
from autoscale.search.model.design_facts import ExactCost, Excess, FactReader
from autoscale.search.objective import Objective, Score
from autoscale.search.samplers import make_sampler
from tests.design.test_measures import COUNTED
from tests.search.searching import CASES, FRONT, HARD, searched


def known_score(architecture: Architecture, repetition: int = 0) -> Score:
    """Wider is better, deeper is better, large kernels are worse: one best network."""
    first, second = architecture.stages
    quality = first.width / 16 + second.width / 24 + (first.depth + second.depth) / 4
    counted = cost(architecture)
    return Score(
        accuracy=(quality - first.kernel / 10) / 5,
        macs=counted.macs,
        params=counted.params,
        activations=counted.activations,
    )


def run(space: SearchSpace, sampler: str, objective: Objective = HARD, **options) -> list[Trial]:
    options = {"trials": 12, "seed": 3, **options}
    evaluate = options.pop("evaluate", known_score)
    made = make_sampler(sampler, seed=options["seed"])
    return searched(space, objective, evaluate, made, **options)


def worth(step: Trial, objective: Objective = HARD) -> float:
    assert step.score is not None
    return objective.worth(step.score.accuracy, step.architecture)


@pytest.mark.parametrize(("sampler", "objective"), CASES)
class TestEverySampler:
    def test_trains_as_often_as_asked_and_repeats_only_on_purpose(
        self, tiny: SearchSpace, sampler: str, objective: Objective
    ) -> None:
        steps = run(tiny, sampler, objective)
        trained = [step.architecture for step in steps if step.trained]
        assert len(trained) == 12
        if not getattr(make_sampler(sampler, seed=0), "asks_for_repeats", False):
            assert len(set(trained)) == 12
        assert all(tiny.contains(architecture) for architecture in trained)
        assert [step.number for step in steps] == list(range(len(steps)))

    def test_proposes_the_same_with_the_same_seed(
        self, tiny: SearchSpace, sampler: str, objective: Objective
    ) -> None:
        assert run(tiny, sampler, objective) == run(tiny, sampler, objective)

    @pytest.mark.parametrize("broken_at", [1, 7, 21])
    def test_goes_on_after_a_break_as_if_there_had_been_none(
        self, tiny: SearchSpace, sampler: str, objective: Objective, broken_at: int
    ) -> None:
        whole = run(tiny, sampler, objective, trials=26)
        resumed = run(tiny, sampler, objective, trials=26, history=whole[:broken_at])
        assert resumed == whole

    def test_survives_equal_scores_and_failures(
        self, tiny: SearchSpace, sampler: str, objective: Objective
    ) -> None:
        calls = 0

        def flat(architecture: Architecture, repetition: int) -> Score:
            nonlocal calls
            calls += 1
            if calls % 3 == 0:
                raise EvaluationFailed("the loss became nan")
            return replace(known_score(architecture), accuracy=0.5)

        steps = run(tiny, sampler, objective, evaluate=flat)
        assert sum(step.status == "failed" for step in steps) == 4
        assert sum(step.trained for step in steps) == 12


def test_a_space_is_searched_to_its_end_and_no_further(tiny: SearchSpace) -> None:
    steps = run(tiny, "tpe", trials=1000)
    assert {step.architecture for step in steps if step.trained} == set(tiny.enumerate())


def test_every_step_is_recorded_before_the_next_begins(tiny: SearchSpace) -> None:
    recorded: list[Trial] = []

    def evaluate(architecture: Architecture, repetition: int) -> Score:
        assert architecture not in {step.architecture for step in recorded}
        return known_score(architecture)

    assert run(tiny, "random", evaluate=evaluate, record=recorded.append) == recorded


def test_a_repeat_that_is_asked_for_is_another_training(tiny: SearchSpace) -> None:
    asked: dict[Architecture, list[int]] = {}

    def noisy(architecture: Architecture, repetition: int) -> Score:
        asked.setdefault(architecture, []).append(repetition)
        score = known_score(architecture)
        spread = random.Random(f"{architecture}{repetition}").gauss(0, 0.05)
        return replace(score, accuracy=score.accuracy + spread)

    run(tiny, "guided", trials=60, evaluate=noisy)
    assert sum(map(len, asked.values())) == 60
    assert any(len(repetitions) > 1 for repetitions in asked.values())
    assert all(r == list(range(len(r))) for r in asked.values())


@pytest.mark.parametrize("objective", [HARD, FRONT], ids=["reward", "front"])
def test_what_is_predicted_best_is_best_where_nothing_scatters(
    tiny: SearchSpace, objective: Objective
) -> None:
    steps = run(tiny, "random", objective, trials=64)
    (first,) = predicted_ranking(steps, tiny, objective, count=1)
    top = Standings(objective, steps).best()
    assert top is not None
    assert worth(first, objective) == pytest.approx(worth(top, objective), rel=0.02)


def test_knowing_costs_guides_away_from_what_is_too_dear(tiny: SearchSpace) -> None:
    limits = most_macs(400_000)
    sampler = make_sampler("guided", seed=0, space=tiny, known=knowledge(HARD, limits))
    steps = searched(tiny, HARD, known_score, sampler, trials=12, limits=limits)
    assert not [step for step in steps if step.status == "refused"]


def test_a_limit_on_multiply_adds_is_kept_without_training(tiny: SearchSpace) -> None:
    limit = 400_000
    steps = run(tiny, "tpe", limits=most_macs(limit))
    assert all(cost(step.architecture).macs <= limit for step in steps if step.trained)
    assert any(step.status == "refused" for step in steps)


LIMITS = (Limit(Params(), 5_200), Limit(Activations(), 31_000), Limit(MACS, 430_000))


@pytest.mark.parametrize("sampler", ["guided", "evolution", "tpe"])
def test_a_search_keeps_every_one_of_several_limits(tiny: SearchSpace, sampler: str) -> None:
    allowed = [design for design in tiny.enumerate() if not broken(LIMITS, design)]
    assert 4 < len(allowed) < 32
    for limit in LIMITS:  # each of them binds
        others = [other for other in LIMITS if other != limit]
        assert len([d for d in tiny.enumerate() if not broken(others, d)]) > len(allowed)
    made = make_sampler(sampler, seed=3, space=tiny, known=knowledge(HARD, LIMITS))
    steps = searched(tiny, HARD, known_score, made, trials=5, limits=LIMITS)
    trained = [step.architecture for step in steps if step.trained]
    assert len(trained) == 5
    assert set(trained) <= set(allowed)
    if sampler != "tpe":  # which is told nothing
        assert not [step for step in steps if step.status == "refused"]


def test_what_a_limit_refuses_names_the_limit(tiny: SearchSpace) -> None:
    steps = run(tiny, "random", trials=5, limits=LIMITS)
    causes = {step.cause for step in steps if step.status == "refused"}
    assert causes >= {"over 31,000 activations", "over 5,200 parameters"}


def test_a_search_may_take_any_cost(tiny: SearchSpace) -> None:
    goal = Objective(kind="hard", target=3_600, measure=Params())
    steps = run(tiny, "guided", goal, trials=64)
    best = Standings(goal, steps).best()
    assert best is not None
    rewards = [
        t.score.accuracy * min(1, 3_600 / t.score.params) for t in steps if t.score and t.trained
    ]
    assert worth(best, goal) == pytest.approx(max(rewards))


@pytest.mark.parametrize("measure", [*COUNTED, LatencyLine((1.0, 1e-6, 1e-5, 1e-7))], ids=str)
def test_a_cost_is_read_off_a_point_as_the_architecture_has_it(measure: CostMeasure) -> None:
    space = load_space("mbconv-small")
    reader, rng = FactReader(space), random.Random(0)
    for _ in range(20):
        point = tuple(rng.randrange(len(p.options)) for p in space.parameters)
        facts, design = reader.read(point), space.architecture_at(point)
        assert ExactCost(measure).of_facts(facts) == ExactCost(measure)(design)
        limit = Limit(measure, measure.of(design) / 2)
        assert Excess(limit).of_facts(facts) == Excess(limit)(design) == pytest.approx(1)


def test_a_limit_below_the_cheapest_network_names_it(tiny: SearchSpace) -> None:
    with pytest.raises(BudgetUnreachable, match="298,272"):
        run(tiny, "tpe", limits=most_macs(1000))


def test_no_trials_are_refused(tiny: SearchSpace) -> None:
    with pytest.raises(InvalidSetting, match="at least 1, got 0"):
        run(tiny, "tpe", trials=0)


def test_a_search_in_which_nothing_works_ends_soon(tiny: SearchSpace) -> None:
    def broken(architecture: Architecture, repetition: int) -> Score:
        raise EvaluationFailed("out of memory")

    with pytest.raises(EvaluationFailed, match="first 5 trainings all failed: out of memory"):
        run(tiny, "random", evaluate=broken)


def test_other_errors_of_an_evaluation_end_the_search(tiny: SearchSpace) -> None:
    def interrupted(architecture: Architecture, repetition: int) -> Score:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny, "random", evaluate=interrupted)


def test_the_best_is_the_cheapest_of_the_highest_rewards(tiny: SearchSpace) -> None:
    steps = run(tiny, "random", trials=64)
    finished = [step for step in steps if step.score]
    top = max(worth(step) for step in finished)
    equals = [step for step in finished if worth(step) == top]
    winner = Standings(HARD, steps).best()
    assert winner is not None
    assert cost(winner.architecture).macs == min(cost(s.architecture).macs for s in equals)
    assert Standings(HARD).best() is None


def test_tpe_finds_a_better_reward_than_random_on_average(tiny: SearchSpace) -> None:
    def found(sampler: str, seed: int) -> float:
        winner = Standings(HARD, run(tiny, sampler, trials=20, seed=seed)).best()
        assert winner is not None
        return worth(winner)

    def mean(sampler: str) -> float:
        return sum(found(sampler, seed) for seed in range(8)) / 8

    assert mean("tpe") > mean("random")


def test_latency_may_be_the_cost_of_a_front(tiny: SearchSpace) -> None:
    kinds = {feature: 0.0 for design in tiny.enumerate() for feature in workload(design)}
    rates = kinds | {(kind, "calls"): 1.0 for kind, what in kinds if what == "calls"}
    table = LatencyTable(rates=rates, error=0.0, measurements=20)  # each operation takes 1 ms
    timed = Objective(kind="front", target=20, measure=table)
    steps = run(tiny, "guided", timed, trials=8)
    told = [frozen(step, tiny, timed).values for step in steps]
    assert [values[1] for values in told] == [
        pytest.approx(sum(n for (_, w), n in workload(step.architecture).items() if w == "calls"))
        for step in steps
    ]
    reward = replace(timed, kind="hard")
    rewards = [reward.worth(s.score.judged, s.architecture) for s in steps if s.score]
    best = predicted_ranking(steps, tiny, timed, count=1)[0]
    assert best.score is not None
    assert reward.worth(best.score.judged, best.architecture) == max(rewards)
