"""What a training leaves behind after each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from autoscale.listener import Listener, Progress
from autoscale.metrics.metric import Metric
from autoscale.runs.checkpoint import write_snapshot
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.runs.weights import Header, write_weights
from autoscale.tracking.point import Point
from autoscale.tracking.tracking import Tracking
from autoscale.training.state import Epoch, Snapshot, best_epoch

#: The file of a training in progress.
LAST = "last.safetensors"


def metrics_table(epochs: Sequence[Epoch], metric: Metric | None = None) -> pd.DataFrame:
    """One row an epoch, with a column of the metric that decides, if that is not accuracy."""
    called = {"number": "epoch"} | ({} if metric is None else {"score": metric.column})
    return pd.DataFrame([epoch.to_dict() for epoch in epochs]).rename(columns=called)


class Keeper:
    """Writes what a training leaves behind after each epoch."""

    def __init__(
        self,
        step: StepFolder,
        journal: Journal,
        header: Header,
        epochs: int,
        listener: Listener,
        metric: Metric | None = None,
    ) -> None:
        self.best = step.file("best.safetensors")
        self._last, self._metrics = step.file(LAST), step.file("metrics.csv")
        self._journal, self._header = journal, header
        self._epochs, self._listener = epochs, listener
        self._metric = metric
        self._tracking = Tracking({})

    def track(
        self,
        tracking: Tracking,
        done: Sequence[Epoch],
        point: Callable[[Sequence[Epoch]], Point],
    ) -> None:
        """Tell trackers too, of the epochs that are done first; `point` gives that of the last."""
        self._tracking, self._point = tracking, point
        tracking.begin([point(done[:number]) for number in range(1, len(done) + 1)])

    def keep(self, snapshot: Snapshot) -> None:
        """The best weights first: the snapshot then stands for all that is on disk."""
        epoch, best = snapshot.epochs[-1], best_epoch(snapshot.epochs, self._metric)
        if best is epoch:
            state = {name.removeprefix("network."): t for name, t in snapshot.weights.items()}
            header = replace(self._header, accuracy=epoch.accuracy, score=epoch.score)
            write_weights(self.best, state, header)
        write_snapshot(self._last, snapshot)
        write_text(self._metrics, metrics_table(snapshot.epochs, self._metric).to_csv(index=False))
        self._journal.append(epoch.to_dict())
        if self._tracking:
            self._tracking.add(self._point(snapshot.epochs))
        left = self._epochs - epoch.number
        self._listener.progress(
            Progress(
                done=epoch.number,
                total=self._epochs,
                note=f"epoch {epoch.number}: loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.4f}"
                f"{self._told(epoch)}",
                best=f"{self._shown(best)} after epoch {best.number}",
                seconds_left=left * sum(e.seconds for e in snapshot.epochs) / epoch.number,
            )
        )

    def _told(self, epoch: Epoch) -> str:
        """What else than accuracy is said of an epoch."""
        if self._metric is None:
            return ""
        return f", {self._metric.label} {self._shown(epoch)}"

    def _shown(self, epoch: Epoch) -> str:
        """What decides of an epoch."""
        assert epoch.decisive is not None, "every epoch is evaluated"
        if self._metric is None:
            return f"{epoch.decisive:.4f}"
        return self._metric.show(epoch.decisive)
