"""The time that a job may take, over all its calls, and what still fits into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil

from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.clock import Clock
from autoscale.listener import Listener, Progress, duration
from autoscale.runs.store import Journal, StepFolder

#: Share of the time that is left over, since speeds vary; and by which a training may exceed it
#: before it is ended.
RESERVE = GRACE = 0.05
#: How much longer than the longest so far the next training is taken to be.
SLACK = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a job has to end. It listens to the job, so that its clock is noted.

    Only the clock decides how much is done, never what is done: so many trainings or epochs, asked
    for by their number, give the same bits.
    """

    hours: float  # of all calls together
    clock: Clock

    @classmethod
    def of(
        cls, hours: float | None, step: StepFolder, listener: Listener, *, since: float
    ) -> Deadline | None:
        """That of a step of a run; None without hours.

        Args:
            since: when this call began, by `clock.now`.
        """
        if hours is None:
            return None
        journal = Journal(step.file("clock.jsonl"))
        return cls(hours=hours, clock=Clock(journal, listener, since=since))

    @property
    def left(self) -> float:
        """Seconds in which a training may be planned; below 0 if there are none."""
        return (1 - RESERVE) * self._seconds - self.clock.spent

    def late(self, seconds: float) -> bool:
        """Whether what takes so many seconds would end too late, although it was planned."""
        return self.clock.spent + seconds > (1 + GRACE) * self._seconds

    def require(self, seconds: float, what: str) -> None:
        """Ask whether there is time for the least that makes an answer.

        Raises:
            InvalidSetting: if not; the message says how many hours would do.
        """
        if seconds > self.left:
            least = (self.clock.spent + seconds) / (1 - RESERVE) / 3600
            raise InvalidSetting(
                f"--hours {self.hours:g} leaves {duration(max(0.0, self.left))}, and {what} would "
                f"take about {duration(seconds)}; "
                f"give --hours {ceil(1000 * least) / 1000:g} or more"
            )

    def notice(self, text: str) -> None:
        """A line worth reading."""
        self.clock.notice(text, note=self.clock.worked)

    def progress(self, progress: Progress) -> None:
        """One more piece of work is done."""
        left = progress.seconds_left
        if left is not None:
            progress = replace(progress, seconds_left=max(0.0, min(left, self.left)))
        self.clock.progress(progress)

    @property
    def _seconds(self) -> float:
        return 3600 * self.hours


@contextmanager
def noted(deadline: Deadline | None) -> Iterator[None]:
    """Keep the time that is spent within; nothing without a deadline.

    The time of a call that is refused, or finds everything done, is not kept: nothing was trained.
    """
    idle = False
    try:
        yield
        idle = True
    except (InvalidSetting, RunConflict):
        idle = True
        raise
    finally:
        if deadline is not None and (deadline.clock.worked or not idle):
            deadline.clock.note()


class Pacer:
    """Says before each training whether it ends in time, if it takes as long as the longest so far.

    Attributes:
        ended: whether there was no time for the training that was asked about last.

    Args:
        measured: seconds of trainings that were done before.
        estimate: seconds of one, for as long as none is measured.
        behind: trainings that come after all others, one after the other.
    """

    def __init__(
        self,
        deadline: Deadline,
        *,
        measured: Sequence[float] = (),
        estimate: float = 0.0,
        behind: int = 0,
    ) -> None:
        self.ended = False
        self._deadline, self._estimate, self._behind = deadline, estimate, behind
        self._longest = max(measured, default=0.0)

    @classmethod
    def of(
        cls,
        deadline: Deadline | None,
        *,
        measured: Sequence[float],
        estimate: Callable[[], float],
        least: int = 1,
        behind: int = 0,
    ) -> Pacer | None:
        """As the arguments say; None without a deadline.

        Args:
            estimate: asked where nothing was measured before.
            least: trainings without which there is no answer, one after the other.

        Raises:
            InvalidSetting: if nothing was measured, and there is no time for these.
        """
        if deadline is None:
            return None
        if measured:
            return cls(deadline, measured=measured, behind=behind)
        each = estimate()
        what = "one training" if least + behind == 1 else f"{least + behind} trainings in a row"
        deadline.require((least + behind) * each, what)
        return cls(deadline, estimate=each, behind=behind)

    def took(self, seconds: float) -> None:
        """One more training took so long."""
        self._longest = max(self._longest, seconds)

    def allows(self) -> bool:
        """Whether one more may begin."""
        each = SLACK * self._longest if self._longest else self._estimate
        self.ended = (1 + self._behind) * each > self._deadline.left
        return not self.ended
