"""The law of the error: what every draw of it keeps to, and which trainings are made for it."""

from __future__ import annotations

import re
from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from autoscale.advice.design import PER_CLASS, Point, points
from autoscale.advice.law import AXES, Amounts, Law
from autoscale.errors import InvalidSetting

BASE = Amounts(images=2000, epochs=4, macs=1e6, pixels=32)
EVERY = [
    BASE,
    replace(BASE, images=500),
    replace(BASE, epochs=8),
    replace(BASE, macs=2e6),
    replace(BASE, pixels=45),
]
LAW = Law.of(BASE, EVERY, ceiling=0.9)
factors = st.floats(0.1, 10)
seeds = st.integers(0, 10**6)


def drawn(seed: int, law: Law = LAW) -> np.ndarray:
    return law.drawn(20, np.random.default_rng(seed))


@given(seeds, factors, factors, factors, factors)
@examples(max_examples=30)
def test_errors_lie_between_0_and_the_ceiling(
    seed: int, images: float, epochs: float, macs: float, pixels: float
) -> None:
    other = Amounts(images=2000 * images, epochs=4 * epochs, macs=1e6 * macs, pixels=32 * pixels)
    errors = LAW.errors(drawn(seed), LAW.positions([BASE, other]))
    assert errors.shape == (20, 2)
    assert ((errors >= 0) & (errors <= 0.9)).all()


@given(seeds, st.floats(1.01, 100), st.sampled_from(["images", "epochs", "macs", "pixels"]))
@examples(max_examples=30)
def test_with_powers_above_0_more_never_harms(seed: int, factor: float, name: str) -> None:
    parameters = drawn(seed)
    parameters[:, 1:5] = np.abs(parameters[:, 1:5])
    more = replace(BASE, **{name: getattr(BASE, name) * factor})
    errors = LAW.errors(parameters, LAW.positions([BASE, more]))
    assert (errors[:, 1] <= errors[:, 0] + 1e-12).all()


@given(seeds)
@examples(max_examples=10)
def test_at_the_base_powers_and_bends_do_not_matter(seed: int) -> None:
    parameters = drawn(seed)
    other = parameters.copy()
    other[:, 1:-1] += 1
    place = LAW.positions([BASE])
    assert np.allclose(LAW.errors(parameters, place), LAW.errors(other, place))


def test_without_a_bend_it_is_a_power_far_below_the_ceiling() -> None:
    law = Law.of(BASE, [BASE, replace(BASE, images=500)], ceiling=1.0)
    parameters = np.array([[log(0.01), 0.5, 0.0, -5.0]])
    four = law.positions([BASE, replace(BASE, images=8000)])
    assert law.errors(parameters, four) == pytest.approx(np.array([[0.01, 0.005]]), rel=1e-2)
    assert law.powers(parameters).tolist() == [[0.5]]


@given(seeds, st.floats(0.1, 10), st.floats(0.1, 10))
@examples(max_examples=20)
def test_without_bends_what_one_amount_takes_off_the_odds_is_the_same_beside_all_others(
    seed: int, images: float, macs: float
) -> None:
    parameters = drawn(seed)
    parameters[:, 5:9] = 0
    more, larger = replace(BASE, images=2000 * images), replace(BASE, macs=1e6 * macs)
    both = replace(more, macs=1e6 * macs)
    errors = LAW.errors(parameters, LAW.positions([BASE, more, larger, both]))
    odds = np.log(errors / (0.9 - errors))
    assert odds[:, 3] - odds[:, 2] == pytest.approx(odds[:, 1] - odds[:, 0], abs=1e-6)


def test_returns_that_diminish_leave_a_rest() -> None:
    law = Law.of(BASE, [BASE, replace(BASE, images=500)], ceiling=1.0)
    parameters = np.array([[log(0.01), 0.2, -0.1, -5.0]])
    far = law.positions([replace(BASE, images=1e300)])
    assert law.errors(parameters, far)[0, 0] == pytest.approx(0.01 * np.exp(-2), rel=1e-2)


def test_only_what_trainings_vary_is_an_axis() -> None:
    assert LAW.axes == AXES
    assert Law.of(BASE, [BASE, replace(BASE, images=500)]).axes == ("images",)
    assert Law.of(BASE, [BASE, replace(BASE, epochs=8)]).axes == ("seen",)
    assert Law.of(BASE, [BASE]).axes == ()


def test_draws_from_the_prior_are_what_is_said_of_it() -> None:
    parameters = LAW.drawn(4000, np.random.default_rng(0))
    below = (LAW.powers(parameters) < 0).mean()
    assert below == pytest.approx(0.159, abs=0.01)
    powers = np.quantile(LAW.powers(parameters), [0.05, 0.95])
    assert powers == pytest.approx([-0.13, 0.53], abs=0.01)
    ends = np.quantile(LAW.errors(parameters, LAW.positions([BASE])) / 0.9, [0.05, 0.95])
    assert ends == pytest.approx([0.08, 0.92], abs=0.01)


@pytest.mark.parametrize("name", ["images", "epochs", "macs", "pixels"])
def test_an_amount_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name} must be above 0, got 0$"):
        replace(BASE, **{name: 0})


def test_a_ceiling_that_is_no_error_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="ceiling"):
        Law(base=BASE, axes=AXES, ceiling=1.5)


# Which trainings


@given(st.integers(64, 10**5), st.integers(1, 50), st.integers(2, 8), st.integers(1, 3))
@examples(max_examples=40)
def test_points_are_different_and_begin_with_the_base(
    images: int, epochs: int, classes: int, halvings: int
) -> None:
    if images // 2**halvings < PER_CLASS * classes:
        with pytest.raises(InvalidSetting) as refused:
            points(images, epochs, classes=classes, halvings=halvings, sizes=["base"])
        way = str(refused.value).rpartition("; ")[2]
        if fewer := re.search(r"give --halvings (\d)", way):
            assert points(images, epochs, classes=classes, halvings=int(fewer[1]), sizes=["base"])
        enough = re.search(r"add images up to ([\d,]+)", way)
        assert enough is not None
        more = int(enough[1].replace(",", ""))
        assert points(more, epochs, classes=classes, halvings=halvings, sizes=["base"])
        return
    found = points(images, epochs, classes=classes, halvings=halvings, sizes=["larger", "base"])
    assert found[0] == Point(images=images, epochs=epochs)
    assert len(set(found)) == len(found)
    assert min(point.images for point in found) == images // 2**halvings
    assert {point.size for point in found} == {"base", "larger"}


def test_too_few_images_are_refused_with_a_way_out() -> None:
    with pytest.raises(InvalidSetting) as refused:
        points(100, 4, classes=10, halvings=2, sizes=["base"])
    assert str(refused.value) == (
        "100 training images halved twice leave 25, and 10 classes need 40, 4 each; give "
        "--halvings 1, or add images up to 160"
    )
