"""Answers of a quick way to compute, verified by the exact one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscale.training.evaluation.verification import FEW, SAMPLE, Verified, verified_answers

Rows = NDArray[np.float32]
IMAGES, CLASSES = 600, 7


class Ways:
    """Logits of both ways, which say what they were asked for."""

    def __init__(self, quick: Rows, exact: Rows) -> None:
        self.tables = {"quick": quick, "exact": exact}
        self.asked: dict[str, list[int]] = {"quick": [], "exact": []}

    def way(self, name: str) -> Callable[[NDArray[np.int64]], Rows]:
        def logits(positions: NDArray[np.int64]) -> Rows:
            self.asked[name] += positions.tolist()
            return self.tables[name][positions]

        return logits

    def answers(self) -> Verified:
        images = np.arange(len(self.tables["exact"]))
        return verified_answers(images, self.way("quick"), self.way("exact"))

    def assert_exact(self) -> Verified:
        found = self.answers()
        assert found.answers.tolist() == self.tables["exact"].argmax(axis=1).tolist()
        assert found.exact.tolist() == [n in self.asked["exact"] for n in range(len(found.exact))]
        return found


def logits(seed: int, images: int = IMAGES, classes: int = CLASSES) -> Rows:
    return np.random.default_rng(seed).normal(size=(images, classes)).astype(np.float32)


def near(exact: Rows, by: float, seed: int) -> Rows:
    return exact + by * logits(seed, *exact.shape)


@pytest.mark.parametrize("seed", range(20))
def test_answers_are_exact_though_many_are_computed_quickly_alone(seed: int) -> None:
    exact = logits(seed)
    ways = Ways(near(exact, 0.01, seed + 100), exact)
    found = ways.assert_exact()
    assert (ways.tables["quick"].argmax(axis=1) != exact.argmax(axis=1)).any()
    assert found.exact.mean() < 0.25
    assert sorted(ways.asked["quick"]) == list(range(IMAGES))
    assert len(set(ways.asked["exact"])) == len(ways.asked["exact"])


def test_what_all_logits_of_an_image_differ_by_alike_casts_no_doubt() -> None:
    exact = logits(0)
    shifted = exact + np.float32(4) * logits(1)[:, :1]
    assert Ways(shifted, exact).assert_exact().exact.mean() < 0.1


def test_ties_are_answered_as_the_exact_way_does() -> None:
    exact = np.round(logits(2) * 2) / 2  # many an image has two classes in front
    assert ((exact == exact.max(axis=1, keepdims=True)).sum(axis=1) > 1).mean() > 0.1
    Ways(near(exact, 0.02, 3), exact).assert_exact()
    found = Ways(exact, exact).assert_exact()
    tied = (exact == exact.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert found.exact[tied].all()


def test_greater_differences_that_images_show_when_they_are_computed_again_are_heeded() -> None:
    # All margins are 2 and sure but for two kinds. Those of the first are nearly 0, and off by 0.3,
    # more than any that is drawn; by that the second ones are doubtful too, and they are wrong.
    exact = np.zeros((2000, 3), np.float32)
    exact[:, 0] = 2
    quick = exact + 1e-4 * logits(4, 2000, 3)
    odd = np.setdiff1d(np.arange(7, 2000, 40), np.random.default_rng(0).permutation(2000)[:SAMPLE])
    close, wrong = odd[::2], odd[1::2]
    quick[close], exact[close] = [0.2, 0.2001, 0], [0.3, 0, 0]
    quick[wrong], exact[wrong] = [0, 0.4, 0], [0.1, 0, 0]
    found = Ways(quick, exact).assert_exact()
    assert found.exact[odd].all()
    assert not found.exact.all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("way", ["quick", "exact"])
def test_numbers_that_are_not_finite_are_never_trusted(way: str, wrong: float) -> None:
    ways = Ways(near(logits(5), 0.01, 6), logits(5))
    ways.tables[way][::3, 2] = wrong
    ways.assert_exact()


def test_a_quick_way_that_is_far_off_is_left_after_the_sample() -> None:
    ways = Ways(near(logits(7), 3, 8), logits(7))
    assert ways.assert_exact().exact.all()
    assert len(ways.asked["quick"]) == SAMPLE


def test_few_images_and_single_classes_are_computed_exactly() -> None:
    few = Ways(logits(9, FEW), logits(9, FEW))
    assert few.assert_exact().exact.all()
    assert few.asked["quick"] == []
    assert Ways(logits(10, classes=1), logits(11, classes=1)).assert_exact().answers.max() == 0


def test_the_same_images_are_drawn_every_time() -> None:
    exact = logits(12)
    one, other = (Ways(near(exact, 0.01, 13), exact) for _ in range(2))
    one.answers(), other.answers()
    assert one.asked == other.asked
