"""One setting: an option with its name, type and default; its values read, said and refused."""

from __future__ import annotations

import math
import numbers
import os
import shlex
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from autoscale.errors import InvalidSetting
from autoscale.settings.option import Option, in_words


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
