"""What every engine promises, and what worker processes promise beyond that."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from pathlib import Path
from typing import Any

import pytest
from jobs_for_workers import make

from autoscale.engines.engine import Engine, Inline, closing
from autoscale.engines.local import _exit_status, local
from autoscale.errors import DataProblem, EvaluationFailed, WorkersUnavailable

Start = Callable[..., Engine[Any, Any]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts engines of worker processes and ends them."""
    engines: list[Engine[Any, Any]] = []

    def begin(workers: int = 1, **options: Any) -> Engine[Any, Any]:
        engines.append(local(make, str(tmp_path), workers=workers, **options))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


@pytest.fixture(params=["inline", "local"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, start: Start) -> Engine[Any, Any]:
    return Inline(make(str(tmp_path))) if request.param == "inline" else start()


def starts(folder: Path) -> int:
    """Worker processes that were started."""
    return len(list(folder.glob("start-*")))


# Every engine


def test_a_job_gives_its_result(engine: Engine[Any, Any]) -> None:
    futures = [engine.submit(("twice", value)) for value in range(5)]
    assert [future.result() for future in futures] == [0, 2, 4, 6, 8]


def test_what_a_job_raises_its_future_raises_and_the_next_job_is_done(
    engine: Engine[Any, Any],
) -> None:
    failed, wrong = engine.submit(("fail", "diverged")), engine.submit(("mistake", "ours"))
    with pytest.raises(EvaluationFailed, match=r"^diverged$"):
        failed.result()
    with pytest.raises(ZeroDivisionError, match="ours"):
        wrong.result()
    assert engine.submit(("twice", 4)).result() == 8


def test_the_function_that_runs_jobs_is_made_once(engine: Engine[Any, Any], tmp_path: Path) -> None:
    pids = {engine.submit(("pid", None)).result() for _ in range(3)}
    assert len(pids) == starts(tmp_path) == 1


def test_an_engine_may_be_closed_twice_and_unused(tmp_path: Path) -> None:
    for engine in (Inline(make(str(tmp_path))), local(make, str(tmp_path), workers=3)):
        with closing(engine):
            pass
        engine.close()


# Worker processes


def test_no_process_is_started_before_there_is_a_job(start: Start, tmp_path: Path) -> None:
    start(workers=4)
    time.sleep(0.2)
    assert starts(tmp_path) == 0


def test_a_worker_collects_garbage_but_not_what_it_was_loaded_with(start: Start) -> None:
    assert start().submit(("garbage", None)).result() == (True, True)


def test_jobs_are_done_in_other_processes_at_once(start: Start) -> None:
    engine = start(workers=2)
    first = [engine.submit(("sleep", 0.5)) for _ in range(2)]
    pids = [engine.submit(("pid", None)).result() for _ in range(2)]
    assert os.getpid() not in pids
    assert [future.result() for future in first] == [0.5, 0.5]


def test_the_one_that_is_done_first_is_known_first(start: Start) -> None:
    engine = start(workers=2)
    wait([engine.submit(("sleep", 0.3)) for _ in range(2)])  # both are up
    slow, fast = engine.submit(("sleep", 30)), engine.submit(("sleep", 0))
    done, left = wait([slow, fast], return_when=FIRST_COMPLETED)
    assert (done, left) == ({fast}, {slow})


def test_a_worker_that_is_killed_costs_its_job_one_try_and_the_others_nothing(
    start: Start, tmp_path: Path
) -> None:
    engine = start(workers=2)
    other = engine.submit(("sleep", 1.0))
    killed = engine.submit(("kill once", str(tmp_path / "note")))
    assert killed.result() == "survived"
    assert other.result() == 1.0
    assert starts(tmp_path) == 3


@pytest.mark.parametrize(
    ("job", "cause"),
    [
        (("kill", int(signal.SIGKILL)), r"was killed \(SIGKILL\), perhaps for want of memory"),
        (("kill", int(signal.SIGSEGV)), "died of SIGSEGV"),
        (("exit", 3), "ended with status 3"),
    ],
)
def test_a_job_that_kills_every_worker_fails_with_the_cause(
    start: Start, tmp_path: Path, job: tuple[str, int], cause: str
) -> None:
    engine = start(retries=1)
    with pytest.raises(EvaluationFailed, match=f"{cause}, in each of 2 tries"):
        engine.submit(job).result()
    assert starts(tmp_path) == 2
    assert engine.submit(("twice", 1)).result() == 2


def test_without_retries_the_first_death_is_the_last(start: Start, tmp_path: Path) -> None:
    engine = start(retries=0)
    with pytest.raises(EvaluationFailed, match=r"status 7$"):
        engine.submit(("exit", 7)).result()
    assert starts(tmp_path) == 1


def test_a_death_between_two_jobs_costs_none(start: Start) -> None:
    engine = start(retries=0)
    pid = engine.submit(("pid", None)).result()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until it is gone with all its threads
    assert engine.submit(("pid", None)).result() != pid


def test_a_job_over_the_time_limit_is_cut_and_not_tried_again(start: Start, tmp_path: Path) -> None:
    engine = start(limit=0.5, retries=3)
    hanging = engine.submit(("sleep", 60))
    with pytest.raises(EvaluationFailed, match=r"over the time limit of 0\.5 s"):
        hanging.result()
    assert starts(tmp_path) == 1
    assert engine.submit(("twice", 1)).result() == 2


def test_loading_does_not_count_towards_the_time_limit(start: Start) -> None:
    assert start(limit=0.1).submit(("sleep", 0)).result() == 0  # the start alone takes longer


def test_answers_that_cannot_be_sent_are_told_in_words(start: Start) -> None:
    engine = start()
    for job, said in ((("lambda", None), "cannot be sent"), (("unsendable", "hi"), "hi!")):
        with pytest.raises(RuntimeError, match=said):
            engine.submit(job).result()
    assert engine.submit(("twice", 1)).result() == 2


def test_a_mistake_says_where_in_the_worker_it_happened(start: Start) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        start().submit(("mistake", "ours")).result()
    assert "jobs_for_workers.py" in caught.value.__notes__[0]


def test_work_that_cannot_be_made_is_the_callers_problem() -> None:
    with closing(local(make, "broken", workers=1)) as engine:
        for _ in range(2):
            with pytest.raises(DataProblem, match="no images are left"):
                engine.submit(("pid", None)).result()


@pytest.mark.parametrize(
    ("start", "cause"),
    [
        ("no package", "ModuleNotFoundError: No module named 'pyarrow'"),
        ("no memory", "MemoryError"),
        ("judged", "EvaluationFailed: diverged"),
        ("killed", r"killed \(SIGKILL\), perhaps for want of memory before it was ready to train"),
        ("ended", "the worker process ended with status 3 before it was ready to train"),
    ],
)
def test_a_worker_that_never_becomes_ready_is_no_failure_of_its_job(start: str, cause: str) -> None:
    with (
        closing(local(make, start, workers=1)) as engine,
        pytest.raises(
            WorkersUnavailable, match=rf"cannot start \(.*{cause}.*no training was count"
        ),
    ):
        engine.submit(("pid", None)).result()


@pytest.fixture
def no_interpreter() -> Iterator[None]:
    """Processes that multiprocessing starts end at once."""
    multiprocessing.set_executable("/bin/false")
    yield
    multiprocessing.set_executable(sys.executable)


@pytest.mark.usefixtures("no_interpreter")
def test_an_interpreter_that_does_not_start_is_no_failure_of_a_job(start: Start) -> None:
    with pytest.raises(WorkersUnavailable, match="cannot start"):
        start().submit(("pid", None)).result()


def test_what_a_daemon_may_not_start_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(WorkersUnavailable, match="daemonic processes are not allowed"):
        start().submit(("pid", None)).result()


def test_a_death_at_the_start_of_the_replacement_fails_no_job(tmp_path: Path, start: Start) -> None:
    engine = start(retries=1)
    engine.submit(("pid", None)).result()
    multiprocessing.set_executable("/bin/false")
    try:
        with pytest.raises(WorkersUnavailable, match="before it was ready"):
            engine.submit(("kill", int(signal.SIGKILL))).result()
    finally:
        multiprocessing.set_executable(sys.executable)
    assert engine.submit(("twice", 1)).result() == 2


SCRIPT = """\
import sys
sys.path.insert(0, {folder!r})
from jobs_for_workers import make
from autoscale.engines.engine import closing
from autoscale.engines.local import local
print("run as", __name__)

def answer():
    return "of the script's own"

def main():
    with closing(local(make, sys.argv[1], workers=1)) as engine:
        print(engine.submit({job}).result())
        print("file" if globals().get("__file__") else "no file", __spec__)

"""
UNGUARDED = "main()\n"
GUARDED = 'if __name__ == "__main__":\n    main()\n'


def run_script(
    folder: Path, job: str, end: str, *, stdin: bool
) -> subprocess.CompletedProcess[str]:
    text = SCRIPT.format(folder=str(Path(__file__).parent), job=job) + end
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-" if stdin else "script.py", str(folder)],
        input=text if stdin else None,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("stdin", [False, True])
def test_a_script_without_a_main_guard_is_not_run_again(tmp_path: Path, stdin: bool) -> None:
    done = run_script(tmp_path, '("twice", 21)', UNGUARDED, stdin=stdin)
    assert done.stderr == ""
    assert done.stdout.splitlines()[:2] == ["run as __main__", "42"]
    assert done.stdout.count("run as") == 1
    assert stdin or "\nfile" in done.stdout


def test_a_job_may_use_what_a_guarded_script_defines(tmp_path: Path) -> None:
    done = run_script(tmp_path, '("call", answer)', GUARDED, stdin=False)
    said = ["run as __main__", "run as __mp_main__", "of the script's own"]
    assert done.stdout.splitlines()[:3] == said


@pytest.mark.parametrize(
    ("stdin", "said"),
    [(False, 'if __name__ == "__main__": main()'), (True, "write it into a module")],
)
def test_what_a_worker_cannot_have_of_a_script_is_told(
    tmp_path: Path, stdin: bool, said: str
) -> None:
    done = run_script(tmp_path, '("call", answer)', UNGUARDED, stdin=stdin)
    assert said in done.stderr.splitlines()[-1]
    assert "WorkersUnavailable" in done.stderr
    assert done.returncode == 1


def test_closing_ends_jobs_at_work_and_in_the_queue_and_leaves_no_process(start: Start) -> None:
    engine = start(workers=1)
    pid = engine.submit(("pid", None)).result()
    at_work: Future[Any] = engine.submit(("sleep", 60))
    queued = engine.submit(("sleep", 60))
    while not at_work.running():
        time.sleep(0.01)
    engine.close()
    for future in (at_work, queued):
        with pytest.raises(CancelledError):
            future.result(timeout=10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_may_be_pinned_to_cores_of_their_own(start: Start) -> None:
    usable = sorted(os.sched_getaffinity(0))
    pinned = start(workers=1, cores=1)
    assert pinned.submit(("cores", None)).result() == usable[:1]
    too_many = start(workers=1, cores=len(usable) + 1)
    assert too_many.submit(("cores", None)).result() == usable


class ReapedElsewhere:
    """A process that another thread has just reaped: its status is known a moment later."""

    closed = False
    asked = 0

    def join(self) -> None: ...

    @property
    def exitcode(self) -> int | None:
        self.asked += 1
        return -9 if self.asked > 3 else None

    def close(self) -> None:
        assert self.exitcode is not None
        self.closed = True


def test_the_status_of_a_process_that_another_thread_reaped_is_waited_for() -> None:
    process = ReapedElsewhere()
    assert _exit_status(process) == -9  # type: ignore[arg-type]
    assert process.closed
