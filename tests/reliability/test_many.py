"""Eight processes on one study, in the run directory and in PostgreSQL."""

import os
import pwd
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from autoscale.jobs.search.result import load_trials
from autoscale.search.identity import network_of
from tests.reliability.conftest import Rehearsal, unwrapped, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PASSWORD = "correct-horse"


def search(run: Path, photos: Path, *more: object, trials: int = 200) -> list[object]:
    return ["search-baseline", "--run", run, "--data", photos, "--resolution", 16, "--trials",
            trials, "--kernels", "none", "--sampler", "random", "--space", "mbconv-small",
            *more]  # fmt: skip


def require_whole(run: Path, trials: int) -> None:
    steps = load_trials(run)[2]
    trained = Counter(network_of(step.architecture) for step in steps if step.trained)
    assert sum(trained.values()) == trials
    assert max(trained.values()) == 1
    assert {step.status for step in steps} <= {"finished", "repeat"}


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server of our own on the loopback."""

    bin: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://autoscale:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    @property
    def driver_url(self) -> str:
        return self.url.replace("postgresql://", "postgresql+psycopg://")

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if os.geteuid() == 0:  # it refuses to run as root
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.data.parent)

    def control(self, *action: str) -> None:
        self.run(
            "pg_ctl", "-D", str(self.data), "-w", "-l", str(self.data.parent / "log"),
            "-o", f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.data.parent}", *action,
        )  # fmt: skip


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = Path("/tmp") / f"autoscale-pg-{os.getpid()}"  # short: sockets have short names
    base.mkdir()
    made = Server(found[-1].parent, base / "data", port)
    (base / "password").write_text(PASSWORD)
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (base, base / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        made.run(
            "initdb", "-D", str(made.data), "-U", "autoscale", "-A", "scram-sha-256",
            f"--pwfile={base / 'password'}",
        )  # fmt: skip
        made.control("start")
        yield made
        made.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def study_in(server: Server, run: Path) -> optuna.Study:
    # No connection is left open: a warning of one would fail whichever test runs by then.
    storage = optuna.storages.RDBStorage(server.driver_url, engine_kwargs={"poolclass": NullPool})
    (name,) = optuna.get_all_study_names(storage)
    assert name.startswith(f"{run.name}-")
    return optuna.load_study(study_name=name, storage=storage)


def require_secret(run: Path, said: str) -> None:
    assert PASSWORD not in said
    assert "autoscale:***@" in said
    for path in run.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()


def test_eight_workers_and_two_hundred_trials(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    rehearsal.run(*search(run, photos, "--workers", 8), seconds=0.05)
    require_whole(run, 200)


def test_eight_workers_and_two_hundred_trials_with_postgresql(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path, server: Server
) -> None:
    run = tmp_path / "run"
    said = rehearsal.run(
        *search(run, photos, "--workers", 8), seconds=0.05, AUTOSCALE_STORAGE=server.url
    )
    require_whole(run, 200)
    require_secret(run, said)
    study = study_in(server, run)
    states = Counter(trial.state for trial in study.get_trials())
    assert states[TrialState.COMPLETE] == len(study.get_trials()) == len(load_trials(run)[2])


def test_of_eight_commands_on_one_run_one_works_and_seven_say_who(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    every = [rehearsal.start(*search(run, photos, trials=40), seconds=1.0) for _ in range(8)]
    said = {process.pid: process.communicate()[0] for process in every}
    worked = [process.pid for process in every if process.returncode == 0]
    assert len(worked) == 1
    for process in every:
        if process.pid not in worked:
            assert process.returncode == 1
            assert f"(process {worked[0]})" in said[process.pid]
            assert "--workers" in said[process.pid]
    require_whole(run, 40)


def test_a_database_that_is_restarted_costs_nothing(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path, server: Server
) -> None:
    run = tmp_path / "run"
    journal = run / "search" / "trials.jsonl"
    arguments = search(run, photos, "--workers", 2, "--storage", server.url, trials=150)
    process = rehearsal.start(*arguments, seconds=0.3)
    assert wait_for(process, journal, 4)
    server.control("stop", "-m", "immediate")
    assert wait_for(process, journal, 8)
    server.control("start")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "the search goes on and brings it up to date later" in unwrapped(said)
    assert "up to date again" in unwrapped(said)
    require_secret(run, said)
    require_whole(run, 150)
    assert len(study_in(server, run).get_trials()) == len(load_trials(run)[2])


def test_a_database_that_never_comes_back_is_told_and_caught_up_by_the_same_command(
    rehearsal: Rehearsal, photos: Path, tmp_path: Path, server: Server
) -> None:
    run = tmp_path / "run"
    arguments = search(run, photos, "--storage", server.url, trials=10)
    process = rehearsal.start(*arguments, seconds=0.3)
    assert wait_for(process, run / "search" / "trials.jsonl", 4)
    server.control("stop", "-m", "immediate")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "the same command brings them" in unwrapped(said)
    assert PASSWORD not in rehearsal.run(*arguments, expect=1)
    server.control("start")
    rehearsal.run(*arguments)
    assert len(study_in(server, run).get_trials()) == len(load_trials(run)[2])
