"""Fronts and hypervolumes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.errors import InvalidSetting
from autoscale.search.pareto import Front, front, hypervolume, knee

# Few values, so that ties are common.
VALUE = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("inf")])
DIRECTION = st.sampled_from(["minimize", "maximize"])


@st.composite
def clouds(draw, least=1, most=3):
    directions = draw(st.lists(DIRECTION, min_size=least, max_size=most))
    points = draw(st.lists(st.tuples(*[VALUE] * len(directions)), max_size=25))
    return points, directions


def dominates(one, other, directions):
    pairs = [
        (a, b) if d == "minimize" else (b, a)
        for a, b, d in zip(one, other, directions, strict=True)
    ]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(clouds())
def test_the_front_is_exactly_the_points_that_nothing_dominates(cloud):
    points, directions = cloud
    expected = [
        i for i, p in enumerate(points) if not any(dominates(q, p, directions) for q in points)
    ]
    assert front(points, directions).tolist() == expected


@given(clouds(), st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_change_the_front(cloud, rng):
    points, directions = cloud
    shuffled = list(points)
    rng.shuffle(shuffled)
    one = sorted(points[i] for i in front(points, directions))
    assert one == sorted(shuffled[i] for i in front(shuffled, directions))


@given(clouds())
def test_adding_one_by_one_gives_the_same_front(cloud):
    points, directions = cloud
    growing: Front[int] = Front(directions)
    for number, point in enumerate(points):
        growing.add(point, number)
    assert sorted(growing) == front(points, directions).tolist()
    assert [tuple(p) for p in growing.points] == [points[i] for i in growing.items]


def test_add_says_whether_the_point_is_on_the_front():
    growing: Front[str] = Front(["maximize", "minimize"])
    assert growing.add((1.0, 1.0), "first")
    assert not growing.add((0.5, 2.0), "worse")
    assert growing.add((1.0, 1.0), "equal")
    assert growing.add((2.0, 0.5), "better")
    assert growing.items == ("better",)


def test_equal_points_all_belong_to_the_front():
    assert front([(1, 2), (1, 2), (2, 1), (2, 2)], ["minimize"] * 2).tolist() == [0, 1, 2]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12),
    st.tuples(DIRECTION, DIRECTION),
)
def test_the_hypervolume_counts_the_dominated_unit_squares(points, directions):
    reference = [6 if d == "minimize" else 0 for d in directions]
    cells = 0
    for x in range(6):
        for y in range(6):
            centre = (x + 0.5, y + 0.5)
            cells += any(dominates(p, centre, directions) for p in points)
    assert hypervolume(points, reference, directions) == cells


def test_the_hypervolume_of_nothing_is_zero():
    assert hypervolume([], (1.0, 1.0)) == 0.0
    assert hypervolume([(2.0, 0.0)], (1.0, 1.0)) == 0.0


def test_a_front_that_grew_point_by_point_is_that_of_all_ten_thousand():
    points = np.random.default_rng(0).random((10_000, 2))
    growing: Front[int] = Front(["maximize", "minimize"])
    for number, point in enumerate(points):
        growing.add(point, number)
    assert sorted(growing) == sorted(front(points, ["maximize", "minimize"]))


@pytest.mark.parametrize(
    ("points", "directions", "message"),
    [
        ([(1.0, 2.0)], ["minimize"], r"shape \(points, 1\)"),
        ([(1.0, float("nan"))], ["minimize", "minimize"], "NaN"),
        ([(1.0,)], ["down"], "minimize or maximize"),
        ([(1.0,)], "minimize", "list"),
        ([], [], "list"),
    ],
)
def test_what_cannot_be_compared_is_refused(points, directions, message):
    with pytest.raises(InvalidSetting, match=message):
        front(points, directions)


def test_a_hypervolume_needs_two_objectives():
    with pytest.raises(InvalidSetting, match="two objectives"):
        hypervolume([(1.0, 1.0, 1.0)], (2.0, 2.0, 2.0), ["minimize"] * 3)


# The knee


def test_the_knee_is_where_the_front_bends_most():
    points = [(0.5, 1.0), (0.8, 1.5), (0.85, 3.0), (0.88, 5.0), (0.4, 4.0)]
    assert knee(points, ["maximize", "minimize"]) == 1
    assert knee([(-a, -c) for a, c in points], ["minimize", "maximize"]) == 1


def test_a_straight_front_has_its_knee_at_its_best_end():
    assert knee([(1.0, 1.0), (3.0, 3.0), (2.0, 2.0)], ["maximize", "minimize"]) == 1
    assert knee([(1.0, 2.0)], ["maximize", "minimize"]) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25))
def test_the_knee_is_on_the_front_whatever_the_units(points):
    found = knee(points, ["minimize", "minimize"])
    assert found in front(points, ["minimize", "minimize"])
    other_units = [(1000 * a, 0.25 * b) for a, b in points]
    assert points[knee(other_units, ["minimize", "minimize"])] == points[found]


def test_a_knee_needs_points_and_two_objectives():
    with pytest.raises(InvalidSetting, match="no points"):
        knee([], ["minimize", "minimize"])
    with pytest.raises(InvalidSetting, match="two objectives"):
        knee([(1.0,)], ["minimize"])
