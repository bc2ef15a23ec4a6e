"""Work that is done bit by bit, between other things."""

from collections.abc import Generator
from typing import Generic, TypeVar

Result = TypeVar("Result")
#: What stops after each step and returns its result.
Steps = Generator[None, None, Result]


class Stepwise(Generic[Result]):
    """Steps as far as they have been taken; the result is the same however they were."""

    def __init__(self, steps: Steps[Result]) -> None:
        self._steps = steps
        self._result: list[Result] = []

    def go_on(self, count: int) -> None:
        """Take `count` more steps, or as many as are left."""
        for _ in range(count):
            if self._result:
                return
            self._step()

    def result(self) -> Result:
        """The result, once all steps that are left have been taken."""
        while not self._result:
            self._step()
        return self._result[0]

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration as end:
            self._result = [end.value]
