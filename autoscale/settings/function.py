"""Functions of Python that take the fields of a command's settings as arguments."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from autoscale.settings.command import Settings, settings_of
from autoscale.settings.setting import Setting

S = TypeVar("S", bound="Settings")
R = TypeVar("R")


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
