"""Settings of a command as a frozen value, each written once: as a field.

    @dataclass(frozen=True, kw_only=True)
    class SearchSettings(ImageSettings, WorkerSettings):
        trials: int = option(20, "Networks to train.", least=1, binds=False)
        max_macs: int | None = option(None, "Never train more.", flag="--max-flops", parse=...)

From its fields come the options of the command line, the arguments of the Python function, the
record of a run, the check on resuming, the command that repeats it and the job file. Groups that
several commands share are classes to inherit from; a command's settings are flat.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import shlex
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from autoscale.errors import InvalidSetting

S = TypeVar("S", bound="Settings")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a field says of itself besides its name, type and default."""

    help: str
    flag: str = ""  # instead of the field's name with strokes
    parse: Callable[[str], Any] | None = None  # a text as people write it -> the value
    show: Callable[[Any], str] = str  # the value as a text that `parse` takes
    choices: Callable[[], Iterable[str]] | None = None  # the names of a registry, asked when needed
    complete: Callable[[str], list[str]] | None = None  # a shell's completions of a beginning
    least: float | None = None  # smallest number allowed
    binds: bool = True  # whether a resumed run must have been begun with the same value
    recorded: bool = True  # whether a run may keep it: not a password, not what is only shown
    panel: str = ""  # heading of the help under which it stands
    envvar: str = ""  # environment variable that gives it where nothing else does
    argument: bool = False  # given without a flag


def option(
    default: Any = MISSING,
    help: str = "",  # as typer's own word
    **rest: typing.Unpack[_Rest],
) -> Any:
    """A field of settings; `rest` are the fields of `Option`."""
    metadata = {"option": Option(help=help, **rest)}
    return (
        field(metadata=metadata)
        if default is MISSING
        else field(default=default, metadata=metadata)
    )


class _Rest(typing.TypedDict, total=False):
    flag: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str]
    choices: Callable[[], Iterable[str]]
    complete: Callable[[str], list[str]]
    least: float
    binds: bool
    recorded: bool
    panel: str
    envvar: str
    argument: bool


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of settings, with all that is known of it."""

    name: str
    kind: Any  # its type
    default: Any  # `dataclasses.MISSING` if there is none
    option: Option

    @property
    def flag(self) -> str:
        """As the command line has it: --max-flops."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def many(self) -> bool:
        """Whether it is a sequence of values."""
        return get_origin(_present(self.kind)) is tuple

    def value(self, given: Any) -> Any:
        """The value from plain data or from a text as people write it.

        Raises:
            InvalidSetting: if it is not of the type.
        """
        if isinstance(given, str) and self.option.parse is not None:
            return self.option.parse(given)
        if isinstance(given, str) and _present(self.kind) is Path:
            return Path(given)
        if self.many and isinstance(given, Sequence) and not isinstance(given, str):
            return tuple(given)
        if _present(self.kind) is float and type(given) is int:
            given = float(given)
        if not _fits(given, self.kind):
            raise InvalidSetting(f"{self.name} must be {_named(self.kind)}, got {given!r}")
        return given

    def plain(self, value: Any) -> Any:
        """The value as plain data, which `value` reads back."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if self.option.parse is not None:
            return self.option.show(value)
        return [*value] if self.many else str(value)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every command's settings; refuses what the fields do not allow.

    Raises:
        InvalidSetting: naming the setting, the value and the limit.
    """

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            value, least = getattr(self, setting.name), setting.option.least
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidSetting(f"{setting.name} must be a finite number, got {value}")
            if least is not None and value is not None and value < least:
                raise InvalidSetting(f"{setting.name} must be at least {least:g}, got {value}")
            if setting.option.choices is not None and value is not None:
                names = tuple(setting.option.choices())
                if value not in names:
                    raise InvalidSetting(
                        f"unknown {setting.name.replace('_', ' ')} {value!r}; "
                        f"one of {', '.join(names)}"
                    )

    @classmethod
    def read(cls, data: Mapping[str, Any], *, source: str = "settings") -> Self:
        """From plain data, such as `plain` gives or a job file holds.

        Raises:
            InvalidSetting: for a setting that there is not, or a value that is none.
        """
        known = {setting.name: setting for setting in settings_of(cls)}
        for name in data:
            if name not in known:
                raise InvalidSetting(
                    f"{source}: unknown setting {name!r}; one of {', '.join(known)}"
                )
        return cls(**{name: known[name].value(given) for name, given in data.items()})

    def plain(self) -> dict[str, Any]:
        """All that may be recorded, as plain data."""
        return {
            setting.name: setting.plain(getattr(self, setting.name))
            for setting in settings_of(type(self))
            if setting.option.recorded
        }

    def changed(self) -> dict[str, Any]:
        """Of the plain data what is not as by default."""
        defaults = {
            s.name: s.plain(s.default) for s in settings_of(type(self)) if s.default is not MISSING
        }
        return {
            name: value
            for name, value in self.plain().items()
            if name not in defaults or value != defaults[name]
        }

    def binding(self) -> dict[str, Any]:
        """Of the plain data what a resumed run must share."""
        binds = {s.name for s in settings_of(type(self)) if s.option.binds}
        return {name: value for name, value in self.plain().items() if name in binds}

    def arguments(self) -> list[str]:
        """The words of the command line that give these settings again."""
        changed = self.changed()
        words: list[str] = []
        positional: list[str] = []
        for setting in settings_of(type(self)):
            if setting.name not in changed:
                continue
            value = changed[setting.name]
            if isinstance(value, bool):
                words.append(setting.flag if value else f"--no-{setting.flag.removeprefix('--')}")
                continue
            texts = [str(one) for one in (value if setting.many else [value])]
            if setting.option.argument:
                positional += texts
                continue
            for text in texts:
                # A text that begins with a stroke would be read as an option.
                stroke = text.startswith("-")
                words += [f"{setting.flag}={text}"] if stroke else [setting.flag, text]
        if any(text.startswith("-") for text in positional):
            words.append("--")
        return [*positional, *words] if "--" not in words else [*words, *positional]


def command_line(command: str, settings: Settings, *, run: Path | str | None = None) -> str:
    """The command that gives these settings, as a shell takes it."""
    where = [] if run is None else ["--run", str(run)]
    return shlex.join(["autoscale", command, *where, *settings.arguments()])


def settings_of(kind: type[Settings]) -> tuple[Setting, ...]:
    """The fields of a class of settings, in the order in which its help lists them."""
    found: tuple[Setting, ...] = _settings_of(typing.cast(Any, kind))
    return found


@functools.cache
def _settings_of(kind: Any) -> tuple[Setting, ...]:
    hints = get_type_hints(kind)
    return tuple(
        Setting(
            name=found.name,
            kind=hints[found.name],
            default=found.default,
            option=found.metadata["option"],
        )
        for found in fields(kind)
    )


def takes_settings(kind: type[S]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Let a function `work(..., settings)` take the fields of its settings as arguments too.

        search_baseline("runs/photos", SearchSettings(data="photos", trials=30))
        search_baseline("runs/photos", data="photos", trials=30)
        search_baseline("runs/photos", settings, trials=60)  # the same but for trials

    Without a value of settings, fields that the command line takes without a flag come first:
    `train("efficientnet-b0", "runs/b0", data="photos")`.

    Raises:
        TypeError: for an argument that neither the function nor its settings have.
    """

    def decorate(work: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.signature(work)
        own = [p for p in signature.parameters.values() if p.name != "settings"]
        first = [p.name for p in own if p.kind is not p.KEYWORD_ONLY]
        known = {setting.name: setting for setting in settings_of(kind)}
        leading = [setting.name for setting in known.values() if setting.option.argument]

        @functools.wraps(work)
        def call(*values: Any, **given: Any) -> R:
            base = next((value for value in values if isinstance(value, kind)), None)
            base = given.pop("settings", base)
            places = first if base is not None else [*leading, *first]
            others = [value for value in values if value is not base]
            if len(others) > len(places):
                raise TypeError(f"{work.__name__} takes {', '.join(places)} by place, no more")
            for name, value in zip(places, others, strict=False):
                if name in given:
                    raise TypeError(f"{work.__name__} got {name} twice")
                given[name] = value
            asked = {name: known[name].value(given.pop(name)) for name in known if name in given}
            if base is None:
                if missing := [
                    n for n, s in known.items() if s.default is MISSING and n not in asked
                ]:
                    raise TypeError(f"{work.__name__} needs {', '.join(missing)}")
                base = kind(**asked)
            elif asked:
                base = dataclasses.replace(base, **asked)
            return work(settings=base, **given)

        words = [
            inspect.Parameter(
                setting.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD
                if setting.name in leading
                else inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if setting.default is MISSING else setting.default,
                annotation=setting.kind,
            )
            for setting in known.values()
        ]
        parameters = [
            *(word for word in words if word.name in leading),
            *(p for p in own if p.kind is not p.KEYWORD_ONLY),
            *(word for word in words if word.name not in leading),
            *(p for p in own if p.kind is p.KEYWORD_ONLY),
        ]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return call

    return decorate


def _present(kind: Any) -> Any:
    """A type without None."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [one for one in get_args(kind) if one is not type(None)]
        return others[0] if len(others) == 1 else kind
    return kind


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple)
    if kind in (int, float) and isinstance(value, bool):
        return False
    return kind is Any or isinstance(value, get_origin(kind) or kind)


def _named(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(_present(kind), str(_present(kind)))
