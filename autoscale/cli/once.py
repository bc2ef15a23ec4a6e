"""Options that take one value are typed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperOption

from autoscale.errors import InvalidSetting


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
            raise InvalidSetting(
                f"{name} takes one value, got {' and '.join(_values(name, arguments))}; give one "
                "of them"
            )


def _values(name: str, arguments: Sequence[str]) -> list[str]:
    """What was typed behind each of an option's names."""
    following = zip(arguments, [*arguments[1:], ""], strict=True)
    return [
        (one.partition("=")[2] if one.startswith(f"{name}=") else behind)
        for one, behind in following
        if one == name or one.startswith(f"{name}=")
    ]
