"""What trackers hold of a run, by their own readers, each in a process of its own.

python readers.py NAME RUN STEP
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def mlflow(run: Path, step: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run}/mlflow/mlflow.db")
    (experiment,) = client.search_experiments(filter_string=f"name = '{run.name}'")
    runs = client.search_runs([experiment.experiment_id])
    (own,) = [one for one in runs if one.info.run_name == step]
    curves: dict[str, list[list[float]]] = {}
    for name in own.data.metrics:
        history = client.get_metric_history(own.info.run_id, name)
        curves[name] = [[one.step, one.value] for one in history]
    below = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == own.info.run_id]
    return {
        "settings": own.data.params,
        "curves": {n: points for n, points in curves.items() if not n.startswith("answer/")},
        "choices": {int(one.info.run_name[6:]): one.data.params for one in below},
        "answer": {
            name[7:]: value
            for name, value in [*own.data.metrics.items(), *own.data.tags.items()]
            if name.startswith("answer/")
        },
        "finished": own.info.status == "FINISHED",
    }


def wandb(run: Path, step: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
    found: dict[str, Any] = {"settings": {}, "curves": {}, "choices": {}, "answer": {}}
    ids = set()
    for folder in sorted((run / "wandb").glob("offline-run-*")):
        told = subprocess.run([*command, folder], capture_output=True, text=True, check=True)
        for record in map(json.loads, told.stdout.splitlines()):
            _read_record(record, found, ids)
    assert len(ids) == 1, ids
    return found


def _read_record(record: dict[str, Any], found: dict[str, Any], ids: set[str]) -> None:
    if record["type"] == "run":
        ids.add(record["run"]["run_id"])
        found["settings"] = record["run"]["config"]["update"]
    elif record["type"] == "history":
        row = record["history"]["item"]
        number = row.pop("_step")
        for name, value in row.items():
            if name.startswith("choices/"):
                found["choices"].setdefault(number, {})[name[8:]] = value
            elif not name.startswith("_"):
                found["curves"].setdefault(name, []).append([number, value])
    elif record["type"] == "summary":
        told = record["summary"].get("update", {})
        found["answer"] |= {n[7:]: value for n, value in told.items() if n.startswith("answer/")}
    elif record["type"] == "exit":
        found["finished"] = record["exit"].get("exit_code", 0) == 0


def trackio(run: Path, step: str) -> dict[str, Any]:
    os.environ["TRACKIO_DIR"] = str(run / "trackio")
    import trackio as library
    from trackio.sqlite_storage import SQLiteStorage

    from autoscale.tracking.trackio import project_named

    project = project_named(run.name)
    (own,) = [one for one in library.Api().runs(project) if one.name == step]
    found: dict[str, Any] = {"curves": {}, "choices": {}, "answer": {}, "finished": True}
    for row in SQLiteStorage.get_logs(project, own.name, run_id=own.id):
        for name, value in row.items():
            if name.startswith("choices/"):
                found["choices"].setdefault(row["step"], {})[name[8:]] = value
            elif name.startswith("answer/"):
                found["answer"][name[7:]] = value
            elif name not in ("step", "timestamp"):
                found["curves"].setdefault(name, []).append([row["step"], value])
    settings = {n: value for n, value in own.config.items() if not n.startswith("_")}
    return {**found, "settings": settings}


def held(name: str, run: Path, step: str) -> dict[str, Any]:
    """Settings, curves, choices by step, answer, and whether it is over."""
    done = subprocess.run(
        [sys.executable, "-P", __file__, name, run, step],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "WANDB_ERROR_REPORTING": "false",
            "HF_HUB_OFFLINE": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])))
