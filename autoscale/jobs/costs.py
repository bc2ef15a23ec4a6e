"""The costs and the limits that a command names, with the files that they need."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from autoscale.design.measures.deployed import Deployed
from autoscale.design.measures.limits import Limit, most_macs, parse_limits, split_limit
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import measure_named
from autoscale.design.style import Padding
from autoscale.devices.board import Board
from autoscale.devices.boards import load_board
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.networks import BoardSettings
from autoscale.listener import Listener
from autoscale.runs.store import read_text


def cost_from(text: str, *, padding: Padding = "symmetric") -> CostMeasure:
    """The cost that a text such as `macs` or `NAME:FILE` names.

    Args:
        padding: of the networks' convolutions with a stride.

    Raises:
        InvalidSetting: if there is none; the message lists them.
        StorageProblem: if its file cannot be read.
    """
    measure = measure_named(text, _read)
    return measure.padded(padding) if isinstance(measure, Deployed) else measure


def limits_from(
    texts: Iterable[str],
    *,
    max_macs: int | None = None,
    board: Board | None = None,
    padding: Padding = "symmetric",
) -> tuple[Limit, ...]:
    """All limits that a network has to keep.

    Args:
        texts: such as `params=250K`; flash and RAM without a precision are those of the board's.
        max_macs: the limit on multiply-adds that has an option of its own.
        board: what it leaves a network is a limit too; of two on one cost the lower one counts.
        padding: of the networks' convolutions with a stride.

    Raises:
        InvalidSetting: for a text that is no limit, or two limits on one cost.
        StorageProblem: if a file cannot be read.
    """
    limits = (*most_macs(max_macs), *parse_limits(texts, _read))
    if len({limit.measure.name for limit in limits}) < len(limits):
        raise InvalidSetting("macs is limited twice; keep the lower limit")
    named = {split_limit(text)[0].strip() for text in texts}
    found = {one.measure.name: _padded(one, padding) for one in limits}
    for other in board.limits(padding) if board is not None else ():
        name = other.measure.name
        own = found.get(name, other)
        if own.measure != other.measure and name not in named:
            raise InvalidSetting(
                f"{name} is limited for another file than the board's; leave out what stands "
                f"behind {name} and a colon"
            )
        found[name] = replace(other, most=min(own.most, other.most))
    return tuple(found.values())


def board_of(settings: BoardSettings, listener: Listener) -> Board | None:
    """The board that a command names; what it leaves a network is told, and what is not known.

    Raises:
        InvalidSetting: if there is no such board.
        StorageProblem: if its file cannot be read.
    """
    if settings.board is None:
        return None
    board = load_board(settings.board)
    listener.notice(board.said)
    if not board.here and any(text.startswith("latency") for text in settings.max_cost):
        listener.notice(
            f"warning: milliseconds are those of this machine; nothing was timed on {board.name}"
        )
    return board


def hold_to_board(board: Board | None, dtype: str, listener: Listener) -> None:
    """Compare the numbers of a board's networks with those of the networks that are scored, and
    timed if the board limits milliseconds.

    Raises:
        InvalidSetting: if int8 networks are scored for a board of others, or others are timed for
            one of int8.
    """
    if board is None or board.dtype == dtype or not board.limits():
        return  # without limits it says nothing of the numbers
    if board.dtype != "int8":
        raise InvalidSetting(
            f"{board.name} runs networks of {board.dtype}; leave out --dtype {dtype}, or say "
            f"dtype: {dtype} in the board's file"
        )
    if board.milliseconds is not None:
        raise InvalidSetting(
            f"{board.name} limits milliseconds of int8 networks; add --dtype int8, or say dtype: "
            f"{dtype} in the board's file"
        )
    listener.notice(
        f"the limits of {board.name} are for int8 networks, while {dtype} ones are scored; "
        "--dtype int8 scores what the board will run"
    )


def _padded(limit: Limit, padding: Padding) -> Limit:
    measure = limit.measure
    return (
        replace(limit, measure=measure.padded(padding)) if isinstance(measure, Deployed) else limit
    )


def _read(path: str) -> str:
    return read_text(Path(path), wanted="a YAML table of energies")
