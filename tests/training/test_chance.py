"""A network that learned nothing is told apart from one that did."""

from __future__ import annotations

import pytest

from autoscale.training.chance import chance_warning

CLASSES = ("a", "b")


@pytest.mark.parametrize(
    ("accuracy", "labels", "said"),
    [
        (0.75, [0] * 75 + [1] * 25, "accuracy 0.7500 is no better than always saying 'a' (0.7500 "),
        (0.50, [1] * 75 + [0] * 25, "accuracy 0.5000 is no better than always saying 'b' (0.7500 "),
        (0.55, [0, 1] * 50, "is within the noise of always saying 'a' (0.5000 of 100 images)"),
        (0.65, [0, 1] * 50, None),
        (0.55, [0, 1] * 5000, None),
        (1.00, [0] * 7, "of images of one class, for which always saying 'a' (1.0000"),
        (0.0, [], None),
    ],
)
def test_an_accuracy_that_one_answer_reaches_is_told(
    accuracy: float, labels: list[int], said: str | None
) -> None:
    warning = chance_warning(accuracy, labels, CLASSES, part="test")
    assert (warning is None) == (said is None)
    if warning is not None and said is not None:
        assert warning.startswith("test accuracy ")
        assert said in warning
