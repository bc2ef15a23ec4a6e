"""The commands that train networks for good, `autoscale train`, `train-family` and `cut`, and what
says beforehand if weights help, `try-weights`."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autoscale.jobs.nested.settings import CutSettings, TrainFamilySettings
from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.jobs.train.settings import TrainSettings

if TYPE_CHECKING:
    from autoscale.jobs.nested.result import MemberResult, TrainedFamily
    from autoscale.jobs.starts.result import WeightsTried
    from autoscale.jobs.train.result import Trained


def train_command(settings: TrainSettings, *, run: Path, as_json: bool) -> None:
    """Train a network in full; the same command continues where it was interrupted.

    Several processes share every batch: torchrun --nproc-per-node 2 -m -- autoscale train ...
    """
    from autoscale.cli.terminal import say, show_json, working
    from autoscale.design.amounts import several
    from autoscale.jobs.train.job import OutOfTime, train

    if settings.folds is not None:
        _train_folds(settings, run, as_json=as_json)
        return
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


def _train_folds(settings: TrainSettings, run: Path, *, as_json: bool) -> None:
    from autoscale.cli.terminal import say, show_json, show_table, working
    from autoscale.jobs.folds.job import train_folds
    from autoscale.jobs.folds.result import folds_table

    with working("finished epochs are kept") as listener:
        found = train_folds(run, settings, listener=listener)
    if as_json:
        weights = [str(file) for file in found.weights]
        show_json({**found.to_dict(), "answers": str(found.answers), "weights": weights})
        return
    table = folds_table(found)
    show_table(
        table,
        title=f"Folds of {found.name}, each answered by a network that has not seen it",
        columns=tuple(table.columns),
        spare=("best_epoch", "epochs"),
    )
    decisive = [] if found.metric is None else [found.metric.sentence]
    say(
        f"{found.name}: {found.macs:,} multiply-adds, {found.params:,} parameters, "
        f"{found.images:,} images answered once each. "
        f"{'. '.join([*decisive, found.accuracy.sentence])} -> {found.answers}"
    )


def _decisive(trained: "Trained") -> str:
    """What decided in place of accuracy, to say before it."""
    metric, best, tested = trained.metric, trained.best.score, trained.test_score
    if metric is None or best is None:
        return ""
    more = "" if tested is None else f", {metric.show(tested)} on test images"
    return f"{metric.label} {metric.show(best)} on validation images{more}; "


def train_family_command(settings: TrainFamilySettings, *, run: Path, as_json: bool) -> None:
    """Train a family: in one set of weights, or each member out of the one before.

    In one set of weights every member is the first part of the largest; `autoscale cut` takes it
    out. The same command continues where it was interrupted.
    """
    from autoscale.cli.terminal import (
        CONVENTION,
        explain,
        records,
        say,
        show_json,
        show_table,
        working,
    )
    from autoscale.jobs.nested.job import train_family

    with working("finished epochs are kept") as listener:
        trained = train_family(run, settings, listener=listener)
    if as_json:
        told, weights = trained.largest.result.to_dict(), str(trained.largest.weights)
        show_json({**told, "weights": weights, "members": records(trained.table)})
        return
    how = "each out of the one before" if settings.grow else "each cut out of the weights of all"
    show_table(
        trained.table,
        title=f"Members, {how}",
        columns=tuple(trained.table.columns),
        spare=("phi", "pixels", "params", "seconds") if settings.grow else ("phi", "pixels"),
    )
    say(_grown_files(run) if settings.grow else _where_to_cut(run, trained, settings.each_step))
    explain(CONVENTION)


def _grown_files(run: Path) -> str:
    """Where the members' weights lie, and what the table's columns mean."""
    from autoscale.jobs.grown.result import member_folder

    file = member_folder(run, "NAME").file("best.safetensors")
    return (
        f"Each member's weights -> {file}. begins_at: accuracy on validation images before the "
        "first step; overtakes_after: the first epoch after which it was as accurate as the member "
        "before at its best"
    )


def _where_to_cut(run: Path, trained: "TrainedFamily", each_step: str) -> str:
    """What was trained, and how one member is had."""
    from autoscale.design.amounts import several

    largest = trained.members[-1].name
    seen = "one member" if each_step == "one" else f"{largest}, the smallest and one of the others"
    return (
        f"{several(len(trained.largest.epochs), 'epoch')}, each image once in each by {seen} -> "
        f"{trained.largest.weights}. A file of one member: "
        f"autoscale cut --run {shlex.quote(str(run))} --member {trained.members[0].name}"
    )


def _how_good(member: "MemberResult") -> str:
    """How good a member is; of images with several labels by mean average precision too."""

    def on_images(words: str, validation: float, test: float | None) -> str:
        tested = "" if test is None else f", {test:.4f} on test images"
        return f"{words} {validation:.4f} on validation images{tested}"

    accuracy = on_images("accuracy", member.validation_accuracy, member.test_accuracy)
    if member.validation_map is None:
        return accuracy
    precision = on_images("mean average precision", member.validation_map, member.test_map)
    return f"{precision}; {accuracy} (exact match)"


def cut_command(settings: CutSettings, *, run: Path, as_json: bool) -> None:
    """Write a network out of a family that train-family has trained: a member, or the largest
    design between members that keeps a limit."""
    from dataclasses import asdict

    from autoscale.cli.terminal import Live, say, show_json
    from autoscale.jobs.nested.cut import cut

    found = cut(run, settings, listener=Live())
    if as_json:
        trained = None if found.trained is None else found.trained.to_dict()
        show_json({**asdict(found), "trained": trained, "weights": str(found.weights)})
        return
    known = found.trained
    why = "its training is not finished" if found.member else "it was no member"
    accuracy = (
        f"{why}, so its accuracy is not known: autoscale evaluate tells it"
        if known is None
        else _how_good(known)
    )
    say(
        f"{found.name}: {found.macs:,} multiply-adds, {found.params:,} parameters, "
        f"{found.pixels} pixels; {accuracy} -> {found.weights}"
    )


def try_weights_command(settings: TryWeightsSettings, *, run: Path, as_json: bool) -> None:
    """Do weights help on your images? Short trainings with them and without, side by side.

    Of each network a few pairs are trained for equal CPU-seconds. The advice says with a 95 %
    interval whether to use the weights, to begin from scratch, or that it makes no difference which
    so few trainings can show. The same command goes on where it was interrupted.
    """
    from autoscale.cli.terminal import working
    from autoscale.jobs.starts.job import try_weights

    with working() as listener:
        found = try_weights(run, settings, listener=listener)
    _show_tried(found, as_json)


def _show_tried(found: "WeightsTried", as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, say, show_json, show_table

    if as_json:
        show_json({"convention": CONVENTION, **found.to_dict()})
        return
    table = found.table
    columns = ("network", "pixels", "macs", "start", "epochs", "rate", "accuracy", "cpu_seconds")
    show_table(
        table,
        title=f"Networks with weights of {found.source} and without",
        columns=columns,
        spare=("rate", "pixels", "network"),
    )
    for sentence in found.sentences:
        say(f"{sentence[0].upper()}{sentence[1:]}.")
    explain(
        "accuracy: on validation images, mean over pairs; the interval covers other seeds and "
        "other images, not longer trainings"
    )
    explain(CONVENTION)
