"""What a training leaves behind after each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import pandas as pd

from autoscale.listener import Listener, Progress
from autoscale.runs.checkpoint import write_snapshot
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.runs.tensorboard import Curves, Point
from autoscale.runs.weights import Header, write_weights
from autoscale.training.state import Epoch, Snapshot, best_epoch

#: The file of a training in progress.
LAST = "last.safetensors"


def metrics_table(epochs: Sequence[Epoch]) -> pd.DataFrame:
    """One row an epoch."""
    return pd.DataFrame([asdict(epoch) for epoch in epochs]).rename(columns={"number": "epoch"})


class Keeper:
    """Writes what a training leaves behind after each epoch."""

    def __init__(
        self, step: StepFolder, journal: Journal, header: Header, epochs: int, listener: Listener
    ) -> None:
        self.best = step.file("best.safetensors")
        self._last, self._metrics = step.file(LAST), step.file("metrics.csv")
        self._journal, self._header = journal, header
        self._epochs, self._listener = epochs, listener
        self._curves: Curves | None = None

    def draw(self, done: Sequence[Epoch], point: Callable[[Sequence[Epoch]], Point]) -> None:
        """Write curves too, from the epochs that are done; `point` gives that of the last one."""
        self._point = point
        points = [point(done[:number]) for number in range(1, len(done) + 1)]
        self._curves = Curves(self._last.parent, points)

    def keep(self, snapshot: Snapshot) -> None:
        """The best weights first: the snapshot then stands for all that is on disk."""
        epoch, best = snapshot.epochs[-1], best_epoch(snapshot.epochs)
        if best is epoch:
            state = {name.removeprefix("network."): t for name, t in snapshot.weights.items()}
            write_weights(self.best, state, replace(self._header, accuracy=epoch.accuracy))
        write_snapshot(self._last, snapshot)
        write_text(self._metrics, metrics_table(snapshot.epochs).to_csv(index=False))
        self._journal.append(asdict(epoch))
        if self._curves:
            self._curves.add(self._point(snapshot.epochs))
        left = self._epochs - epoch.number
        self._listener.progress(
            Progress(
                done=epoch.number,
                total=self._epochs,
                note=f"epoch {epoch.number}: loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.4f}",
                best=f"{best.accuracy:.4f} after epoch {best.number}",
                seconds_left=left * sum(e.seconds for e in snapshot.epochs) / epoch.number,
            )
        )
