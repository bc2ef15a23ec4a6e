"""The settings of a command: read from plain data, recorded, compared, typed again."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_type_hints

from autoscale.errors import InvalidSetting
from autoscale.settings.option import in_words
from autoscale.settings.setting import Setting

#: Of names of settings.
Groups = tuple[tuple[str, ...], ...]


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
    #: Settings that change something in what another one, which each names, chooses: what a job
    #: file says of them goes where the other is typed.
    founded_on: ClassVar[Mapping[str, str]] = {}

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
        stronger: kept as it is, with what the other says under further keys of a keyed setting.
    """
    known = {setting.name: setting for setting in settings_of(kind)}
    keyed = {name for name, setting in known.items() if setting.option.keyed}
    kept = {n: value for n, value in weaker.items() if n in keyed or n not in stronger}
    for group in _groups(kind):
        if any(_given(known, member, stronger) for member in group):
            for member in group:
                _leave_out(kept, member)
    for name, other in _named_by_each(kind, "founded_on").items():
        if other in stronger:
            kept.pop(name, None)
    for name, other in _needs(kind).items():
        if other in stronger and not _given(known, other, stronger):
            kept.pop(name, None)
    return {**kept, **stronger, **_keyed(known, kept, stronger)}


def _groups(kind: type[Settings]) -> Groups:
    """The groups of settings that exclude each other, those of base classes too."""
    own = (base for base in kind.__mro__ if "exclusive" in vars(base))
    return tuple(group for base in own for group in vars(base)["exclusive"])


def _needs(kind: type[Settings]) -> dict[str, str]:
    return _named_by_each(kind, "needs")


def _named_by_each(kind: type[Settings], attribute: str) -> dict[str, str]:
    """A class's mapping of settings to others, with those of base classes."""
    own = (base for base in kind.__mro__ if attribute in vars(base))
    return {name: other for base in own for name, other in vars(base)[attribute].items()}


def _keyed(
    known: Mapping[str, Setting], weaker: Mapping[str, Any], stronger: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Of settings in both, texts KEY=VALUE: the weaker's whose keys the stronger lacks, and its."""
    found = {}
    for name in {*weaker} & {*stronger}:
        if known[name].option.keyed:
            keys = {_key(text) for text in stronger[name]}
            others = [text for text in weaker[name] if _key(text) not in keys]
            found[name] = [*others, *stronger[name]]
    return found


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
