"""A finished training."""

from dataclasses import dataclass
from pathlib import Path

from autoscale.metrics.metric import Metric
from autoscale.runs.contents import TrainingResult
from autoscale.training.state import Epoch

STEP = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished training."""

    name: str
    epochs: tuple[Epoch, ...]
    best: Epoch  # on the validation images, by `metric`; the first of equals
    test_accuracy: float | None  # of the best weights; None without test images
    macs: int
    params: int
    weights: Path  # of the best epoch
    metric: Metric | None = None  # decides which epoch is best; None for accuracy
    test_score: float | None = None  # of the metric, of the best weights

    @property
    def result(self) -> TrainingResult:
        """What is kept of it, and told."""
        best, last = self.best.accuracy, self.epochs[-1].accuracy
        metric, score = self.metric, self.best.score
        assert best is not None
        assert last is not None
        return TrainingResult(
            name=self.name,
            epochs=len(self.epochs),
            best_epoch=self.best.number,
            validation_accuracy=best,
            last_validation_accuracy=last,
            test_accuracy=self.test_accuracy,
            macs=self.macs,
            params=self.params,
            metric=None if metric is None else metric.name,
            validation_score=score,
            validation_quality=None if metric is None or score is None else metric.quality(score),
            test_score=self.test_score,
        )
