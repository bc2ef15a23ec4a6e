"""The setting of how long a job may take."""

from __future__ import annotations

from dataclasses import dataclass

from autoscale.settings.command import Settings
from autoscale.settings.option import option


@dataclass(frozen=True, kw_only=True)
class TimeSettings(Settings):
    """How long a job may take, over all calls that are given it."""

    hours: float | None = option(
        None,
        "Most that this may take, earlier calls with --hours included: no training is begun that "
        "would not end in time, and the answer is that of those that did. A larger number goes on.",
        above=0,
        binds=False,
    )
