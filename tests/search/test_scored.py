"""The first trials of a study, kept from one trial to the next."""

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from autoscale.search.designs import Designs
from autoscale.search.history import History

RANGES = {"x": optuna.distributions.IntDistribution(0, 9)}
UP = [optuna.study.StudyDirection.MAXIMIZE]


def trial(x: int, value: float | None) -> FrozenTrial:
    state = TrialState.FAIL if value is None else TrialState.COMPLETE
    return create_trial(params={"x": x}, distributions=RANGES, value=value, state=state)


def test_trials_that_stay_are_read_once_and_those_that_changed_anew() -> None:
    designs = Designs.of_distributions(RANGES)
    trials = [trial(x, float(x)) for x in range(6)]
    first = History.of(trials[:4], UP, designs)
    assert first.points == [(0,), (1,), (2,), (3,)]
    assert History.of(trials, UP, designs).gains[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    changed = [*trials[:2], trial(7, -7.0), *trials[3:5]]
    after = History.of(changed, UP, designs)
    assert after.points == [(0,), (1,), (7,), (3,), (4,)]
    assert after.gains[:, 0].tolist() == [0, 1, -7, 3, 4]
    assert after.identities == [designs.identity(point) for point in after.points]
    assert first.points == [(0,), (1,), (2,), (3,)]  # a history does not change


def test_trials_behind_a_failed_one_are_read_as_well() -> None:
    designs = Designs.of_distributions(RANGES)
    trials = [trial(0, 1.0), trial(4, None), trial(2, 3.0)]
    history = History.of(trials, UP, designs)
    assert history.points == [(0,), (2,)]
    assert history.failed == [(4,)]
    assert history.identities == [designs.identity((0,)), designs.identity((2,))]
