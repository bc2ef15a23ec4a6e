"""An option: a field of settings, and what it says of itself besides its name, type and default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a field says of itself besides its name, type and default."""

    help: str  # `{choices}` in it stands for the names of `choices`
    flag: str = ""  # instead of the field's name with strokes
    named: bool = False  # texts NAME=VALUE; others behind the same flag are another field's
    keyed: bool = False  # texts NAME=VALUE, each a setting of its own where two places are joined
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
    about: str = ""  # what it says something of, where a command may do without that: "epochs"
    panel: str = ""  # heading of the help under which it stands
    envvar: str = ""  # environment variable that gives it where nothing else does
    argument: bool = False  # given without a flag
    unlisted: bool = False  # an older spelling: taken as ever, but no help names it
    hidden: bool = False  # from Python only: on the command line other fields say it


def option(default: Any = MISSING, help: str = "", **rest: Any) -> Any:
    """A field of settings; `rest` are the other fields of `Option`."""
    return _field(default, Option(help=help, **rest))


def begun(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """A shell's completions out of names, which are asked for when a key is pressed."""
    return lambda incomplete: [name for name in names() if name.startswith(incomplete)]


_SAME: Any = object()


def again(kind: type[Any], name: str, default: Any = _SAME, **changes: Any) -> Any:
    """The field `name` of another class of settings.

    Args:
        default: another default.
        changes: fields of `Option` that differ.
    """
    same = {one.name: one for one in fields(kind)}[name]
    option = dataclasses.replace(same.metadata["option"], **changes)
    return _field(same.default if default is _SAME else default, option)


def _field(default: Any, option: Option) -> Any:
    metadata = {"option": option}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def in_words(names: Iterable[str]) -> str:
    """a, b or c; of a mapping with a text of what each name means: "a: this. b: that" instead."""
    if isinstance(names, Mapping) and all(isinstance(told, str) for told in names.values()):
        return " ".join(f"{name}: {meaning}." for name, meaning in names.items()).rstrip(".")
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
