"""Trainings whose tasks are written as options."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from torch import nn

from autoscale.training.fit import Fit, fit
from autoscale.training.task import Runtime, TrainingTask


def fitted(network: nn.Module, **options: Any) -> Fit:
    """`fit`, with the fields of its task and its runtime and its own options side by side."""
    task = TrainingTask(**_taken(TrainingTask, options))
    return fit(network, task, Runtime(**_taken(Runtime, options)), **options)


def _taken(kind: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {f.name: options.pop(f.name) for f in fields(kind) if f.name in options}
