"""A small run that holds a family, for tests of what trains one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import autoscale
from autoscale.design.architecture import Architecture, Head, Stage, Stem

BASE = Architecture(
    resolution=12,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, expand_ratio=1),
        Stage(width=16, expand_ratio=2, stride=2, depth=2, se_ratio=0.25),
    ),
    head=Head(width=16),
    num_classes=3,
)
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
MEMBERS = ["phi-0", "phi-1", "phi-2"]
#: Depth, width and resolution of the next member by those of one.
RULE = "1.3,1.15,1.2"


def family(run: Path, phi: str = "0..2", rule: str = RULE, base: Architecture = BASE) -> Path:
    """A run that holds a family."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "base.yaml").write_text(base.to_yaml())
    autoscale.write_family(
        run, phi=phi, baseline=str(run / "base.yaml"), coefficients=rule,
        rounding="nearest,divisor=2",
    )  # fmt: skip
    return run


def train_family_command(run: Path, photos: Path, *options: str) -> list[str]:
    """The command, long enough to be killed in its midst."""
    return [sys.executable, "-m", "autoscale", "train-family", "--run", str(run), "--data",
            str(photos), "--recipe", "proxy", "--epochs", "40", "--batch-size", "8", "--kernels",
            "torch", *options]  # fmt: skip


def run_to_its_end(command: list[str]) -> None:
    """Run a command in one thread."""
    done = subprocess.run(
        command, env=ONE_THREAD, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def kill_within(command: list[str], journal: Path) -> None:
    """Start a command, and kill it when its journal of 40 epochs has begun."""
    process = subprocess.Popen(
        command, env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (journal.exists() and len(journal.read_bytes()) > 100):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(journal.read_text().splitlines()) < 40
