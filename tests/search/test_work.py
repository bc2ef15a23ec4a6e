"""The loop that begins pieces of work while there is room and keeps each as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from autoscale.search.work import work_off


def pieces(count: int, seen: list[list[int]]) -> Callable[..., Any]:
    """Begins so many pieces that are done at once, and notes which were at work before each."""
    left = iter(range(count))

    def begin(running: Sequence[int]) -> tuple[Future[int], int] | None:
        seen.append(list(running))
        number = next(left, None)
        if number is None:
            return None
        future: Future[int] = Future()
        future.set_result(number)
        return future, number

    return begin


@pytest.mark.parametrize(
    ("at_once", "before"),
    [(1, [[], [], [], []]), (2, [[], [0], [], [2]]), (9, [[], [0], [0, 1], [0, 1, 2], []])],
)
def test_room_is_filled_and_pieces_are_finished_in_the_order_in_which_they_were_begun(
    at_once: int, before: list[list[int]]
) -> None:
    seen: list[list[int]] = []
    done: list[int] = []
    work_off(pieces(3, seen), lambda piece, future: done.append(future.result()), at_once=at_once)
    assert done == [0, 1, 2]
    assert seen[: len(before)] == before


def test_what_was_done_meanwhile_is_kept_when_one_breaks() -> None:
    done: list[int] = []

    def finish(piece: int, future: Future[Any]) -> None:
        if piece == 0:
            raise RuntimeError("the first breaks")
        done.append(piece)

    with pytest.raises(RuntimeError, match="the first breaks"):
        work_off(pieces(3, []), finish, at_once=3)
    assert done == [1, 2]


def test_an_interruption_while_a_piece_is_begun_keeps_what_is_done_and_passes_on() -> None:
    done: list[int] = []
    inner = pieces(2, [])

    def begin(running: Sequence[int]) -> tuple[Future[int], int] | None:
        if len(running) == 2:
            raise KeyboardInterrupt
        begun: tuple[Future[int], int] | None = inner(running)
        return begun

    with pytest.raises(KeyboardInterrupt):
        work_off(begin, lambda piece, future: done.append(piece), at_once=3)
    assert done == [0, 1]


def test_nothing_to_do_ends_at_once() -> None:
    work_off(pieces(0, []), lambda piece, future: None, at_once=2)
