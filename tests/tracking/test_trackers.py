"""What every tracker does, by its own package and its own reader; nothing leaves this machine."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from autoscale.tracking.point import Point
from autoscale.tracking.tracking import Tracking
from autoscale.tracking.writer import LIBRARIES
from tests.tracking.readers import held

each = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                find_spec(name) is None, reason=f"the extra {name} is not installed"
            ),
        )
        for name in LIBRARIES
    ],
)
POINTS = [
    Point(
        step=n,
        seconds=1.5 * n,
        values={"trial/accuracy": n / 10, "best/recall:für Katzen?": 0.25},
        choices={"stages.0.kernel": 2 * n + 1, "stages.0.block": "mbconv"},
    )
    for n in range(3)
]
ANSWER = {"trial": 2, "validation accuracy": 0.2, "verdict": "better\nthan nothing", "none": None}


@dataclass
class Gate:
    """A proxy that opens to nobody, and counts who knocks."""

    port: int
    knocks: list[bytes] = field(default_factory=list)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gate]:
    """The way out of this machine, closed; beside it a home with an account of Hugging Face."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Gate(server.getsockname()[1])

        def watch() -> None:
            while True:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                with visitor:
                    visitor.settimeout(5)
                    found.knocks.append(visitor.recv(200))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for spelled in (name, name.upper()):
                monkeypatch.setenv(spelled, f"http://127.0.0.1:{found.port}")
        for spelled in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(spelled, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_TOKEN", "hf_nobodys")
        yield found
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def tracked(name: str, run: Path, notices: list[str]) -> Tracking:
    settings = {"epochs": 3, "data": None, "max_cost": ["macs=1M"]}
    return Tracking.of(
        [name], run=run, step="search", command="search-baseline", settings=settings,
        tell=notices.append,
    )  # fmt: skip


@each
def test_a_tracker_holds_what_it_was_told_once_and_nothing_goes_out(
    name: str, tmp_path: Path, gate: Gate
) -> None:
    run, notices = tmp_path / "my photos", list[str]()
    state = random.getstate()
    with suppress(KeyboardInterrupt), tracked(name, run, notices) as one:
        one.begin([])
        one.add(POINTS[0])
        one.add(POINTS[1])
        raise KeyboardInterrupt
    with tracked(name, run, notices) as one:
        one.begin(POINTS[:2])
        one.add(POINTS[2])
        one.conclude(ANSWER)
    assert random.getstate() == state
    assert notices == []
    assert gate.knocks == []
    found = held(name, run, "search")
    assert found["curves"].pop("trial/accuracy") == [[0, 0.0], [1, 0.1], [2, 0.2]]
    assert found["curves"].pop("seconds") == [[0, 0.0], [1, 1.5], [2, 3.0]]
    (other,) = found["curves"].values()
    assert other == [[0, 0.25], [1, 0.25], [2, 0.25]]
    assert {
        int(step): {n: str(v) for n, v in one.items()} for step, one in found["choices"].items()
    } == {n: {"stages.0.kernel": str(2 * n + 1), "stages.0.block": "mbconv"} for n in range(3)}
    assert found["answer"] == {"trial": 2, "validation accuracy": 0.2, "verdict": ANSWER["verdict"]}
    assert found["finished"]
    assert {n: str(value) for n, value in found["settings"].items() if not n.startswith("_")} == {
        "command": "search-baseline", "epochs": "3", "data": "None", "max_cost": "['macs=1M']",
    }  # fmt: skip


@each
def test_two_steps_of_a_run_lie_side_by_side(name: str, tmp_path: Path) -> None:
    for step in ("search", "grown/phi-1"):
        with Tracking.of(
            [name], run=tmp_path / "run", step=step, command="c", settings={},
            tell=pytest.fail,
        ) as one:  # fmt: skip
            one.begin(POINTS[:1])
    if name != "wandb":  # whose reader reads one run
        for step in ("search", "grown/phi-1"):
            assert held(name, tmp_path / "run", step)["curves"]["seconds"] == [[0, 0.0]]
    else:
        assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 2


@pytest.mark.skipif(find_spec("trackio") is None, reason="the extra trackio is not installed")
def test_the_gate_sees_what_would_go_out(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with tracked("trackio", tmp_path / "run", []) as one:
        one.begin(POINTS[:1])
    assert any(b"huggingface.co" in knock for knock in gate.knocks)
