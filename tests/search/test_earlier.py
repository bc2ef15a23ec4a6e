"""What a search takes from an earlier one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import pytest

from autoscale.cli.app import main
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.search.job import search_baseline
from autoscale.search.designs import Designs
from autoscale.search.knowledge import KnownCosts
from autoscale.search.model.earlier import EarlierSearch
from autoscale.search.model.explanation import (
    Explanation,
    Explanations,
    Observations,
    explanations,
)
from autoscale.search.model.gaussian.stepwise import Stepwise
from autoscale.search.model.predictor import FittedModel, Predictor
from autoscale.search.samplers import make_sampler
from tests.conftest import Heard

SPACES = Path(__file__).parents[2] / "search_spaces"
WIDE = SearchSpace.from_yaml((SPACES / "mbconv-small.yaml").read_text())
TINY = SearchSpace.from_yaml((SPACES / "tiny.yaml").read_text())


def worth(params: Any) -> float:
    """What a made-up table says: each choice helps or hurts, whatever it costs."""
    return sum(np.sin(3.7 * i + 2.1 * len(str(v))) for i, v in enumerate(params.values()))


def earlier(space: SearchSpace, sign: float = 1.0, count: int = 60) -> EarlierSearch:
    designs, rng = Designs.of_space(space), np.random.default_rng(0)
    params = [designs.params_of(designs.random(rng)) for _ in range(count)]
    return EarlierSearch("before", params, [sign * worth(p) for p in params])


def test_an_earlier_search_foretells_what_it_saw() -> None:
    designs, view = Designs.of_space(WIDE), earlier(WIDE)
    rng = np.random.default_rng(1)
    points = [designs.random(rng) for _ in range(50)]
    told = view.of(designs, points)
    truth = [worth(designs.params_of(point)) for point in points]
    assert np.corrcoef(told, truth)[0, 1] > 0.9
    np.testing.assert_array_equal(view.of(designs, points[::-1]), told[::-1])


def test_values_that_the_new_space_lacks_are_the_nearest_it_has() -> None:
    designs = Designs.of_space(TINY)
    params = designs.params_of((0,) * len(designs.axes))
    numeric = next(n for n, v in params.items() if isinstance(v, int | float))
    assert designs.nearest({**params, numeric: params[numeric] + 0.1}) is not None
    assert designs.nearest({n: v for n, v in params.items() if n != numeric}) is None
    assert designs.nearest({**params, numeric: "unheard of"}) is None


def test_a_model_with_a_view_predicts_more_from_few_scores() -> None:
    designs, rng = Designs.of_space(WIDE), np.random.default_rng(3)
    points = [designs.random(rng) for _ in range(8)]
    others = [designs.random(rng) for _ in range(200)]
    truth = np.array([worth(designs.params_of(point)) for point in others])

    def agreement(*views: EarlierSearch) -> float:
        scores = np.array([worth(designs.params_of(point)) for point in points])
        learnt = Predictor(designs, views).learn(points, scores)
        return float(np.corrcoef(learnt.predict(others).mean, truth)[0, 1])

    assert agreement(earlier(WIDE)) > agreement() + 0.1
    # One that is always wrong tells as much as one that is always right.
    assert agreement(earlier(WIDE, -1.0)) > agreement() + 0.1


class RandomView(NamedTuple):
    """A view of random numbers, the same of a design whenever it is asked."""

    seed: int

    def of(self, designs: Designs, points: Any) -> np.ndarray:
        return np.array([np.random.default_rng([self.seed, *p]).normal() for p in points])


def explained(view: Any, count: int = 25) -> FittedModel:
    designs, rng = Designs.of_space(WIDE), np.random.default_rng(3)
    points = [designs.random(rng) for _ in range(count)]
    scores = np.array([worth(designs.params_of(point)) for point in points])
    return Predictor(designs, (view,) if view else ()).learn(points, scores)


def test_a_view_has_a_part_where_it_agrees_and_none_where_it_does_not() -> None:
    plain = explained(None)
    fresh = [plain.predictor.designs.random(np.random.default_rng(9)) for _ in range(5)]
    useless = explained(RandomView(4))
    np.testing.assert_allclose(
        useless.predict(fresh).mean, plain.predict(fresh).mean, rtol=1e-6, atol=1e-6
    )
    told = explained(earlier(WIDE))
    assert np.abs(told.predict(fresh).mean - plain.predict(fresh).mean).max() > 0.1


def test_trust_is_the_probability_of_the_explanation_with_views() -> None:
    theta = np.zeros(9)
    with_views, without = Explanation(theta, 1.0, 10.0), Explanation(theta, 2.0, 10.0 + np.log(6))
    both = Explanations(with_views, without)
    # Six times as probable, where one number more to fit makes anything twice so.
    assert both.trust == pytest.approx(0.75)
    assert both.at(0.7) is with_views
    assert both.at(0.8) is without
    assert Explanations(with_views).at(1.0) is with_views


def test_explanations_are_compared_on_the_scale_of_the_scores() -> None:
    designs, rng = Designs.of_space(WIDE), np.random.default_rng(3)
    points = [designs.random(rng) for _ in range(20)]
    scores = np.array([worth(designs.params_of(point)) for point in points])
    inputs = Predictor(designs).inputs(points)

    def loss(factor: float) -> float:
        tried = Observations(points, factor * scores, np.ones(20), np.zeros(20))
        return Stepwise(explanations(inputs, tried)).result().best.loss

    # Ten times as far apart, each score is a tenth as probable, whatever the ceiling.
    assert loss(10.0) - loss(1.0) == pytest.approx(20 * np.log(10))


def test_a_search_draws_how_far_a_view_must_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    learn = Predictor.learn

    def watched(self: Predictor, *told: Any) -> FittedModel:
        asked.append(told[4])
        return learn(self, *told)

    monkeypatch.setattr(Predictor, "learn", watched)

    def drawn(**known: Any) -> list[float]:
        asked.clear()
        best_after(14, **known)
        return list(asked)

    first = drawn(views={0: (RandomView(4),)})
    assert len(set(first)) == len(first) > 5
    assert 0 < min(first) < 0.5 < max(first) < 1
    assert drawn(views={0: (RandomView(4),)}) == first
    assert set(drawn()) == {0.0}


def best_after(trials: int, **known: Any) -> float:
    study = optuna.create_study(
        direction="maximize",
        sampler=make_sampler("guided", seed=5, space=WIDE, known=KnownCosts(**known)),
    )
    for _ in range(trials):
        trial = study.ask()
        WIDE.suggest(trial)
        study.tell(trial, worth(trial.params))
    return study.best_value


def test_a_search_that_knows_an_earlier_one_is_ahead() -> None:
    assert best_after(10, views={0: (earlier(WIDE),)}) > best_after(10)


def test_a_view_of_what_is_known_is_refused() -> None:
    def macs(design: Any) -> float:
        return float(cost(design).macs)

    with pytest.raises(InvalidSetting, match="objective 1 is known"):
        KnownCosts(values={1: macs}, views={1: (earlier(TINY),)})


# The job


def searched(run: Path, photos: Path, **options: Any) -> Any:
    asked = {"trials": 10, "epochs": 1, "kernels": "none", "space": "tiny", "resolution": 16}
    return search_baseline(run, data=str(photos), **(asked | options))


def test_a_search_learns_from_another_and_goes_on_as_it_began(photos: Path, tmp_path: Path) -> None:
    before, once, twice = (tmp_path / name for name in ("before", "once", "twice"))
    searched(before, photos, seed=7, sampler="random")
    heard = Heard()
    whole = searched(once, photos, learn_from=(str(before),), listener=heard)
    assert any("before foretells scores here with tau" in line for line in heard.notices)
    searched(twice, photos, learn_from=(str(before),), trials=6)
    searched(before, photos, seed=7, sampler="random", trials=12)  # which changes nothing more
    resumed = searched(twice, photos, learn_from=(str(before),))
    assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]
    with pytest.raises(RunConflict, match="--learn-from"):
        searched(twice, photos)


def test_the_order_of_the_earlier_searches_does_not_matter_to_one_that_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    places = [tmp_path / "first", tmp_path / "second"]
    for seed, place in enumerate(places):
        searched(place, photos, seed=seed, sampler="random", trials=8)
    run, (one, other) = tmp_path / "run", map(str, places)
    begun = searched(run, photos, learn_from=(one, other), trials=2)
    again = searched(run, photos, learn_from=(other, one), trials=3)
    assert [t.params for t in again.trials[:2]] == [t.params for t in begun.trials]


def test_what_cannot_be_learned_from_is_said_in_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tmp_path / "before"
    searched(before, photos, trials=3)
    new = str(tmp_path / "new")
    common = ["search-baseline", "--data", str(photos), "--space", "tiny", "--run", new]
    for asked, said in (
        (["--learn-from", str(tmp_path / "nothing")], "nothing"),
        (["--learn-from", str(before)], "at least 8 are needed"),
        (["--learn-from", str(before), "--sampler", "random"], "--sampler guided"),
        (["--learn-from", new], "cannot learn from itself"),
    ):
        assert main([*common, *asked]) in (1, 2)
        told = capsys.readouterr().err
        assert said in told.replace("\n", " ")
        assert "Traceback" not in told


def test_another_space_with_the_same_choices_is_kin(photos: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    searched(before, photos, sampler="random")
    found = searched(tmp_path / "new", photos, resolution=24, learn_from=(str(before),), trials=4)
    assert len(found.trials) >= 4
    kept = json.loads((tmp_path / "new" / "search" / "earlier.json").read_text())
    assert len(kept["runs"][str(before.resolve())]) >= 8


def test_a_view_says_the_same_of_other_designs_objects() -> None:
    view = earlier(TINY)
    one, other = Designs.of_space(TINY), replace(Designs.of_space(TINY))
    points = [one.random(np.random.default_rng(2)) for _ in range(5)]
    np.testing.assert_array_equal(view.of(one, points), view.of(other, points))
