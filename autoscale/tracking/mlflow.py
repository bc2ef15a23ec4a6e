"""Runs in MLflow: a database in the run directory, or what MLFLOW_TRACKING_URI names.

A step is a run, named by its folder, in the experiment of the run directory. Each trial of a search
is a run below it with its choices as parameters, as MLflow shows sweeps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoscale.tracking.point import TRIAL, Plain, Point, Subject

#: Of the run directory.
FOLDER = "mlflow"
#: Longest text that MLflow keeps as a parameter; a tag takes fewer.
_LONGEST = 5000


def environment(subject: Subject, given: Mapping[str, str]) -> dict[str, str]:
    """No usage statistics, a database in the run directory, and short patience with a server."""
    own = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_TRACKING_URI": f"sqlite:///{_folder(subject)}/mlflow.db",
    }
    return {name: value for name, value in own.items() if name not in given}


def _folder(subject: Subject) -> Path:
    return Path(subject.run) / FOLDER


def open_session(subject: Subject, reference: str | None) -> MlflowSession:
    """The step's run."""
    return MlflowSession(subject, reference)


class MlflowSession:
    """A run, and the runs of its trials below it."""

    held: int | None = None

    def __init__(self, subject: Subject, reference: str | None) -> None:
        from mlflow import MlflowClient

        _folder(subject).mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient()
        self._experiment = self._experiment_of(subject)
        found = self._there(reference)
        self.resumed = found is not None
        self.reference: str = found or self._begun(subject.step)
        self._client.update_run(self.reference, status="RUNNING")
        self._describe(self.reference, {"command": subject.command, **subject.asked})

    def add(self, point: Point, when: float) -> None:
        """A curve a value; a trial has a run of its own too."""
        values = {**point.values, "seconds": point.seconds}
        self._log(self.reference, values, point.step, when)
        if point.choices is None:
            return
        trial = self._trial(point.trial) or self._begun(point.trial, self.reference)
        own = {name.removeprefix(TRIAL): value for name, value in point.own.items()}
        self._log(trial, own, point.step, when)
        self._describe(trial, point.chosen)
        self._client.set_terminated(trial, "FINISHED")

    def conclude(self, answer: Plain) -> None:
        """Numbers as metrics, texts as tags."""
        numbers = {f"answer/{n}": v for n, v in answer.items() if not isinstance(v, str)}
        self._log(self.reference, numbers, 0, None)
        for name, value in answer.items():
            if isinstance(value, str):
                self._client.set_tag(self.reference, _named(f"answer/{name}"), value[:_LONGEST])

    def close(self, *, finished: bool) -> None:
        """With the status that MLflow has for it."""
        self._client.set_terminated(self.reference, "FINISHED" if finished else "KILLED")

    def _experiment_of(self, subject: Subject) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", subject.name)
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Of a database beside it; a server knows a place itself.
        own = os.environ["MLFLOW_TRACKING_URI"] == environment(subject, {})["MLFLOW_TRACKING_URI"]
        place = {"artifact_location": (_folder(subject) / "artifacts").as_uri()} if own else {}
        return str(self._client.create_experiment(name, **place))

    def _there(self, reference: str | None) -> str | None:
        from mlflow.exceptions import MlflowException

        if reference is None:
            return None
        try:
            found = self._client.get_run(reference).info
        except MlflowException as problem:
            if problem.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return reference if found.lifecycle_stage == "active" else None

    def _begun(self, name: str, parent: str | None = None) -> str:
        tags = {} if parent is None else {"mlflow.parentRunId": parent}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        return str(run.info.run_id)

    def _trial(self, name: str) -> str | None:
        """The run of a trial that an earlier call began and perhaps could not note."""
        below = f"tags.`mlflow.parentRunId` = '{self.reference}'"
        found = self._client.search_runs(
            [self._experiment], f"{below} and attributes.run_name = '{name}'", max_results=1
        )
        return str(found[0].info.run_id) if found else None

    def _log(self, run: str, values: Mapping[str, float], step: int, when: float | None) -> None:
        from mlflow.entities import Metric

        if when is None:
            when = self._client.get_run(run).info.start_time / 1000
        metrics = [
            Metric(_named(name), float(value), round(1000 * when), step)
            for name, value in values.items()
        ]
        self._client.log_batch(run, metrics=metrics)

    def _describe(self, run: str, values: Plain) -> None:
        """As parameters; what has another value than in an earlier call, as a tag."""
        from mlflow.entities import Param, RunTag

        texts = {_named(name): str(value)[:_LONGEST] for name, value in values.items()}
        held = self._client.get_run(run).data.params
        new: list[Any] = [Param(name, text) for name, text in texts.items() if name not in held]
        changed = [RunTag(n, text) for n, text in texts.items() if held.get(n, text) != text]
        self._client.log_batch(run, params=new, tags=changed)


def _named(name: str) -> str:
    """A name as MLflow takes one: it refuses what is neither letter, digit, space nor of -_./:."""
    return re.sub(r"[^\w\-./: ]", "_", name)[:250]
