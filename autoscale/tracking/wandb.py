"""Runs in Weights & Biases: offline, in the run directory, unless WANDB_MODE says otherwise.

A step is a run in the group of its run directory. Each call that resumes one leaves a further
folder of the same run, which `wandb sync` puts together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoscale.tracking.point import Plain, Point, Subject

#: Under which runs are found where WANDB_PROJECT names nothing else.
PROJECT = "autoscale"


def environment(subject: Subject, given: Mapping[str, str]) -> dict[str, str]:
    """Offline, in the run directory, without a word in the terminal.

    Its reports of its own mistakes go to a server even offline, so they are off too.
    """
    own = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": subject.run,
        "WANDB_PROJECT": PROJECT,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
    }
    return {name: value for name, value in own.items() if name not in given}


def open_session(subject: Subject, reference: str | None) -> WandbSession:
    """The step's run."""
    return WandbSession(subject, reference)


class WandbSession:
    """A run, without code, output or measurements of the machine."""

    held: int | None = None

    def __init__(self, subject: Subject, reference: str | None) -> None:
        import wandb

        mode = os.environ["WANDB_MODE"]
        # Offline, a run is its folders; a run on a server is there whatever becomes of them.
        there = mode != "offline" or any(Path(os.environ["WANDB_DIR"]).glob(f"wandb/*-{reference}"))
        self.resumed = reference is not None and there
        self._run: Any = wandb.init(
            id=reference if self.resumed else None,
            resume="allow" if mode == "online" else None,
            name=f"{subject.name}/{subject.step}",
            group=subject.name,
            job_type=subject.command,
            config={"command": subject.command, **subject.settings},
            allow_val_change=True,
            settings=wandb.Settings(
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
                init_timeout=30,
            ),
        )
        self.reference = str(self._run.id)

    def add(self, point: Point, when: float) -> None:
        """One line of the history, with the choices of a trial as columns."""
        choices = {f"choices/{name}": value for name, value in point.chosen.items()}
        self._run.log({**point.values, "seconds": point.seconds, **choices}, step=point.step)

    def conclude(self, answer: Plain) -> None:
        """In the run's summary."""
        self._run.summary.update({f"answer/{name}": value for name, value in answer.items()})

    def close(self, *, finished: bool) -> None:
        """As finished, or as failed."""
        self._run.finish(exit_code=0 if finished else 1)
