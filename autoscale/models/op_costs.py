"""What operations cost that a module runs and autoscale does not know, as the user says."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from autoscale.errors import InvalidSetting, cause
from autoscale.models.user_code import named

if TYPE_CHECKING:
    from autoscale.network.measuring.trace import Handle, Shape


def parse_handles(texts: Sequence[str]) -> dict[str, Handle]:
    """Read `aten::cumsum=0` and `aten::cumsum=package.module:function` as costs of operations.

    Raises:
        InvalidSetting: for anything else, or if there is no such function.
    """
    handles: dict[str, Handle] = {}
    for text in texts:
        operation, _, value = text.partition("=")
        if not operation or not value:
            raise InvalidSetting(_no_cost(text))
        if _is_number(value):
            if not value.isdecimal():
                raise InvalidSetting(
                    f"the cost of {operation} must be a whole number of at least 0, got {value}"
                )
            handles[operation] = _constant(int(value))
        elif callable(found := named(value)):
            handles[operation] = found
        else:
            raise InvalidSetting(_no_cost(text))
    return handles


def _no_cost(text: str) -> str:
    return (
        f"not the cost of an operation: {text!r}; write aten::name=0 or "
        "aten::name=package.module:function"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _constant(macs: int) -> Handle:
    return lambda inputs, outputs: macs


def watched(operation: str, handle: Handle, ran: Counter[str]) -> Handle:
    """`handle`, whose answers are checked and added up in `ran`.

    The user's function is named when it fails, not the network that it prices.
    """
    name = getattr(handle, "__qualname__", type(handle).__name__)
    function = f"{getattr(handle, '__module__', '')}:{name}, the cost of {operation},"

    def price(inputs: list[Shape], outputs: list[Shape]) -> int:
        try:
            macs = handle(inputs, outputs)
        except Exception as problem:
            raise InvalidSetting(
                f"{function} failed on inputs {inputs}: {cause(problem)}; correct it"
            ) from problem
        if not isinstance(macs, Integral) or isinstance(macs, bool) or macs < 0:
            raise InvalidSetting(
                f"{function} must give a whole number of at least 0, got {reprlib.repr(macs)}"
            )
        ran[operation] += int(macs)
        return int(macs)

    return price
