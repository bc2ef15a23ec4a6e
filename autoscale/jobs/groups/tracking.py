"""Settings of the trackers that are told what a job does."""

from __future__ import annotations

from dataclasses import dataclass

from autoscale.settings.command import Settings
from autoscale.settings.option import in_words, option
from autoscale.tracking.names import TRACKERS


@dataclass(frozen=True, kw_only=True)
class TrackingSettings(Settings):
    """Who is told what a job does, besides the files that it leaves."""

    track: tuple[str, ...] = option(
        (),
        f"Tell {in_words(TRACKERS)} too (needs the extra of that name), within the run directory "
        "unless your environment names a server; as often as you like.",
        choices=lambda: TRACKERS,
        binds=False,
    )


@dataclass(frozen=True, kw_only=True)
class CurveSettings(TrackingSettings):
    """The same, with the spelling of commands that drew curves before there were trackers."""

    tensorboard: bool = option(
        False, "As --track tensorboard.", binds=False, recorded=False, unlisted=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tensorboard:
            asked = tuple(dict.fromkeys((*self.track, "tensorboard")))
            object.__setattr__(self, "track", asked)
            object.__setattr__(self, "tensorboard", False)  # one name on record
