"""The loop of everything that trains several at once: begin while there is room, wait, keep."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any, TypeVar

Piece = TypeVar("Piece")


def work_off(
    begin: Callable[[Sequence[Piece]], tuple[Future[Any], Piece] | None],
    finish: Callable[[Piece, Future[Any]], None],
    *,
    at_once: int,
) -> None:
    """Begin and finish pieces of work until `begin` has none and none is at work.

    When something raises, pieces that were done meanwhile are finished too, as far as that is
    possible, and the exception passes on.

    Args:
        begin: asked whenever there is room, with the pieces at work in the order in which they were
            begun; gives one more piece and its future, or None if there is none now.
        finish: called with each piece and its future, which is done; the earliest begun first where
            several are.
        at_once: pieces at work at the same time, at most.
    """
    running: dict[Future[Any], Piece] = {}
    try:
        while True:
            while len(running) < at_once and (begun := begin([*running.values()])):
                running[begun[0]] = begun[1]
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future in done]:
                finish(running.pop(future), future)
    except BaseException:
        for future in [f for f in running if f.done() and not f.cancelled()]:
            with suppress(Exception):
                finish(running.pop(future), future)
        raise
