"""What every sampler must do. Adding a sampler adds nothing here: it is read from `SAMPLERS`."""

import random
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import BudgetUnreachable, InvalidSetting, SpaceExhausted
from autoscale.search.identity import network_of
from autoscale.search.knowledge import KnownCosts
from autoscale.search.samplers import SAMPLERS, make_sampler
from autoscale.search.samplers.guided import GuidedSampler

SPACES = Path(__file__).parents[2] / "search_spaces"
TINY = SearchSpace.from_yaml((SPACES / "tiny.yaml").read_text())
MACRO = SearchSpace.from_yaml((SPACES / "nas-bench-macro.yaml").read_text())
MNASNET = SearchSpace.from_yaml((SPACES / "mnasnet.yaml").read_text())
OURS = ("guided", "evolution", "controller")
NAMES = [n for n in SAMPLERS if n != "gp" or find_spec("scipy")]
FRONT = ["maximize", "minimize"]

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def macs(architecture):
    return float(cost(architecture).macs)


def score(architecture):
    """Accuracy of a known landscape: cost helps, and the first two stages should not differ."""
    first, second = architecture.stages[:2]
    return 80 + 3 * np.log(macs(architecture)) - 2 * abs(first.depth - second.depth)


def values(architecture, directions):
    return [score(architecture), macs(architecture)][: len(directions)]


def known_of(directions):
    return KnownCosts(values={1: macs}) if len(directions) == 2 else KnownCosts()


def start(name, seed, space, directions):
    sampler = make_sampler(name, seed=seed, space=space, known=known_of(directions))
    return optuna.create_study(sampler=sampler, directions=directions)


def advance(study, space, trials, told=values):
    """Ask and tell; the parameters that were asked for."""
    asked = []
    for _ in range(trials):
        trial = study.ask()
        architecture = space.suggest(trial)
        asked.append(dict(trial.params))
        study.tell(trial, told(architecture, study.directions))
    return asked


@pytest.fixture(params=["maximize", "front"])
def directions(request):
    return FRONT if request.param == "front" else ["maximize"]


def skip_what_is_refused(name, directions):
    if name == "controller" and len(directions) > 1:
        pytest.skip("one objective only")


@pytest.mark.parametrize("name", NAMES)
def test_every_proposal_lies_in_the_space(name, directions):
    skip_what_is_refused(name, directions)
    study = start(name, 1, MNASNET, directions)
    for params in advance(study, MNASNET, 14):
        assert MNASNET.contains(MNASNET.from_params(params))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_proposals(name, directions):
    skip_what_is_refused(name, directions)
    one, other, third = (
        advance(start(name, seed, MNASNET, directions), MNASNET, 14) for seed in (3, 3, 4)
    )
    assert one == other
    assert one != third


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuilt_study_goes_on_as_the_unbroken_one(name, directions):
    skip_what_is_refused(name, directions)
    unbroken = start(name, 5, TINY, directions)
    advance(unbroken, TINY, 24)
    expected = advance(unbroken, TINY, 6)
    rebuilt = start(name, 5, TINY, directions)
    rebuilt.add_trials(unbroken.trials[:24])
    assert advance(rebuilt, TINY, 6) == expected


@pytest.mark.parametrize("name", NAMES)
def test_equal_scores_do_no_harm(name, directions):
    skip_what_is_refused(name, directions)
    study = start(name, 1, TINY, directions)
    advance(study, TINY, 30, told=lambda architecture, directions: [1.0] * len(directions))


@pytest.mark.parametrize("name", NAMES)
def test_failed_trials_do_no_harm(name, directions):
    skip_what_is_refused(name, directions)
    study = start(name, 1, MNASNET, directions)
    for number in range(24):
        trial = study.ask()
        architecture = MNASNET.suggest(trial)
        if number < 10 or number % 3 == 0:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values(architecture, directions))


@pytest.mark.parametrize("name", OURS)
def test_what_failed_or_is_running_is_not_proposed_again(name):
    study = start(name, 2, TINY, ["maximize"])
    seen = set()
    for number in range(40):
        trial = study.ask()
        network = network_of(TINY.suggest(trial))
        assert network not in seen
        if number % 2:
            study.tell(trial, state=TrialState.FAIL)
        seen.add(network)  # the others keep running


@pytest.mark.parametrize("name", OURS)
def test_a_study_without_a_search_space_works(name):
    def objective(trial):
        x, y = trial.suggest_float("x", -1, 1), trial.suggest_int("y", 1, 64, log=True)
        return -(x**2) - (trial.suggest_categorical("z", ["a", "b"]) == "a") - abs(y - 8) / 8

    study = optuna.create_study(direction="maximize", sampler=make_sampler(name, seed=1))
    study.optimize(objective, n_trials=40)
    assert study.best_value > -1.5


@pytest.mark.parametrize("name", OURS)
def test_limits_hold_before_a_trial_is_spent(name):
    limit = float(np.quantile([macs(a) for a in TINY.enumerate()], 0.3))
    known = KnownCosts(limits=[lambda a: macs(a) - limit])
    sampler = make_sampler(name, seed=1, space=TINY, known=known)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for params in advance(study, TINY, 12):
        assert macs(TINY.from_params(params)) <= limit


@pytest.mark.parametrize("name", OURS)
def test_limits_that_nothing_meets_are_told(name):
    known = KnownCosts(limits=[lambda a: 1.0])
    sampler = make_sampler(name, seed=1, space=TINY, known=known)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    with pytest.raises(BudgetUnreachable, match="limits"):
        TINY.suggest(study.ask())


@pytest.mark.parametrize("name", ["evolution", "controller", "guided"])
def test_no_network_comes_twice_until_the_space_is_exhausted(name):
    sampler = (
        GuidedSampler(seed=1, space=TINY, repeats=False)
        if name == "guided"
        else make_sampler(name, seed=1, space=TINY)
    )
    study = optuna.create_study(sampler=sampler, direction="maximize")
    asked = advance(study, TINY, TINY.size)
    assert len({network_of(TINY.from_params(p)) for p in asked}) == TINY.size
    with pytest.raises(SpaceExhausted, match="64 networks"):
        TINY.suggest(study.ask())


def test_guided_repeats_only_what_promises_most():
    rng = np.random.default_rng(0)
    study = start("guided", 1, TINY, ["maximize"])

    def noisy(architecture, directions):
        return [score(architecture) + rng.normal(0, 0.3)]

    networks = [network_of(TINY.from_params(p)) for p in advance(study, TINY, 60, told=noisy)]
    counts = {network: networks.count(network) for network in networks}
    ranked = sorted(TINY.enumerate(), key=score, reverse=True)
    good = {network_of(architecture) for architecture in ranked[:20]}
    repeated = [network for network, count in counts.items() if count > 2]
    assert repeated
    assert set(repeated) <= good


def test_the_controller_refuses_two_objectives():
    study = start("controller", 1, TINY, FRONT)
    with pytest.raises(InvalidSetting, match="one objective"):
        TINY.suggest(study.ask())


def test_guided_takes_objectives_that_all_have_to_be_measured():
    sampler = make_sampler("guided", seed=1, space=TINY)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize", "minimize"])
    for _ in range(15):
        trial = study.ask()
        architecture = TINY.suggest(trial)
        study.tell(trial, [score(architecture), macs(architecture), architecture.depth])


def test_guided_spreads_its_first_designs_over_the_costs():
    study = start("guided", 0, MNASNET, ["maximize"])
    costs = np.log([macs(MNASNET.from_params(p)) for p in advance(study, MNASNET, 8)])
    rng = random.Random(0)
    drawn = np.log([macs(MNASNET.sample(rng)) for _ in range(200)])
    assert np.ptp(costs) > 3 * drawn.std()


def test_the_first_design_of_a_front_is_the_cheapest():
    study = start("guided", 0, TINY, FRONT)
    (params,) = advance(study, TINY, 1)
    assert macs(TINY.from_params(params)) == min(macs(a) for a in TINY.enumerate())


@pytest.mark.parametrize(("name", "trials"), [("guided", 16), ("evolution", 90)])
def test_search_beats_chance_on_a_known_landscape(name, trials):
    def best(which, seed):
        study = start(which, seed, MACRO, ["maximize"])
        advance(study, MACRO, trials)
        return study.best_value

    gains = [best(name, seed) - best("random", seed) for seed in range(4)]
    assert np.mean(gains) > 0
    assert sum(gain > 0 for gain in gains) >= 3


def test_an_unknown_sampler_is_refused_with_the_list():
    with pytest.raises(InvalidSetting, match="guided, evolution, controller"):
        make_sampler("annealing", seed=0)


def test_trials_of_other_parameters_are_left_alone():
    study = start("guided", 0, TINY, ["maximize"])
    other = {"x": CategoricalDistribution([1, 2])}
    study.add_trial(create_trial(params={"x": 1}, distributions=other, value=1.0))
    advance(study, TINY, 12)
