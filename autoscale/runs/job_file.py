"""A job file: the settings of a command as YAML, which repeat it.

    format: 1
    command: train
    network: efficientnet-b0
    epochs: 30

Each step of a run leaves one, `job.yaml`; one written by hand names what is not as by default.
"""

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autoscale.design.document import Entry, dump, entries
from autoscale.errors import InvalidSetting
from autoscale.runs.store import StepFolder, read_text, write_text
from autoscale.settings.command import Settings, settings_of
from autoscale.settings.setting import Setting

S = TypeVar("S", bound=Settings)

#: In the folder of each step.
JOB = "job.yaml"
_NUMBERED = "job-{}.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a file asks for; a setting that it does not name is as by default."""

    settings: dict[str, Any]  # values by the names of settings
    run: Path | None = None  # the run directory, if it names one


def write_job(step: StepFolder, settings: Settings, *, name: str = JOB) -> None:
    """Leave the job file that repeats a step in its folder.

    Raises:
        StorageProblem: if the disk does not take it.
    """
    write_text(step.file(name), job_text(settings))


def add_job(step: StepFolder, settings: Settings) -> None:
    """Leave a job file beside those of other calls, in a step that several calls make together.

    Raises:
        InvalidSetting: if an earlier one is damaged.
        StorageProblem: if the disk does not take it.
    """
    earlier = recorded_jobs(step, type(settings))
    if settings not in earlier:
        number = len(earlier) + 1
        write_job(step, settings, name=JOB if number == 1 else _NUMBERED.format(number))


def recorded_jobs(step: StepFolder, kind: type[S]) -> list[S]:
    """The settings of every call that made a step, in order; none if an older version made it.

    Raises:
        InvalidSetting: if a file is damaged, or of a newer version.
        StorageProblem: if it cannot be read.
    """
    names = itertools.chain([JOB], map(_NUMBERED.format, itertools.count(2)))
    files = itertools.takewhile(lambda file: file.exists(), map(step.file, names))
    return [kind.read(read_job(file, kind).settings, source=str(file)) for file in files]


def job_text(settings: Settings) -> str:
    """The job file of these settings, without what may not be recorded."""
    return dump({"command": settings.command, **settings.plain()}, in_lines=True)


def recorded_job(step: StepFolder, kind: type[S]) -> S | None:
    """The settings that a step was called with last; None if an older version left no job file.

    Raises:
        InvalidSetting: if the file is damaged, or of a newer version.
        StorageProblem: if it cannot be read.
    """
    file = step.file(JOB)
    return kind.read(read_job(file, kind).settings, source=str(file)) if file.exists() else None


def read_job(file: Path, kind: type[Settings], *, has_run: bool = False) -> Job:
    """Read a job file of the command that takes settings of `kind`.

    Args:
        has_run: whether the command has a run directory, which the file may name as `run` then.

    Raises:
        InvalidSetting: if there is no such file; or `file:line:column: what is wrong`, for the
            first mistake.
        StorageProblem: if it cannot be read.
    """
    found = entries(
        read_text(file, wanted="a job file, such as each step of a run leaves"),
        source=str(file),
        error=InvalidSetting,
    )
    called = found.pop("command", None)
    if called is not None and not called.text:
        raise InvalidSetting(
            f"{called.place}: command must be a command's name, got {called.data!r}; write "
            f"{kind.command}, or leave the line out"
        )
    if called is not None and called.data != kind.command:
        raise InvalidSetting(
            f"{called.place}: this is a job of {called.text}, not of {kind.command}; give it to: "
            f"autoscale {called.text} --config {file}"
        )
    run = found.pop("run", None) if has_run else None
    if run is not None and not run.text:
        raise InvalidSetting(f"{run.place}: run must be a folder's name, got {run.data!r}")
    known = {setting.name: setting for setting in settings_of(kind) if not setting.option.hidden}
    return Job(
        settings={name: _value(known, name, entry) for name, entry in found.items()},
        run=Path(run.text) if run is not None and run.text else None,
    )


def _value(known: dict[str, Setting], name: str, entry: Entry) -> Any:
    setting = known.get(name)
    if setting is None:
        meant = _meant(name, known.values())
        guess = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
        raise InvalidSetting(f"{entry.place}: unknown setting {name}; {guess}")
    given = entry.data
    if entry.text is not None and given is not None:
        if setting.is_text:
            given = entry.text  # as it is written, also where YAML sees a number in it
        elif setting.is_number and isinstance(given, str):  # YAML takes 1e-3 for a text
            given = _number(given)
    try:
        return setting.value(given)
    except InvalidSetting as problem:
        twins = [s.name for s in known.values() if s.flag == setting.flag and s.option.named]
        hint = f"; NAME=VALUE goes under {twins[0]}" if twins and name not in twins else ""
        raise InvalidSetting(f"{entry.place}: {problem}{hint}") from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _meant(name: str, known: Iterable[Setting]) -> str:
    """The setting that an unknown name is close to, or that is typed so; "" if there is none."""
    names = {setting.flag[2:].replace("-", "_"): setting.name for setting in known}
    names |= {real: real for real in names.values()}
    close = difflib.get_close_matches(name.replace("-", "_"), names, n=1)
    return names[close[0]] if close else ""
