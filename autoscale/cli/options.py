"""The options of a command, made from the fields of its settings."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from autoscale.distribution import NAME, VERSION
from autoscale.errors import InvalidSetting
from autoscale.settings.command import Settings, joined, settings_of
from autoscale.settings.option import begun
from autoscale.settings.setting import Setting

RUN = "Run directory; every step finds the earlier ones in it."
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Where decoded images and compiled kernels are kept for all runs; may be deleted "
        "at any time. \\[default: $AUTOSCALE_CACHE, else autoscale in the user's cache folder]"
    ),
]


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"{NAME} {VERSION}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Say which version this is.", callback=_tell_version, is_eager=True
    ),
]
CONFIG = (
    "A job file, such as each step of a run leaves: settings as YAML. What is typed too goes "
    "before it; --no-... turns a flag of it off."
)
#: Where a command's context keeps the settings that its job file gives.
_JOB = f"{__name__}.job"


def command(
    kind: type[Settings],
    work: Callable[..., Any],
    *,
    run: str = "",
    run_help: str = RUN,
    has_json: bool = True,
) -> Callable[..., Any]:
    """A function for typer whose options are the fields of `kind`, and --config and --json.

    Args:
        work: called with the settings, with `run` and `as_json` if the command has them; its
            docstring is the command's help.
        run: the default run directory; "" for a command that has none.
        has_json: whether it can answer machines.
    """

    apart = [*(["run"] if run else []), *(["as_json"] if has_json else [])]
    known = {setting.name: setting for setting in settings_of(kind) if not setting.option.hidden}

    def call(context: typer.Context, **given: Any) -> Any:
        typed = {name: given[name] for name in given if name in known and _is_typed(context, name)}
        typed |= _turned_off(context, flags, typed)
        for one, other in twins:
            typed |= _told_apart(one, other, typed.pop(one.name, ()))
        settings = kind(**joined(kind, context.meta.get(_JOB, {}), typed))
        return work(settings, **{name: given[name] for name in apart})

    flags = [one for one in known.values() if one.kind is bool and one.default is False]
    twins = _twins(known.values())
    behind = {other.name for _, other in twins}
    words = [
        _shared(*next(pair for pair in twins if pair[0] is setting))
        if any(one is setting for one, _ in twins)
        else _parameter(setting)
        for setting in known.values()
        if setting.name not in behind
    ]
    if run:
        typed = Annotated[Path, typer.Option(help=run_help)]
        place = sum(setting.option.argument for setting in known.values())
        words.insert(place, _keyword("run", typed, Path(run)))
    if known:
        words.append(_keyword("config", _config(kind, has_run=bool(run)), None))
    if has_json:
        words.append(_keyword("as_json", Json, False))
    words += [_keyword(_off(one), Annotated[bool, _hidden(one)], False) for one in flags]
    words.append(_keyword("context", typer.Context, MISSING))
    call.__signature__ = inspect.Signature(words)  # type: ignore[attr-defined]
    call.__annotations__ = {word.name: word.annotation for word in words}
    call.__name__ = work.__name__
    call.__doc__ = work.__doc__
    return call


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether a value was typed or is of an environment variable: not a default, nor a job's."""
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def _off(setting: Setting) -> str:
    return f"no_{setting.name}"


def _hidden(setting: Setting) -> Any:
    """--no-..., for what a job file has turned on; most commands are typed without."""
    return typer.Option(setting.said(False), hidden=True)


def _turned_off(
    context: typer.Context, flags: Iterable[Setting], typed: Container[str]
) -> dict[str, Any]:
    """The flags that are typed as --no-..., which are off by default.

    Raises:
        InvalidSetting: for one that is typed both ways.
    """
    off = [setting for setting in flags if _is_typed(context, _off(setting))]
    for setting in off:
        if setting.name in typed:
            raise InvalidSetting(
                f"{setting.said(True)} and {setting.said(False)} exclude each other; give one of "
                "them"
            )
    return {setting.name: False for setting in off}


def _config(kind: type[Settings], *, has_run: bool) -> Any:
    """--config, read before the other options, of which its values are defaults then."""

    def read(context: typer.Context, files: list[Path] | None) -> list[Path] | None:
        if not files or context.resilient_parsing:
            return files
        if len(files) > 1:
            raise InvalidSetting(
                f"--config {' and '.join(map(str, files))}: give one job file, and type what is to "
                "be changed in it"
            )
        from autoscale.runs.job_file import read_job

        job = read_job(files[0], kind, has_run=has_run)
        known = {setting.name: setting for setting in settings_of(kind)}
        shared = {one.name for pair in _twins(known.values()) for one in pair}
        context.meta[_JOB] = job.settings
        context.default_map = {
            name: _typed(known[name], value)
            for name, value in job.settings.items()
            if name not in shared
        } | ({"run": job.run} if job.run is not None else {})
        return files

    return Annotated[
        list[Path] | None, typer.Option("--config", help=CONFIG, is_eager=True, callback=read)
    ]


def _twins(settings: Iterable[Setting]) -> list[tuple[Setting, Setting]]:
    """Pairs of settings with one flag, that which takes NAME=VALUE behind the other."""
    kept = [setting for setting in settings if not setting.option.hidden]
    return [
        (one, other)
        for one in kept
        for other in kept
        if one.flag == other.flag and other.option.named and not one.option.named
    ]


def _shared(one: Setting, other: Setting) -> inspect.Parameter:
    """The option of two settings with one flag."""
    info = typer.Option(one.flag, help=f"{one.help} {other.help}")
    return _keyword(one.name, Annotated[list[str] | None, info], None)


def _told_apart(one: Setting, other: Setting, texts: Sequence[str]) -> dict[str, Any]:
    """What was typed of two settings with one flag.

    Raises:
        InvalidSetting: if several texts are no NAME=VALUE, or one is no whole number either.
    """
    named = [text for text in texts if "=" in text]
    plain = [text for text in texts if "=" not in text]
    if len(plain) > 1:
        raise InvalidSetting(
            f"{one.flag} {' and '.join(plain)}: give one number; NAME=VALUE may stand several times"
        )
    values: dict[str, Any] = {one.name: _whole(one, plain[0])} if plain else {}
    return values | ({other.name: named} if named else {})


def _whole(setting: Setting, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidSetting(
            f"{setting.flag} takes a whole number or NAME=VALUE, got {text!r}"
        ) from None


def _typed(setting: Setting, value: Any) -> Any:
    """A value as if it had been typed."""
    if value is None or isinstance(value, bool):
        return value
    texts = setting.texts(value)
    return texts if setting.many else texts[0]


def _parameter(setting: Setting) -> inspect.Parameter:
    """The field as typer wants a parameter; texts that are parsed reach us as they were typed."""
    option = setting.option
    kind = setting.kind
    default = setting.default
    if option.parse is not None:
        kind = str if setting.required else str | None
        default = default if default in (None, MISSING) else option.show(default)
    elif setting.many:
        one: Any = setting.element if setting.element is Path else str
        kind = list[one] if setting.required else list[one] | None
        default = default if setting.required else None
    elif setting.choices is not None:
        kind = str if setting.required or default is not None else str | None
    told: dict[str, Any] = {"help": setting.help}
    if option.unlisted:
        told["hidden"] = True
    if option.panel:
        told["rich_help_panel"] = option.panel
    if option.complete is not None:
        told["autocompletion"] = option.complete
    elif setting.choices is not None:
        told["autocompletion"] = begun(lambda: setting.choices or ())
    if option.envvar:
        told["envvar"] = option.envvar
    if option.argument:
        info: Any = typer.Argument(**told)
    elif option.flag or (kind is bool and not default):
        info = typer.Option(setting.flag, **told)  # `_turned_off` is its --no-...
    else:
        info = typer.Option(**told)
    return _keyword(setting.name, Annotated[kind, info], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=annotation,
    )


class Once(TyperCommand):
    """A command that refuses an option of one value that is typed again."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        require_once(self, ctx, args)
        return super().parse_args(ctx, args)


def require_once(command: Any, context: Any, arguments: Sequence[str]) -> None:
    """Refuse what the parser would drop: of an option of one value all but the last.

    Those whose help says that they may be given several times may; switches say the same twice.

    Raises:
        InvalidSetting: naming the values.
    """
    if context.resilient_parsing:  # a shell completes what is not typed yet
        return
    _, _, typed = command.make_parser(context).parse_args(list(arguments))
    for option, times in Counter(typed).items():
        if (
            times > 1
            and isinstance(option, TyperOption)
            and not (option.multiple or option.is_flag)
        ):
            name = max(option.opts, key=len)
            values = _values(name, arguments)
            # An address may hold a password.
            told = len(values) if any("://" in one for one in values) else " and ".join(values)
            raise InvalidSetting(f"{name} takes one value, got {told}; give one of them")


def _values(name: str, arguments: Sequence[str]) -> list[str]:
    """What was typed behind each of an option's names."""
    following = zip(arguments, [*arguments[1:], ""], strict=True)
    return [
        (one.partition("=")[2] if one.startswith(f"{name}=") else behind)
        for one, behind in following
        if one == name or one.startswith(f"{name}=")
    ]
