"""The options of a command, made from the fields of its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from autoscale.settings import MISSING, Setting, Settings, settings_of

Run = Annotated[Path, typer.Option(help="Run directory; every step finds the earlier ones in it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A job file: settings as YAML, such as every run directory holds. Options that are "
        "given too go before it.",
    ),
]


def command(
    kind: type[Settings], work: Callable[..., None], *, run: Path | None = None
) -> Callable[..., None]:
    """A function for typer whose options are the fields of `kind`.

    Args:
        work: called with the settings, with `run` if the command has one, and with `as_json`.
        run: the default run directory; None for a command that has none.
    """

    def call(**given: Any) -> None:
        extra = {name: given.pop(name) for name in ("run", "as_json") if name in given}
        work(_settings(kind, given), **extra)

    words = [_parameter(setting) for setting in settings_of(kind)]
    if run is not None:
        words.insert(sum(s.option.argument for s in settings_of(kind)), _keyword("run", Run, run))
    words += [_keyword("config", Config, None), _keyword("as_json", Json, False)]
    call.__signature__ = inspect.Signature(words)  # type: ignore[attr-defined]
    call.__annotations__ = {word.name: word.annotation for word in words}
    call.__name__ = work.__name__
    call.__doc__ = work.__doc__
    return call


def _parameter(setting: Setting) -> inspect.Parameter:
    """The field as typer wants a parameter; texts that are parsed reach us as they were typed."""
    option = setting.option
    kind = setting.kind
    if option.parse is not None:
        kind = str if setting.default is MISSING else str | None
    elif setting.many:
        kind = list[str] if setting.default is MISSING else list[str] | None
    told: dict[str, Any] = {"help": option.help}
    if option.panel:
        told["rich_help_panel"] = option.panel
    if option.complete is not None:
        told["autocompletion"] = option.complete
    if option.envvar:
        told["envvar"] = option.envvar
    if option.least is not None and kind in (int, int | None):
        told["min"] = int(option.least)
    if option.argument:
        info: Any = typer.Argument(**told)
    elif kind is bool and not setting.default:
        info = typer.Option(setting.flag, **told)  # no --no-...: it is off already
    else:
        info = typer.Option(setting.flag, **told) if option.flag else typer.Option(**told)
    default = setting.default
    if default is not MISSING and option.parse is not None and default is not None:
        default = option.show(default)
    return _keyword(setting.name, Annotated[kind, info], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=annotation,
    )


def _settings(kind: type[Settings], given: dict[str, Any]) -> Settings:
    """Settings from what was typed and, for the rest, from the job file if there is one."""
    config = given.pop("config", None)
    known = {setting.name: setting for setting in settings_of(kind)}
    if config is None:
        return kind(**{name: known[name].value(value) for name, value in given.items()})
    raise NotImplementedError  # the job file
