"""What a listener hears of the trainings of folds: one job with one estimate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscale.datasets.pictures.folds import Fold
from autoscale.jobs.clock import now
from autoscale.listener import Listener, Progress


@dataclass(slots=True, kw_only=True)
class Told:
    """What was told so far, over all folds."""

    notices: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)  # of folds that were trained in this call


@dataclass(slots=True, kw_only=True)
class FoldListener:
    """Hears one fold's training and passes it on as a part of the whole.

    What the images and the start of an earlier fold made to be said in the same words is not said
    again; what a training says is.
    """

    listener: Listener
    fold: Fold
    told: Told
    started: float = field(default_factory=now)
    trains: bool = False  # whether images and start are read

    def notice(self, text: str) -> None:
        """A line worth reading, with the fold that it is of."""
        if self.trains or text not in self.told.notices:
            self.told.notices.add(text)
            self.listener.notice(f"fold {self.fold.number} of {self.fold.of}: {text}")

    def progress(self, progress: Progress) -> None:
        """One more epoch, among those of all folds; folds to come take as long as those before."""
        number, of = self.fold.number, self.fold.of
        self.listener.progress(
            replace(
                progress,
                done=(number - 1) * progress.total + progress.done,
                total=of * progress.total,
                note=f"fold {number} of {of}, {progress.note}",
                seconds_left=(progress.seconds_left or 0.0) + (of - number) * self._whole(progress),
            )
        )

    def _whole(self, progress: Progress) -> float:
        """Seconds that a whole fold takes, about."""
        if self.told.seconds:
            return sum(self.told.seconds) / len(self.told.seconds)
        return now() - self.started + (progress.seconds_left or 0.0)
