"""How a network does on images as its logits are turned into answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.answering.answering import Answering
from autoscale.metrics.calibration import CalibrationError
from autoscale.metrics.intervals import Interval, wilson
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.probabilities import LogLoss
from autoscale.models.inference.measured import Measured, measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of some things, counted."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, at `metrics.intervals.LEVEL`; None of nothing."""
        if not self.of:
            return None
        low, high = wilson(self.count, self.of)
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        interval = None if self.interval is None else list(self.interval)
        return {"count": self.count, "of": self.of, "share": self.value, "interval": interval}

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return "-"
        return _with_interval(self.value, self.interval)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How a network does on images of its classes, by some way of turning logits into answers."""

    answering: Answering
    log_loss: Measured  # of the probabilities by that way
    calibration_error: Measured
    coverage: Share  # images that are answered, of all
    right: Share  # those answered right, of the answered
    lost: Share  # those that get no answer, of all whose largest logit is that of their class

    @property
    def figures(self) -> dict[str, str]:
        """Each figure with its interval, as people read it."""
        return {
            "log loss": _with_interval(self.log_loss.value, self.log_loss.interval),
            "calibration error": _with_interval(
                self.calibration_error.value, self.calibration_error.interval
            ),
            "share answered": str(self.coverage),
            "accuracy of the answered": str(self.right),
            "right ones refused": str(self.lost),
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "temperature": self.answering.temperature,
            "none_below": self.answering.none_below,
            "log_loss": self.log_loss.value,
            "log_loss_interval": list(self.log_loss.interval),
            "calibration_error": self.calibration_error.value,
            "calibration_error_interval": list(self.calibration_error.interval),
            "coverage": self.coverage.to_dict(),
            "accuracy_of_answered": self.right.to_dict(),
            "right_refused": self.lost.to_dict(),
        }


def answered(predictions: Predictions, answering: Answering, *, seed: int = 0) -> Answered:
    """How a network does by that way.

    Args:
        predictions: two images at least.
        seed: of the bootstrap.
    """
    scaled = Predictions(predictions.labels, answering.scaled(predictions.logits))
    loss, error = measured([LogLoss(), CalibrationError()], scaled, seed=seed)
    refused, right = answering.refuses(largest_probabilities(scaled.logits)), scaled.right
    return Answered(
        answering=answering,
        log_loss=loss,
        calibration_error=error,
        coverage=Share(count=int((~refused).sum()), of=len(scaled)),
        right=Share(count=int((right & ~refused).sum()), of=int((~refused).sum())),
        lost=Share(count=int((right & refused).sum()), of=int(right.sum())),
    )


def largest_probabilities(scaled: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of each row the largest of the softmax, (N,).

    Raises:
        InvalidSetting: if a number is not finite.
    """
    nothing = np.zeros(len(scaled), np.int64)
    return np.exp(Predictions(nothing, scaled).log_probabilities.max(axis=1))


def _with_interval(value: float, interval: Interval) -> str:
    low, high = interval
    return f"{value:.4f} ({low:.4f} to {high:.4f})"
