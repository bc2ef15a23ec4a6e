"""Train a network of the same design without each fold of the images in turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from autoscale.datasets.data import FoldImages
from autoscale.datasets.folded import FoldPlan, plan_folds
from autoscale.datasets.pictures.folds import Fold
from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.pictures.preparation import in_bands
from autoscale.datasets.seen import share_among
from autoscale.errors import InvalidSetting
from autoscale.jobs.clock import now
from autoscale.jobs.folds.result import (
    ANSWERS,
    RESULT,
    STEP,
    CrossValidated,
    FoldResult,
    fold_folder,
)
from autoscale.jobs.folds.telling import FoldListener, Told
from autoscale.jobs.record import Record
from autoscale.jobs.tracked import tracking_of
from autoscale.jobs.train.begin import begun
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.train.training import Training
from autoscale.listener import Listener, Silent
from autoscale.metrics.answers import Accuracy
from autoscale.metrics.folds import OverFolds, over_folds
from autoscale.metrics.metric import Metric
from autoscale.metrics.predictions import Predictions
from autoscale.network.threads import threads_of_torch
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.runs.weights import read_weights
from autoscale.settings.function import takes_settings
from autoscale.tracking.tracking import require_trackers
from autoscale.training.evaluation.evaluation_set import EvaluationSet
from autoscale.training.failures import OutOfTime
from autoscale.training.process_group import ALONE


@takes_settings(TrainSettings)
def train_folds(
    run: str | Path = "runs/train",
    *,
    settings: TrainSettings,
    listener: Listener | None = None,
) -> CrossValidated:
    """Train a network without each fold, and say how good they are on what they have not seen.

    The validation images of a fold's network, by which its best epoch is chosen, are of the other
    folds, so a fold decides nothing about the network that answers it. Folds that are finished are
    not trained again, and one that was broken off goes on.

    Args:
        run: the run directory; this step writes its `folds` folder.
        listener: told of progress; by default nobody.

    Returns:
        The metric and accuracy of all answers, and of each fold; the files of answers and weights.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    listener = listener or Silent()
    require_trackers(settings.track)
    if settings.folds is None:
        raise InvalidSetting("folds is missing; say how many, such as --folds 5, or call train")
    if (processes := os.environ.get("WORLD_SIZE", "1")) != "1":  # which torchrun sets
        raise InvalidSetting(
            f"--folds {settings.folds} trains in one process, and torchrun started {processes}; "
            "call it without torchrun"
        )
    step = StepFolder(Path(run), STEP)
    with (
        step.locked(),
        threads_of_torch(settings.threads),
        tracking_of(step, settings, listener) as tracking,
    ):
        found = _Course(Path(run), settings, settings.folds, listener).carried_out()
        decisive = found.metric or found.accuracy
        tracking.conclude(
            {
                "network": found.name,
                "folds": len(found.folds),
                "accuracy": found.accuracy.value,
                decisive.metric.label: decisive.value,
                "multiply-adds": found.macs,
                "parameters": found.params,
            }
        )
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Answered:
    """A fold, and what its network said of it."""

    trained: Trained
    predictions: Predictions
    images: FoldImages
    classes: tuple[str, ...]
    metric: Metric | None


@dataclass(frozen=True)
class _Course:
    """All trainings."""

    run: Path
    settings: TrainSettings
    folds: int
    listener: Listener
    told: Told = field(default_factory=Told)

    def carried_out(self) -> CrossValidated:
        """Train what is not trained yet, and write what all of them say."""
        started, answered = now(), list[_Answered]()
        for fold in self._each:
            spent = now() - started
            began = now()
            training = self._begun(fold, spent)
            if fold.number == 1:
                self._claim(training)
            self._tell_seen(training)
            before = len(Journal(training.step.file("epochs.jsonl")).read())
            trained = training.run()
            if len(trained.epochs) > before == 0:
                self.told.seconds.append(now() - began)
            answered.append(_answers(training, trained))
        return self._written(answered)

    @property
    def _each(self) -> Iterator[Fold]:
        return (Fold(number=number, of=self.folds) for number in range(1, self.folds + 1))

    def _begun(self, fold: Fold, spent: float) -> Training:
        """A fold's training, with its images.

        Raises:
            OutOfTime: if no time is left.
        """
        asked, most = self.settings, self.settings.time_limit
        if most is not None and spent >= most:
            raise OutOfTime(
                f"{most:g} seconds were over before fold {fold.number} of {fold.of}; allow more, "
                "or fewer epochs: what is finished is kept"
            )
        if most is not None:
            asked = replace(asked, time_limit=most - spent)
        heard = FoldListener(listener=self.listener, fold=fold, told=self.told)
        training = begun(asked, fold_folder(self.run, fold.number), ALONE, heard, fold=fold)
        heard.trains = True
        return training

    def _claim(self, first: Training) -> None:
        """Refuse what some fold could not be trained or judged on, then claim the folder.

        Raises:
            DataProblem, InvalidSetting: naming what a fold lacks.
            RunConflict: if other folds were begun there.
        """
        source = first.task.source
        plan = plan_folds(
            source.data,
            replace(source.selection(test=True), fold=None),
            folds=self.folds,
            arrays=in_bands(first.task.preparation.channels),
        )
        _require_metric(plan, first.task.metric)
        for sentence in plan.told:
            self.listener.notice(sentence)
        facts: dict[str, Any] = {**first.facts(), "images": plan.fingerprint}
        del facts["fold"]
        record = Record(
            settings=replace(self.settings, weights=first.settings.weights),
            facts=facts,
            notes={"device": first.task.device, "epochs_each": first.task.recipe.epochs},
        )
        journal = Journal(first.step.file("epochs.jsonl"))
        step = StepFolder(self.run, STEP)
        record.begin(step, journal, self.listener, read=lambda journal: None)

    def _tell_seen(self, training: Training) -> None:
        """Say so where weights to begin with, or a teacher, have seen images of the fold."""
        transfer = training.task.transfer
        start, lessons = transfer.start.held, transfer.lessons
        seen = {"--weights": start.header.seen if start else None}
        if lessons is not None and lessons.held is not None:
            seen["--teacher"] = lessons.held.seen
        for flag, images in seen.items():
            share = share_among(images, training.task.images.held_out)
            if share > 0:
                training.listener.notice(
                    f"warning: about {100 * share:.0f} % of the images that {flag} has seen are "
                    f"among this fold: its accuracy flatters; give {flag} of other images"
                )

    def _written(self, answered: list[_Answered]) -> CrossValidated:
        step = StepFolder(self.run, STEP)
        found = self._together(answered, step)
        write_text(step.file(ANSWERS), _answers_table(answered).to_csv(index=False))
        step.write_result(RESULT, found.to_dict())
        return found

    def _together(self, answered: list[_Answered], step: StepFolder) -> CrossValidated:
        first = answered[0]
        return CrossValidated(
            name=first.trained.name,
            macs=first.trained.macs,
            params=first.trained.params,
            images=sum(len(one.predictions) for one in answered),
            folds=tuple(_of_fold(number, one) for number, one in enumerate(answered, start=1)),
            accuracy=self._pooled(Accuracy(), answered),
            metric=None if first.metric is None else self._pooled(first.metric, answered),
            answers=step.file(ANSWERS),
            weights=tuple(one.trained.weights for one in answered),
        )

    def _pooled(self, metric: Metric, answered: list[_Answered]) -> OverFolds:
        order = np.argsort(np.concatenate([one.images.places for one in answered]))
        numbers = [np.full(len(one.predictions), n) for n, one in enumerate(answered, start=1)]
        groups: list[str] | None = None
        if answered[0].images.groups is not None:
            unordered = [group for one in answered for group in one.images.groups or ()]
            groups = [unordered[i] for i in order]
        return over_folds(
            metric,
            Predictions(
                np.concatenate([one.predictions.labels for one in answered])[order],
                np.concatenate([one.predictions.logits for one in answered])[order],
            ),
            np.concatenate(numbers)[order],
            groups=groups,
            seed=self.settings.seed,
        )


def _require_metric(plan: FoldPlan, metric: Metric | None) -> None:
    """
    Raises:
        InvalidSetting: if the metric says nothing of some fold's images.
    """
    if metric is None:
        return
    for number, parts in enumerate(plan.labels, start=1):
        for part, called in (("validation", "validation"), ("test", "own")):
            metric.require(parts[part], plan.classes, part=f"fold-{number} {called}")


def _answers(training: Training, trained: Trained) -> _Answered:
    """What the best weights of a fold's network say of the fold."""
    task, architecture = training.task, training.design.architecture
    images, fold = task.images.test, task.images.fold
    assert images is not None
    assert fold is not None
    with torch.random.fork_rng(devices=[]):  # weights are made, and overwritten
        network = task.realised(architecture)
    network.load_state_dict(read_weights(trained.weights).state)
    shown = EvaluationSet(
        images=images,
        resolution=architecture.resolution,
        preparation=task.preparation,
        runtime=task.runtime,
    )
    logits = shown.logits(network.to(task.device))
    return _Answered(
        trained=trained,
        predictions=Predictions(images.labels, logits),
        images=fold,
        classes=task.images.classes,
        metric=task.metric,
    )


def _of_fold(number: int, one: _Answered) -> FoldResult:
    best = one.trained.best
    assert best.accuracy is not None
    return FoldResult(
        fold=number,
        images=len(one.predictions),
        accuracy=float(one.predictions.right.mean()),
        score=None if one.metric is None else one.metric.of(one.predictions),
        validation_accuracy=best.accuracy,
        epochs=len(one.trained.epochs),
        best_epoch=best.number,
    )


def _answers_table(answered: list[_Answered]) -> pd.DataFrame:
    """One row an image, in the order of the source."""
    rows = [
        (place, shown(name), one.classes[label], one.classes[answer], number)
        for number, one in enumerate(answered, start=1)
        for place, name, label, answer in zip(
            one.images.places.tolist(),
            one.images.names,
            one.predictions.labels.tolist(),
            one.predictions.answers.tolist(),
            strict=True,
        )
    ]
    table = pd.DataFrame(sorted(rows), columns=["place", "image", "class", "answer", "fold"])
    return table.drop(columns="place")
