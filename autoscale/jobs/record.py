"""What a step of a run records of the command that makes it, and what a repeated one must share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoscale.jobs.groups.images import place_of
from autoscale.listener import Listener
from autoscale.network.kernels.precision import instructions
from autoscale.runs.job_file import add_job, write_job
from autoscale.runs.store import Journal, StepFolder
from autoscale.settings.command import Settings, settings_of

#: What changes the last digits of a score, so that a change on resuming is told.
_TOLD = ("device", "threads", "processor")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Settings, and what was found when they were carried out.

    Of the settings those that bind must be the same to go on, and so must all facts; a fact stands
    in for the setting of its name. The others may change from call to call.
    """

    settings: Settings
    facts: Mapping[str, Any]  # plain data that decide the results, such as the images' fingerprint
    notes: Mapping[str, Any] = field(default_factory=dict)  # further plain data that may change
    several: bool = False  # whether calls with other settings make the step together

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
        notes = {**free, **self.notes, "processor": instructions()}
        work = folder.begin(
            {**binding, **self.facts},
            notes=notes,
            journal=journal,
            instead_of=instead_of,
            known=settings_of(type(settings)),
            read=read,
        )
        (add_job if self.several else write_job)(folder, settings)
        if earlier is not None and journal.read():
            _tell_changes(folder.name, earlier["notes"], notes, listener)
        return work

    def _placed(self) -> Settings:
        """The settings with files and folders in a form that holds in every working directory."""
        changes = {}
        for setting in settings_of(type(self.settings)):
            value = getattr(self.settings, setting.name)
            if setting.name == "data" and value is not None:
                changes[setting.name] = place_of(value)
            elif setting.option.place and isinstance(value, str | tuple):
                changes[setting.name] = setting.placed(value, _resolved)
        return replace(self.settings, **changes)


def _resolved(text: str) -> str:
    file = Path(text)  # or a name of ours
    return str(file.resolve()) if file.exists() else text


def _tell_changes(
    step: str, earlier: Mapping[str, Any], now: Mapping[str, Any], listener: Listener
) -> None:
    """Say what changes the last digits of a step that goes on; older versions noted less."""
    for name in _TOLD:
        before, asked = earlier.get(name), now.get(name)
        if before is not None and asked is not None and before != asked:
            listener.notice(
                f"warning: the {step} was begun with {name} {before} and goes on with {asked}; "
                "scores may differ in their last digits"
            )
