"""What the engines' tests let workers do."""

import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from autoscale.errors import DataProblem, EvaluationFailed


class Unsendable(Exception):
    """Cannot be made again from what is sent of it."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def make(spec: str) -> Callable[[tuple[str, object]], object]:
    """A function that runs jobs of a name and a value; in the folder `spec` it notes each start."""
    if spec in STARTS:
        STARTS[spec]()
    (Path(spec) / f"start-{os.getpid()}").touch()
    return lambda job: JOBS[job[0]](job[1])


def kill_once(note: str) -> str:
    """Kill this worker, unless another was killed before."""
    if not Path(note).exists():
        Path(note).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def fail(cause: object) -> None:
    raise EvaluationFailed(str(cause))


def mistake(value: object) -> None:
    raise ZeroDivisionError(str(value))


def unsendable(value: object) -> None:
    raise Unsendable(str(value), "!")


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def no_images() -> None:
    raise DataProblem("no images are left")


def no_package() -> None:
    raise ModuleNotFoundError("No module named 'pyarrow'")


def no_memory() -> None:
    raise MemoryError


#: What making the work may come to.
STARTS: dict[str, Callable[[], object]] = {
    "broken": no_images,
    "no package": no_package,
    "no memory": no_memory,
    "judged": lambda: fail("diverged"),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "ended": lambda: os._exit(3),
}

JOBS: dict[str, Callable[..., object]] = {
    "pid": lambda _: os.getpid(),
    "twice": lambda value: value * 2,
    "cores": lambda _: sorted(os.sched_getaffinity(0)),
    "kill": lambda number: os.kill(os.getpid(), number),
    "exit": lambda status: os._exit(status),
    "kill once": kill_once,
    "fail": fail,
    "mistake": mistake,
    "unsendable": unsendable,
    "sleep": sleep,
    "lambda": lambda _: lambda: None,
    "call": lambda function: function(),
    "garbage": lambda _: (gc.isenabled(), gc.get_freeze_count() > 0),
}
