"""Settings of a command as a frozen value, each written once: as a field.

    @dataclass(frozen=True, kw_only=True)
    class SearchSettings(ImageSettings, WorkerSettings):
        command: ClassVar[str] = "search-baseline"
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
import numbers
import os
import shlex
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from autoscale.errors import InvalidSetting

S = TypeVar("S", bound="Settings")
R = TypeVar("R")
#: Of names of settings.
Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a field says of itself besides its name, type and default."""

    help: str  # `{choices}` in it stands for the names of `choices`
    flag: str = ""  # instead of the field's name with strokes
    named: bool = False  # texts NAME=VALUE; others behind the same flag are another field's
    parse: Callable[[str], Any] | None = None  # a text as people write it -> the value
    show: Callable[[Any], str] = str  # the value as a text that `parse` takes
    choices: Callable[[], Iterable[str]] | None = None  # the names of a registry, asked when needed
    complete: Callable[[str], list[str]] | None = None  # completes a beginning; else of `choices`
    least: float | None = None  # smallest number allowed
    above: float | None = None  # a number that it must exceed
    # Whether a resumed run must have been begun with the same value; or the name of the fact on
    # record that must be the same in its place: the recipe that a name came to.
    binds: bool | str = True
    recorded: bool = True  # whether a run may keep it: not a password, not what is only shown
    # Whether it names a file or folder of the user's, if it names anything there; where that is
    # only a part of the text, a function that makes a change to that part.
    place: bool | Callable[[str, Callable[[str], str]], str] = False
    panel: str = ""  # heading of the help under which it stands
    envvar: str = ""  # environment variable that gives it where nothing else does
    argument: bool = False  # given without a flag
    hidden: bool = False  # from Python only: on the command line other fields say it


def option(default: Any = MISSING, help: str = "", **rest: Any) -> Any:
    """A field of settings; `rest` are the other fields of `Option`."""
    return _field(default, Option(help=help, **rest))


def begun(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """A shell's completions out of names, which are asked for when a key is pressed."""
    return lambda incomplete: [name for name in names() if name.startswith(incomplete)]


_SAME: Any = object()


def again(kind: type[Settings], name: str, default: Any = _SAME, **changes: Any) -> Any:
    """The field `name` of another class of settings.

    Args:
        default: another default.
        changes: fields of `Option` that differ.
    """
    setting = next(setting for setting in settings_of(kind) if setting.name == name)
    option = dataclasses.replace(setting.option, **changes)
    return _field(setting.default if default is _SAME else default, option)


def _field(default: Any, option: Option) -> Any:
    metadata = {"option": option}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


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
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is MISSING

    @property
    def many(self) -> bool:
        """Whether it is a sequence of any length, given one by one."""
        return get_args(_present(self.kind))[1:] == (...,) and self.option.parse is None

    @property
    def element(self) -> Any:
        """The type of one of many."""
        return get_args(_present(self.kind))[0]

    @property
    def is_text(self) -> bool:
        """Whether people write it as a text, though a number may stand in it."""
        kind = _present(self.kind)
        return self.option.parse is not None or kind in (str, Path) or get_origin(kind) is Literal

    @property
    def is_number(self) -> bool:
        """Whether it is a number that may have a fraction."""
        return self.option.parse is None and _present(self.kind) is float

    @property
    def choices(self) -> Iterable[str] | None:
        """The names to choose from: those of a registry, or of the type if that is a `Literal`."""
        if self.option.choices is not None:
            return self.option.choices()
        kind = _present(self.kind)
        return get_args(kind) if get_origin(kind) is Literal else None

    @property
    def help(self) -> str:
        """What it is, with the names to choose from."""
        if self.choices is None:
            return self.option.help
        return self.option.help.replace("{choices}", in_words(self.choices))

    def value(self, given: Any) -> Any:
        """The value from plain data, or from a text as people write it.

        Raises:
            InvalidSetting: if it is not of the type, or not allowed.
        """
        if isinstance(given, str) and self.option.parse is not None:
            given = self.option.parse(given)
        value = _converted(given, self.kind)
        if not _fits(value, self.kind):
            raise InvalidSetting(f"{self.name} must be {_named(self.kind)}, got {given!r}")
        for one in value if self.many else (value,):
            if one is not None:
                self._require_allowed(one)
        return value

    def plain(self, value: Any) -> Any:
        """The value as plain data, which `value` reads back."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if self.option.parse is not None:
            return self.option.show(value)
        if isinstance(value, tuple):
            return [str(one) if isinstance(one, Path) else one for one in value]
        return str(value)

    def texts(self, value: Any) -> list[str]:
        """What is typed for the value: one text, or one for each of many."""
        if self.many:
            return [str(one) for one in value]
        return [self.option.show(value)]

    def words(self, value: Any) -> list[str]:
        """The words of a command line that give the value; none for None, or none of many."""
        if value is None:
            return []
        if isinstance(value, bool):
            return [self.flag if value else f"--no-{self.flag[2:]}"]
        texts = self.texts(value)
        if self.option.argument:
            return texts
        # What begins with a stroke would be read as an option.
        pairs = ([f"{self.flag}={t}"] if t.startswith("-") else [self.flag, t] for t in texts)
        return [word for pair in pairs for word in pair]

    def said(self, value: Any) -> str:
        """The value as a sentence has it: as it is typed, `--seed 0`; or `no --seed`."""
        if self.option.hidden:
            return f"{self.name}={value}"
        return shlex.join(self.words(value)) or f"no {self.flag}"

    def placed(self, value: Any, change: Callable[[str], str]) -> Any:
        """The value with `change` made to each file or folder that it names."""
        place = self.option.place
        texts = [place(t, change) if callable(place) else change(t) for t in self.texts(value)]
        return texts if self.many else texts[0]

    def _require_allowed(self, value: Any) -> None:
        least, above = self.option.least, self.option.above
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidSetting(f"{self.name} must be a finite number, got {value}")
        if least is not None and value < least:
            raise InvalidSetting(f"{self.name} must be at least {least:g}, got {value}")
        if above is not None and not value > above:
            raise InvalidSetting(f"{self.name} must be above {above:g}, got {value:g}")
        if self.choices is not None and value not in (names := tuple(self.choices)):
            called = self.name.removesuffix("s" if self.many else "").replace("_", " ")
            raise InvalidSetting(f"no {called} {value!r}; choose from {', '.join(names)}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every command's settings; refuses what the fields do not allow.

    Values are taken as `Setting.value` takes them: texts as people write them, a number without a
    fraction for a float, a list for a tuple, a path for a text.

    Raises:
        InvalidSetting: naming the setting, the value and the limit.
    """

    #: The command that takes them; "" for a group that several share.
    command: ClassVar[str] = ""
    #: Groups of settings of which at most one may be given, and what is typed goes before a job
    #: file's; `name=KEY` stands for a text KEY=VALUE of the list `name`. Base classes add theirs.
    exclusive: ClassVar[Groups] = ()
    #: Settings that say something only where another one, which each names, is not as by default.
    needs: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            value = setting.value(getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)
        self._refuse_together()

    def _refuse_together(self) -> None:
        """Refuse settings that exclude each other, or lack the one without which they are idle."""
        known, values = {one.name: one for one in settings_of(type(self))}, vars(self)
        for group in _groups(type(self)):
            given = [text for member in group for text in _given(known, member, values)]
            if len(given) > 1:
                raise InvalidSetting(f"{' and '.join(given)} exclude each other; give one of them")
        for name, other in _needs(type(self)).items():
            if _given(known, name, values) and not _given(known, other, values):
                setting, lacking = known[name], known[other]
                raise InvalidSetting(
                    f"{setting.said(values[name])} needs {_not_default(lacking)}; give that too, "
                    f"or leave {setting.flag} out"
                )

    @classmethod
    def read(cls, data: Mapping[str, Any], *, source: str = "settings") -> Self:
        """From plain data, such as `plain` gives.

        Raises:
            InvalidSetting: for a setting that there is not, that is missing, or a value that is
                none.
        """
        known = {setting.name: setting for setting in settings_of(cls)}
        for name in data:
            if name not in known:
                raise InvalidSetting(
                    f"{source}: unknown setting {name!r}; one of {', '.join(known)}"
                )
        for name, setting in known.items():
            if setting.required and name not in data:
                raise InvalidSetting(f"{source}: {name} is missing; give it")
        return cls(**data)

    def but(self, **changes: Any) -> Self:
        """The same but for `changes`; what these exclude is as by default."""
        values = {setting.name: getattr(self, setting.name) for setting in settings_of(type(self))}
        return type(self)(**joined(type(self), values, changes))

    def plain(self) -> dict[str, Any]:
        """All that may be recorded, as plain data."""
        return {
            setting.name: setting.plain(getattr(self, setting.name))
            for setting in settings_of(type(self))
            if setting.option.recorded
        }

    def changed(self) -> dict[str, Any]:
        """Of the plain data what is not as by default."""
        return {
            setting.name: setting.plain(getattr(self, setting.name))
            for setting in settings_of(type(self))
            if setting.option.recorded and getattr(self, setting.name) != setting.default
        }

    def binding(self) -> dict[str, Any]:
        """Of the plain data what a resumed run must share."""
        binds = {s.name for s in settings_of(type(self)) if s.option.binds is True}
        return {name: value for name, value in self.plain().items() if name in binds}

    def without_places(self) -> Self:
        """The same, but files and folders go by their names, without the folders above them."""
        changes = {}
        for setting in settings_of(type(self)):
            value = getattr(self, setting.name)
            if not setting.option.place or value is None:
                continue
            changes[setting.name] = setting.placed(value, lambda text: Path(text).name or text)
        return dataclasses.replace(self, **changes)

    def arguments(self) -> list[str]:
        """The words of the command line that give these settings again, those on record."""
        changed = self.changed()
        options: list[str] = []
        places: list[str] = []
        for setting in settings_of(type(self)):
            if setting.name not in changed:
                continue
            words = setting.words(getattr(self, setting.name))
            (places if setting.option.argument else options).extend(words)
        if any(text.startswith("-") for text in places):
            return [*options, "--", *places]
        return [*places, *options]


def command_line(settings: Settings, *, run: Path | str | None = None) -> str:
    """The command that gives these settings, as a shell takes it."""
    where = [] if run is None else ["--run", str(run)]
    return shlex.join(["autoscale", settings.command, *where, *settings.arguments()])


def settings_of(kind: type[Settings]) -> tuple[Setting, ...]:
    """The fields of a class of settings, in the order in which its help lists them.

    Those under no heading come first, then heading by heading; what must be given goes before.

    Raises:
        TypeError: for a field that is no `option`, or that the command line could not set back.
    """
    found: tuple[Setting, ...] = _settings_of(typing.cast(Any, kind))
    return found


@functools.cache
def _settings_of(kind: Any) -> tuple[Setting, ...]:
    hints = get_type_hints(kind)
    found = []
    for one in fields(kind):
        if "option" not in one.metadata:
            raise TypeError(f"{kind.__name__}.{one.name} must be an option(...)")
        setting = Setting(
            name=one.name, kind=hints[one.name], default=one.default, option=one.metadata["option"]
        )
        if setting.many and setting.default not in ((), MISSING):
            raise TypeError(f"{kind.__name__}.{one.name} holds many: its default must be ()")
        if type(None) in get_args(setting.kind) and setting.default is not None:
            raise TypeError(f"{kind.__name__}.{one.name} may be None: that must be its default")
        found.append(setting)
    members = {name.partition("=")[0] for group in _groups(kind) for name in group}
    needed = {name for pair in _needs(kind).items() for name in pair}
    if unknown := (members | needed) - {setting.name for setting in found}:
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    panels = list(dict.fromkeys(["", *(setting.option.panel for setting in found)]))
    return tuple(sorted(found, key=lambda s: (panels.index(s.option.panel), not s.required)))


def joined(
    kind: type[Settings], weaker: Mapping[str, Any], stronger: Mapping[str, Any]
) -> dict[str, Any]:
    """Values of settings from two places, such as a job file and what is typed beside it.

    Args:
        kind: the class of the settings.
        weaker: gives way where the other has the same setting or one that excludes it, or takes
            back the one without which it is idle.
        stronger: kept as it is.
    """
    known = {setting.name: setting for setting in settings_of(kind)}
    kept = {name: value for name, value in weaker.items() if name not in stronger}
    for group in _groups(kind):
        if any(_given(known, member, stronger) for member in group):
            for member in group:
                _leave_out(kept, member)
    for name, other in _needs(kind).items():
        if other in stronger and not _given(known, other, stronger):
            kept.pop(name, None)
    return {**kept, **stronger}


def _groups(kind: type[Settings]) -> Groups:
    """The groups of settings that exclude each other, those of base classes too."""
    own = (base for base in kind.__mro__ if "exclusive" in vars(base))
    return tuple(group for base in own for group in vars(base)["exclusive"])


def _needs(kind: type[Settings]) -> dict[str, str]:
    own = (base for base in kind.__mro__ if "needs" in vars(base))
    return {name: other for base in own for name, other in vars(base)["needs"].items()}


def _given(known: Mapping[str, Setting], member: str, values: Mapping[str, Any]) -> list[str]:
    """What of a group's member is among the values and not as by default, as it is typed."""
    name, _, key = member.partition("=")
    setting = known[name]
    value = values.get(name, setting.default)
    if key:
        return [setting.said([text]) for text in value or () if _key(text) == key]
    return [] if value == setting.default else [setting.said(value)]


def _leave_out(values: dict[str, Any], member: str) -> None:
    """Take a group's member out of the values."""
    name, _, key = member.partition("=")
    if key and name in values:
        values[name] = [text for text in values[name] if _key(text) != key]
    else:
        values.pop(name, None)


def _key(text: str) -> str:
    return text.rpartition("=")[0].strip()


def _not_default(setting: Setting) -> str:
    """How a setting is typed that is not as by default, as far as that can be said."""
    if isinstance(setting.default, bool):
        return setting.said(not setting.default)
    others = [name for name in setting.choices or () if name != setting.default]
    return f"{setting.flag} {in_words(others)}" if others else setting.flag


def in_words(names: Iterable[str]) -> str:
    """a, b or c; of a mapping with a text of what each name means: "a: this. b: that" instead."""
    if isinstance(names, Mapping) and all(isinstance(told, str) for told in names.values()):
        return " ".join(f"{name}: {meaning}." for name, meaning in names.items()).rstrip(".")
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def takes_settings(
    kind: type[S],
    *,
    places: Sequence[str] = (),
    gone: Mapping[str, type[Settings]] | None = None,
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Let a function `work(..., settings)` take the fields of its settings as arguments too.

        search_baseline("runs/photos", SearchSettings(data="photos", trials=30))
        search_baseline("runs/photos", data="photos", trials=30)
        search_baseline("runs/photos", settings, trials=60)  # the same but for trials

    The docstring of the function tells the fields too.

    Args:
        kind: the class of its settings.
        places: what may be given without a name, in this order, if no value of settings is given;
            by default the fields that the command line takes without a flag, then the function's
            own: `train("efficientnet-b0", "runs/b0", data="photos")`.
        gone: names under which older versions took some of the fields as one value.

    Raises:
        TypeError: for an argument that neither the function nor its settings have.
    """

    def decorate(work: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.signature(work)
        own = [p for p in signature.parameters.values() if p.name != "settings"]
        first = [p.name for p in own if p.kind is not p.KEYWORD_ONLY]
        leading = [s.name for s in settings_of(kind) if s.option.argument]
        by_place = [*places] or [*leading, *first]

        @functools.wraps(work)
        def call(*values: Any, **given: Any) -> R:
            base = next((value for value in values if isinstance(value, kind)), None)
            base = given.pop("settings", base)
            others = [value for value in values if not isinstance(value, kind)]
            given = _by_name(work, others, by_place if base is None else first, given)
            _refuse_groups(work, given, gone or {})
            return work(**{"settings": _asked(work, kind, base, given), **given})

        parameters = _parameters(settings_of(kind), own, by_place)
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        told = _told(settings_of(kind))
        call.__doc__ = f"{inspect.getdoc(work) or ''}\n\nSettings:\n{told}"
        return call

    return decorate


def _by_name(
    work: Callable[..., Any], values: Sequence[Any], names: Sequence[str], given: dict[str, Any]
) -> dict[str, Any]:
    """All arguments by their names."""
    if len(values) > len(names):
        raise TypeError(f"{work.__name__} takes {', '.join(names)} by place, no more")
    by_place = dict(zip(names, values, strict=False))
    if twice := [name for name in by_place if name in given]:
        raise TypeError(f"{work.__name__} got {twice[0]} twice")
    return {**by_place, **given}


def _refuse_groups(
    work: Callable[..., Any], given: Mapping[str, Any], gone: Mapping[str, type[Settings]]
) -> None:
    """Say what goes in place of an argument that older versions took."""
    for name, group in gone.items():
        if name in given:
            fields_ = ", ".join(f"{setting.name}=" for setting in settings_of(group))
            raise TypeError(f"{work.__name__} takes no {name}= but its fields: {fields_}")


def _asked(work: Callable[..., Any], kind: type[S], base: S | None, given: dict[str, Any]) -> S:
    """The settings, for which those among the arguments are taken out of them."""
    known = settings_of(kind)
    asked = {setting.name: given.pop(setting.name) for setting in known if setting.name in given}
    if base is not None:
        return base.but(**asked)
    if missing := [s.name for s in known if s.required and s.name not in asked]:
        raise TypeError(f"{work.__name__} needs {', '.join(missing)}")
    return kind(**asked)


def _parameters(
    known: Iterable[Setting], own: Sequence[inspect.Parameter], by_place: Sequence[str]
) -> list[inspect.Parameter]:
    """Of a function with fields of settings for arguments."""
    words = [
        inspect.Parameter(
            setting.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if setting.required else setting.default,
            annotation=setting.kind,
        )
        for setting in known
    ]
    places = {
        word.name: word.replace(kind=word.POSITIONAL_OR_KEYWORD)
        for word in [*words, *own]
        if word.name in by_place
    }
    named = [
        word.replace(kind=word.KEYWORD_ONLY) for word in [*words, *own] if word.name not in places
    ]
    whole = inspect.Parameter(
        "settings", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Settings
    )
    return [*(places[name] for name in by_place), whole, *named]


def _told(known: Iterable[Setting]) -> str:
    """The settings as a section of a docstring."""
    lines = ["    settings: all of these as one value, in which those given too are changed."]
    for setting in known:
        end = (
            ""
            if setting.required or setting.default in (None, ())
            else (f" By default {setting.default}.")
        )
        lines.append(f"    {setting.name}: {setting.help}{end}".replace("\\[", "["))
    wrapped = (
        textwrap.wrap(line, 100, subsequent_indent=" " * 8, break_on_hyphens=False)
        for line in lines
    )
    return "\n".join(line for part in wrapped for line in part)


def _present(kind: Any) -> Any:
    """A type without None."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [one for one in get_args(kind) if one is not type(None)]
        return others[0] if len(others) == 1 else kind
    return kind


def _converted(given: Any, kind: Any) -> Any:
    """What is given in the form of the type, where that loses nothing; else as it is."""
    kind = _present(kind)
    if get_origin(kind) is tuple and isinstance(given, Sequence) and not isinstance(given, str):
        inner = get_args(kind)
        kinds = inner[:1] * len(given) if inner[1:] == (...,) else inner
        if len(kinds) != len(given):
            return given
        return tuple(_converted(one, own) for one, own in zip(given, kinds, strict=True))
    if isinstance(given, bool):
        return given
    if kind is int and isinstance(given, numbers.Integral):
        return int(given)
    if kind is float and isinstance(given, numbers.Real):
        return float(given)
    if kind is str and isinstance(given, os.PathLike):
        return os.fspath(given)
    return Path(given) if kind is Path and isinstance(given, str) else given


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if not isinstance(value, tuple):
            return False
        kinds = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if kind in (int, float) and isinstance(value, bool):
        return False
    if get_origin(kind) is Literal:
        return isinstance(value, str)
    return kind is Any or isinstance(value, get_origin(kind) or kind)


def _named(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    kind = _present(kind)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        of = names.get(inner[0], "value")
        return f"a list, each {of}" if inner[1:] == (...,) else f"{len(inner)} values, each {of}"
    return names.get(kind, "a file's name" if kind is Path else "a text")
