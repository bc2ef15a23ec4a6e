"""What a step of a run records of the command that makes it, and what a repeated one must share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from autoscale.jobs.groups import place_of
from autoscale.listener import Listener
from autoscale.runs.store import Journal, StepFolder
from autoscale.settings import Settings

#: What changes the last digits of a score, so that a change on resuming is told.
_TOLD = ("device", "threads")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Settings, and what was found when they were carried out.

    Of the settings those that bind must be the same to go on, and so must all facts; a fact stands
    in for the setting of its name. The others may change from call to call.
    """

    settings: Settings
    facts: Mapping[str, Any]  # plain data that decide the results, such as the images' fingerprint
    notes: Mapping[str, Any]  # further plain data that may change

    def begin(
        self,
        folder: StepFolder,
        journal: Journal,
        listener: Listener,
        *,
        read: Callable[[Journal], Any],
        instead_of: Mapping[str, Any] | None = None,
    ) -> Any:
        """Claim the folder for this, or go on with earlier work; see `StepFolder.begin`.

        The folder then holds the job file that repeats the command.
        """
        earlier = folder.read()
        settings = self._placed()
        binding = settings.binding()
        free = {name: value for name, value in settings.plain().items() if name not in binding}
        work = folder.begin(
            {**binding, **self.facts},
            notes={**free, **self.notes},
            journal=journal,
            instead_of=instead_of,
            read=read,
        )
        if earlier is not None and journal.read():
            self._tell(earlier["notes"], free, folder.name, listener)
        return work

    def _placed(self) -> Settings:
        """The settings with the images' place in a form that holds in every working directory."""
        data = getattr(self.settings, "data", None)
        if data is None:
            return self.settings
        return replace(self.settings, **{"data": place_of(data)})

    def _tell(
        self, earlier: Mapping[str, Any], now: Mapping[str, Any], name: str, listener: Listener
    ) -> None:
        for setting in _TOLD:
            before, asked = earlier.get(setting), now.get(setting)
            if before is not None and asked is not None and before != asked:
                listener.notice(
                    f"warning: the {name} was begun with {setting} {before} and goes on with "
                    f"{asked}; scores may differ in their last digits"
                )
