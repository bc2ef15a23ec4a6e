from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.errors import InvalidSetting
from autoscale.training.recipe import RECIPES, Recipe

progresses = st.floats(0, 1, exclude_max=True)
recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 300),
    batch_size=st.integers(2, 512),
    learning_rate=st.floats(1e-5, 10),
    warmup=st.floats(0, 1),
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
)


@given(recipes, progresses)
def test_the_learning_rate_never_leaves_zero_to_peak(recipe: Recipe, progress: float) -> None:
    assert 0 <= recipe.learning_rate_at(progress) <= recipe.learning_rate


@given(recipes, progresses, progresses)
def test_the_learning_rate_climbs_in_the_warm_up_and_never_after_it(
    recipe: Recipe, one: float, other: float
) -> None:
    early, late = sorted((one, other))
    slack = 1e-9 * recipe.learning_rate
    if late < recipe.warmup:
        assert recipe.learning_rate_at(early) <= recipe.learning_rate_at(late) + slack
    elif early >= recipe.warmup:
        assert recipe.learning_rate_at(early) + slack >= recipe.learning_rate_at(late)


@given(recipes, progresses, st.integers(1, 300))
def test_the_schedule_does_not_depend_on_the_number_of_epochs(
    recipe: Recipe, progress: float, epochs: int
) -> None:
    longer = replace(recipe, epochs=epochs)
    assert longer.learning_rate_at(progress) == recipe.learning_rate_at(progress)


def test_known_points_of_each_schedule() -> None:
    recipe = Recipe(epochs=1, batch_size=2, learning_rate=2.0, warmup=0.2)
    assert recipe.learning_rate_at(0) == 0
    assert recipe.learning_rate_at(0.1) == pytest.approx(1)
    assert recipe.learning_rate_at(0.2) == pytest.approx(2)
    assert recipe.learning_rate_at(0.6) == pytest.approx(1)
    assert replace(recipe, schedule="linear").learning_rate_at(0.8) == pytest.approx(0.5)
    assert replace(recipe, schedule="constant").learning_rate_at(0.99) == 2


@pytest.mark.parametrize("progress", [-0.01, 1, 1.5, float("nan")])
def test_progress_outside_the_training_is_refused(progress: float) -> None:
    with pytest.raises(InvalidSetting, match=r"progress must be a fraction .* got"):
        RECIPES["proxy"].learning_rate_at(progress)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", 1),
        ("batch_size", True),
        ("optimizer", "lion"),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "fast"),
        ("momentum", 1),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("warmup", 1.1),
        ("schedule", "step"),
        ("label_smoothing", 1),
        ("ema_decay", 1),
        ("crop", "centre"),
        ("crop_scale_min", 0),
        ("crop_scale_min", 1.2),
        ("shift", 0.5),
        ("flip", 1),
        ("start_size", 0),
        ("start_size", 1.1),
        ("start_regularisation", 0),
        ("start_regularisation", 1.1),
        ("layer_decay", 0),
        ("layer_decay", 1.5),
        ("head_first", 1),
        ("patience", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidSetting, match=f"^{field} must be .*; got"):
        replace(RECIPES["proxy"], **{field: value})


def test_images_grow_in_four_steps_and_end_whole() -> None:
    growing = replace(RECIPES["small-images"], epochs=8, start_size=0.5)
    sides = [growing.resolution_at(epoch, 32) for epoch in range(1, 9)]
    assert sides == [16, 16, 20, 20, 28, 28, 32, 32]
    assert replace(growing, epochs=1).resolution_at(1, 32) == 32
    assert growing.resolution_at(1, 5) == 4


@given(st.integers(1, 50), st.integers(1, 300), st.floats(0.01, 1))
def test_images_never_shrink_and_are_whole_in_the_last_epoch(
    epochs: int, resolution: int, start: float
) -> None:
    recipe = replace(RECIPES["proxy"], epochs=epochs, start_size=start)
    sides = [recipe.resolution_at(epoch, resolution) for epoch in range(1, epochs + 1)]
    assert sides == sorted(sides)
    assert sides[0] >= 1
    assert sides[-1] == resolution
    assert replace(recipe, start_size=1.0).resolution_at(1, resolution) == resolution


def test_regularisation_grows_in_the_steps_of_the_images() -> None:
    recipe = replace(RECIPES["proxy"], epochs=8, start_regularisation=0.4)
    shares = [recipe.regularisation_at(epoch) for epoch in range(1, 9)]
    assert shares == pytest.approx([0.4, 0.4, 0.6, 0.6, 0.8, 0.8, 1, 1])
    assert shares[-1] == 1
    assert replace(recipe, start_regularisation=1.0).regularisation_at(1) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    recipe = RECIPES[name]
    assert Recipe(**json.loads(json.dumps(asdict(recipe)))) == recipe


def test_a_recipe_cannot_change() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPES["proxy"].epochs = 3  # type: ignore[misc]
