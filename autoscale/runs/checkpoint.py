"""A training in progress on disk: numbers and text, no code."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from autoscale.design.versions import FORMAT, UPGRADE, version_problem
from autoscale.errors import RunConflict
from autoscale.runs.store import write_bytes
from autoscale.training.state import Epoch, Snapshot

#: Of a safetensors header, where it holds a training and not just weights.
KEY = "autoscale-training"


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write weights, averages, the optimiser's memory and the epochs so far, whole or not at all.

    Raises:
        StorageProblem: if the disk does not take it.
    """
    about = {
        "format": FORMAT,
        "epochs": [epoch.to_dict() for epoch in snapshot.epochs],
        "halved": snapshot.halved,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in snapshot.tensors.items()
    }
    write_bytes(path, save(tensors, {KEY: json.dumps(about)}))


def read_snapshot(path: Path) -> Snapshot | None:
    """What `write_snapshot` wrote; None if there is no such file.

    Raises:
        RunConflict: if it is something else, or of another version.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            about = json.loads((opened.metadata() or {})[KEY])
        if reason := version_problem(about.get("format", 1)):
            raise RunConflict(f"{path} {reason}; {UPGRADE}, or choose another --run")
        epochs = tuple(Epoch(**epoch) for epoch in about["epochs"])
        return Snapshot(epochs, tensors, bool(about["halved"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise RunConflict(
            f"{path} holds no training to go on with ({problem}); restore it from a copy or choose "
            "another --run"
        ) from None
