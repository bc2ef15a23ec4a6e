"""Worker processes on this machine.

One process for each worker, with a pipe of its own and nothing shared, so that a process may be
killed at any moment and costs one job. That is why there is no library here: the process pools of
`concurrent.futures` and loky break as a whole when one worker dies and cannot cut a job short;
pebble's can, but its workers share a lock, and one that is killed while it holds it stalls the
others for a minute (pebble 5.2.3, `pool/channel.py`).

A worker imports what it is told by name and never the script that it works for, unless a job names
something in `__main__`. So a script needs no main guard, and may come from standard input.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import spawn
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic

from autoscale.engines.engine import (
    J,
    Make,
    PooledEngine,
    R,
    Spec,
    WorkerLost,
    WorkerNotReady,
    cannot_start,
    unavailable,
)
from autoscale.errors import AutoscaleError, EvaluationFailed, WorkersUnavailable, cause

#: Spawned, not forked: torch's threads do not survive a fork.
_context = multiprocessing.get_context("spawn")

#: Of 1000: whom the kernel ends first when memory runs out. A worker's trial can be done again.
_BADNESS = 800

#: Seconds in which the status of a process that has ended becomes known.
_MOMENT = 5.0

#: What a script has to end with where a process runs it again.
_GUARD = (
    "this script is run again in a process that it starts; put what it does into a function: "
    'def main(): ... and end the script with: if __name__ == "__main__": main()'
)


def local(
    make: Make[Spec, J, R],
    spec: Spec,
    *,
    workers: int,
    retries: int = 1,
    limit: float | None = None,
    cores: int = 0,
) -> PooledEngine[J, R]:
    """An engine of worker processes; each starts with its first job and loads its work once.

    Args:
        make, spec: see `engine`; both must be picklable, `make` by name.
        retries: how often a job is done again whose worker died.
        limit: seconds that one job may take; then its worker is killed and the job fails.
        cores: pin each worker to so many cores of its own, if there are enough; 0 pins none.

    Raises:
        WorkersUnavailable: in a worker, where a script without a main guard is run again.
    """
    if _Script.running:
        raise WorkersUnavailable(_GUARD)
    owned = _shares(workers, cores)
    places = [ProcessWorker(make, spec, limit=limit, cores=owned[n]) for n in range(workers)]
    return PooledEngine(places, retries=retries)


def _shares(workers: int, cores: int) -> list[frozenset[int]]:
    """The cores of each worker; empty sets where nobody is pinned."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not cores or workers * cores > len(usable):
        return [frozenset()] * workers
    return [frozenset(usable[n * cores : (n + 1) * cores]) for n in range(workers)]


class ProcessWorker(Generic[Spec, J, R]):
    """A worker that is a process, and the next process when that has died."""

    def __init__(
        self,
        make: Make[Spec, J, R],
        spec: Spec,
        *,
        limit: float | None = None,
        cores: Collection[int] = (),
    ) -> None:
        self._order = (make, spec)
        self._cores = frozenset(cores)
        self._limit = limit
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._closed = False
        self._lock = threading.Lock()  # of starting and closing

    def run(self, job: J, /) -> R:
        """The job's result, from the process.

        Raises:
            WorkerLost: if the process died; WorkerNotReady if that was before it was ready.
            EvaluationFailed: if it took longer than the limit.
            WorkersUnavailable: if no process can be started, or none can do such jobs.
        """
        pipe = self._started()
        try:
            pipe.send(job)
            if not pipe.poll(self._limit):
                self._kill()
                raise EvaluationFailed(f"over the time limit of {self._limit:g} s")
            succeeded, answer = pipe.recv()
        except (EOFError, OSError):
            raise WorkerLost(self._last_word()) from None
        if not succeeded:
            raise answer
        return answer

    def close(self) -> None:
        """Kill the process; what it was doing is lost."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                self._process.join()

    def _started(self) -> Connection:
        """The pipe to a process that is ready."""
        if self._pipe is not None and self._process is not None and self._process.is_alive():
            return self._pipe
        self._last_word()  # it may have died while it had nothing to do
        with self._lock:
            if self._closed:
                raise WorkerLost("the engine is closed")
            self._process, self._pipe = _start(self._order, self._cores)
            pipe = self._pipe
        try:
            ready, problem = pipe.recv()
        except (EOFError, OSError):
            raise WorkerNotReady(f"{self._last_word()} before it was ready to train") from None
        if not ready:
            self._kill()
            raise cannot_start(problem) from problem
        return pipe

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()
        self._last_word()

    def _last_word(self) -> str:
        """How the process ended; the next job gets a new one."""
        with self._lock:
            process, pipe = self._process, self._pipe
            self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return "the worker process did not start"
        code = _exit_status(process)
        if code == -signal.SIGKILL:
            return "the worker process was killed (SIGKILL), perhaps for want of memory"
        if code < 0:
            return f"the worker process died of {signal.Signals(-code).name}"
        return f"the worker process ended with status {code}"


def _exit_status(process: multiprocessing.process.BaseProcess) -> int:
    """The exit status of a process that ends, which is then closed; 0 where nobody can tell.

    A thread that starts a process reaps all that have ended (`multiprocessing` does so), and the
    status of one that was reaped so is known a moment later.
    """
    process.join()
    deadline = time.monotonic() + _MOMENT
    while process.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.001)
    code = process.exitcode
    if code is None:
        return 0
    process.close()
    return code


def _start(
    order: tuple[Any, Any], cores: Collection[int]
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """A new worker process and our end of its pipe.

    Raises:
        WorkerNotReady: if the system gives none.
        WorkersUnavailable: if this process may start none.
    """
    ours, theirs = _context.Pipe()
    with _Script.left_out() as script:
        try:
            process = _context.Process(
                target=_serve, args=(theirs, pickle.dumps(order), cores, script), daemon=True
            )
            process.start()
        except OSError as problem:
            ours.close()
            raise WorkerNotReady(f"the system starts no worker process: {problem}") from None
        except Exception as problem:  # multiprocessing says so with errors of all kinds
            ours.close()
            if getattr(multiprocessing.current_process(), "_inheriting", False):
                raise WorkersUnavailable(_GUARD) from None
            raise cannot_start(problem) from problem
        finally:
            theirs.close()  # so that the pipe ends when the process does
    return process, ours


class _Script:
    """What `__main__` is in the coordinator, and how a worker gets it where a job asks for it."""

    running = False  # again, in a worker
    _lock = threading.Lock()

    @classmethod
    @contextmanager
    def left_out(cls) -> Iterator[dict[str, str]]:
        """Processes that are started meanwhile do not run this script again; how they would.

        `multiprocessing` finds the script by two names of `__main__`, and leaves it where there are
        none, as in a notebook.
        """
        main = sys.modules["__main__"]
        with cls._lock:
            kept: dict[str, Any] = {
                n: vars(main)[n] for n in ("__spec__", "__file__") if n in vars(main)
            }
            script: dict[str, str] = {}
            if kept.get("__spec__") is not None:
                script = {"init_main_from_name": kept["__spec__"].name}
            elif os.path.isfile(kept.get("__file__") or ""):  # it says <stdin> of standard input
                script = {"init_main_from_path": os.path.abspath(kept["__file__"])}
            main.__spec__ = None
            vars(main).pop("__file__", None)
            try:
                yield script
            finally:
                vars(main).update(kept)

    @classmethod
    def lend(cls, script: Mapping[str, str]) -> None:
        """Have this worker run the script when something is asked of `__main__` by name."""
        main: Any = sys.modules["__main__"]

        def find(name: str) -> Any:
            if name.startswith("__") or cls.running:
                raise AttributeError(name)
            cls.running = True
            try:
                # As `multiprocessing` would have done at the start: under the name __mp_main__.
                spawn.prepare(dict(script))
            except (Exception, SystemExit) as problem:
                raise unavailable(
                    f"a worker asks for __main__:{name}, and {_GUARD}; {cause(problem)}"
                ) from None
            finally:
                cls.running = False
            found = sys.modules["__main__"]
            if found is main or not hasattr(found, name):
                raise unavailable(
                    f"__main__ has no {name!r} that a worker could import; write it into a module"
                )
            return getattr(found, name)

        main.__getattr__ = find


def _serve(
    pipe: Connection, order: bytes, cores: Collection[int], script: Mapping[str, str]
) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the coordinator ends us
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_BADNESS))
    if cores:
        os.sched_setaffinity(0, cores)
    _Script.lend(script)
    try:
        with _uncollected():
            make, spec = pickle.loads(order)
        work: Callable[[Any], object] = make(spec)
    except Exception as problem:
        _send(pipe, (False, problem))
        return
    with suppress(EOFError, OSError):  # nobody is left who wants an answer
        pipe.send((True, None))
        while True:
            sent = pipe.recv_bytes()
            try:
                answer: tuple[bool, object] = (True, work(pickle.loads(sent)))
            except Exception as problem:
                answer = (False, problem)
            _send(pipe, answer)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing is looked through for garbage meanwhile, nor later what was loaded by then.

    Modules are no garbage, and looking for it takes a seventh of the time that torch's take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _send(pipe: Connection, answer: tuple[bool, object]) -> None:
    """Send an answer, in words if it cannot be pickled, a mistake of ours with its trace."""
    succeeded, value = answer
    if isinstance(value, Exception) and not isinstance(value, AutoscaleError):
        value.add_note("in a worker process:\n" + "".join(traceback.format_exception(value)))
    try:
        text = pickle.dumps(answer)
        if not succeeded:
            pickle.loads(text)  # some errors can be written and not read
    except Exception as problem:
        text = pickle.dumps((False, RuntimeError(f"cannot be sent back: {value!r} ({problem})")))
    pipe.send_bytes(text)


def _leave_with_parent() -> None:
    """End this process when the coordinator is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
