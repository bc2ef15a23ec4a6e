"""The command that trains one network for good: `autoscale train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autoscale.jobs.train.settings import TrainSettings

if TYPE_CHECKING:
    from autoscale.jobs.train.result import Trained


def train_command(settings: TrainSettings, *, run: Path, as_json: bool) -> None:
    """Train a network in full; the same command continues where it was interrupted.

    Several processes share every batch: torchrun --nproc-per-node 2 -m -- autoscale train ...
    """
    from autoscale.cli.terminal import say, show_json, working
    from autoscale.design.amounts import several
    from autoscale.jobs.train.job import OutOfTime, train

    first = os.environ.get("RANK", "0") == "0"  # one process answers for all
    try:
        with working("finished epochs are kept") as listener:
            trained = train(run, settings, listener=listener)
    except OutOfTime:
        if not first:
            raise typer.Exit(1) from None  # all stop together, and one says so
        raise
    if not first:
        return
    told = trained.result
    if as_json:
        show_json({**told.to_dict(), "weights": str(trained.weights)})
        return
    tested = "" if told.test_accuracy is None else f", {told.test_accuracy:.4f} on test images"
    say(
        f"{told.name}: {told.macs:,} multiply-adds, {told.params:,} parameters, "
        f"{several(told.epochs, 'epoch')}. Best after epoch {told.best_epoch}: "
        f"{_decisive(trained)}accuracy {told.validation_accuracy:.4f} on validation images{tested} "
        f"-> {trained.weights}"
    )


def _decisive(trained: "Trained") -> str:
    """What decided in place of accuracy, to say before it."""
    metric, best, tested = trained.metric, trained.best.score, trained.test_score
    if metric is None or best is None:
        return ""
    more = "" if tested is None else f", {metric.show(tested)} on test images"
    return f"{metric.label} {metric.show(best)} on validation images{more}; "
