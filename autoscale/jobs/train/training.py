"""One training, from its first epoch or from where it was broken off, to its end."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autoscale.answering.answering import Answering
from autoscale.design.cost import cost
from autoscale.jobs.deadline import Deadline, noted
from autoscale.jobs.inheritance import Begun
from autoscale.jobs.record import Record
from autoscale.jobs.tracked import tracking_of, training_point
from autoscale.jobs.train.design import Design
from autoscale.jobs.train.keeper import LAST, Keeper
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.workers.kernels import accelerated
from autoscale.jobs.workers.memory import training_bytes
from autoscale.jobs.workers.proxy import Proxy
from autoscale.listener import Listener
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.several import best_thresholds
from autoscale.models.expected import Expected
from autoscale.network.build import Network, build
from autoscale.network.freeze import freeze
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.store import Journal, StepFolder
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.settings.command import Settings
from autoscale.tracking.tracking import Tracking
from autoscale.training.chance import chance_warning
from autoscale.training.evaluation.evaluate import scored
from autoscale.training.evaluation.evaluation_set import EvaluationSet
from autoscale.training.fit import fit
from autoscale.training.head.features import read_features
from autoscale.training.head.logistic import fit_head
from autoscale.training.parts import classifier_of
from autoscale.training.process_group import ProcessGroup
from autoscale.training.state import Epoch, Snapshot, best_epoch, is_over
from autoscale.training.task import Runtime, TrainingTask

#: Validation images with a label, and without, below which its threshold is not chosen by them.
FEWEST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training, as one of its processes does it."""

    settings: TrainSettings
    design: Design  # for these images
    task: Proxy  # with its images
    step: StepFolder
    peers: ProcessGroup
    listener: Listener
    deadline: Deadline | None = None  # which its epochs were chosen for

    def run(self) -> Trained:
        """Train from the first epoch, or from where an earlier call got to, and say how it went."""
        last = self.step.file(LAST)
        journal = Journal(self.step.file("epochs.jsonl"))
        keeper = Keeper(
            self.step,
            journal,
            self.header(),
            self.task.recipe.epochs,
            self.listener,
            self.task.metric,
        )
        if self.peers.rank != 0:
            return self._trained(read_snapshot(last), keeper, Tracking({}))
        tracking = tracking_of(self.step, self.settings, self.listener, whole=self.asked)
        with self.step.locked(), noted(self.deadline), tracking:
            notes = {
                "device": self.task.device,
                **self.task.transfer.told,
            }  # what was asked for may be "auto"
            record = Record(settings=self.asked, facts=self.facts(), notes=notes)
            resume = record.begin(
                self.step, journal, self.listener, read=lambda _: read_snapshot(last)
            )
            trained = self._trained(resume, keeper, tracking)
            self._conclude(trained)
            tracking.conclude(self.answer(trained))
            told = chance_warning(
                trained.best.decisive or 0.0,
                self.task.images.validation.labels,
                self.task.images.classes,
                metric=self.task.metric,
            )
            if told:
                self.listener.notice(f"warning: {told}")
            return trained

    @property
    def asked(self) -> Settings:
        """The settings of the command, as they are recorded."""
        return self.settings

    def _conclude(self, trained: Trained) -> None:
        """Write the result."""
        self.step.write_result("result.json", trained.result.to_dict())

    def answer(self, trained: Trained) -> dict[str, float | str | None]:
        """What trackers are told that it came to."""
        result = trained.result
        told: dict[str, float | str | None] = {
            "network": result.name,
            "best epoch": result.best_epoch,
            "validation accuracy": result.validation_accuracy,
            "test accuracy": result.test_accuracy,
            "multiply-adds": result.macs,
            "parameters": result.params,
        }
        if (metric := self.task.metric) is not None:
            told[f"validation {metric.label}"] = result.validation_score
            told[f"test {metric.label}"] = result.test_score
        return told

    def facts(self) -> dict[str, Any]:
        """What decides the result and must be the same to go on, as plain data."""
        design = self.design
        return {
            **self.task.record(),
            "network": {**asdict(design), "architecture": design.architecture.to_dict()},
            "processes": self.peers.size,
        }

    def header(self) -> Header:
        """Of the best weights, but for their accuracy."""
        origin, lessons = self.task.transfer.start.origin, self.task.transfer.lessons
        begun = f", begun with weights of {origin.name} as far as they fit" if origin else ""
        taught = f", taught by {lessons.name}" if lessons else ""
        return Header(
            architecture=self.design.architecture.to_dict(),
            style=self._expected.style,
            preparation=self._expected.preparation,
            classes=self.task.images.classes,
            seed=self.task.source.seed,
            group_by=self.task.source.group_by,
            seen=self.task.images.sketch,
            accuracy_of=f"validation images of {self.task.images.name}",
            metric=None if self.task.chosen.usual else self.task.chosen.name,
            provenance=f"autoscale {self.asked.command}, {self._how}{begun}{taught}",
            origin=self._expected.origin,
            licence=self._expected.licence,
            answering=Answering(several=True) if self.task.images.several else None,
        )

    @property
    def _how(self) -> str:
        if self.settings.frozen.features:
            return "the classifier alone"
        uneven = f", {told}" if (told := self.task.balance.told) else ""
        fold = self.task.source.fold
        part = f", without fold {fold.number} of {fold.of}" if fold else ""
        return f"recipe {self.settings.recipe_told}, {self.task.recipe.epochs} epochs{uneven}{part}"

    def _trained(self, resume: Snapshot | None, keeper: "Keeper", tracking: Tracking) -> Trained:
        (module, begun), recipe = self._network(resume), self.task.recipe
        first, done = self.peers.rank == 0, resume.epochs if resume else ()
        if tracking:
            size = self.design.architecture.resolution
            lessons = self.task.transfer.lessons
            further = lessons.unlabelled if lessons else None
            images = len(self.task.images.train) + len(further or ())
            keeper.track(
                tracking,
                done,
                partial(
                    training_point,
                    recipe=recipe,
                    images=images,
                    resolution=size,
                    metric=self.task.metric,
                ),
            )
        if not (is_over(done, recipe, self.task.metric) or (done and self._late(done[-1]))):
            if first:
                self.step.forget("result.json")  # of fewer epochs, where time had ended it
            done = self._epochs(module, begun, resume, keeper)
        if first and self.task.images.several:
            self._choose_thresholds(module, keeper.best)
        counted = cost(self.design.architecture)
        tested, test_score = self._tested(module, keeper.best) if first else (None, None)
        return Trained(
            name=self.design.name,
            epochs=done,
            best=best_epoch(done, self.task.metric),
            test_accuracy=tested,
            macs=counted.macs,
            params=counted.params,
            weights=keeper.best,
            metric=self.task.metric,
            test_score=test_score,
        )

    def _network(self, resume: Snapshot | None) -> tuple[Network, Begun | None]:
        """As the training begins, unless it goes on, which puts other weights into it."""
        task, begun = self.task, None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.source.seed)
            module = build(
                self.design.architecture,
                dropout=self.design.dropout,
                drop_path=self.design.drop_path,
                norm_momentum=task.recipe.norm_momentum,
                **self._expected.style.options,
            )
        if resume is not None:
            done, of = len(resume.epochs), task.recipe.epochs
            self.listener.notice(f"going on after epoch {done} of {of}")
        elif (begun := task.begin(module, self.design.architecture)) is not None:
            for note in begun.notes:
                self.listener.notice(note)
        freeze(module, **asdict(self.settings.frozen))
        return module, begun

    def _epochs(
        self,
        module: nn.Module,
        begun: Begun | None,
        resume: Snapshot | None,
        keeper: "Keeper",
    ) -> tuple[Epoch, ...]:
        """All epochs; `module` has the last one's weights then."""
        network, proxy = accelerated(module, self.task.kernels), self.task
        task = self.task_of(network)
        keep = keeper.keep if self.peers.rank == 0 else None
        if self.settings.frozen.features:
            return self._head_alone(network, task, keep)
        self._tell_memory()
        if (found := proxy.fit_first(network, task, begun)) is not None:
            self.listener.notice(
                "the new classifier is fitted first, on features of the weights as they are: "
                f"accuracy {found.accuracy:.4f} on validation images"
            )
        taught = proxy.answered(self.listener).taught
        runtime = replace(self._runtime, time_limit=self.settings.time_limit)
        given = taught.given(task) if taught else task
        return fit(network, given, runtime, resume=resume, keep=keep, on_epoch=self._late).epochs

    def _late(self, epoch: Epoch) -> bool:
        """Whether an epoch is the last, since one more would exceed the time; a notice says so."""
        most, deadline = self.task.recipe.epochs, self.deadline
        if deadline is None or epoch.number == most or not deadline.late(epoch.seconds):
            return False
        deadline.notice(
            f"warning: epochs take longer than they did when {most} were chosen for --hours "
            f"{deadline.hours:g}: the training ends after epoch {epoch.number}, before its "
            "learning rate came to its end, and its best epoch is kept"
        )
        return True

    def task_of(self, network: nn.Module) -> TrainingTask:
        """What `network` is trained on, with an evaluation after each epoch."""
        return replace(
            self.task.task(self.design.architecture, seed=self.task.source.seed),
            evaluate_after=range(1, self.task.recipe.epochs + 1),
        )

    @property
    def _runtime(self) -> Runtime:
        return replace(self.task.runtime, peers=self.peers)

    @property
    def _expected(self) -> Expected:
        """What the network expects of pictures, and of itself."""
        return self.task.transfer.start.expected

    def _head_alone(
        self, network: nn.Module, task: TrainingTask, keep: Callable[[Snapshot], None] | None
    ) -> tuple[Epoch, ...]:
        """The classifier fitted on features, as a training of one epoch."""
        mirrored = ", mirrored too" if task.recipe.flip else ""
        self.listener.notice(
            f"the classifier alone is trained, by logistic regression on features of the "
            f"{len(task.train):,} pictures as they are{mirrored}; of the recipe nothing else counts"
        )
        started = time.perf_counter()
        fitted = fit_head(classifier_of(network), *read_features(network, task, self._runtime))
        before = time.perf_counter()
        accuracy, score = scored(network, task, task.validation, runtime=self._runtime)
        now = time.perf_counter()
        epoch = Epoch(1, fitted.train_loss, accuracy, now - started, now - before, score)
        tensors = {f"network/{name}": tensor for name, tensor in network.state_dict().items()}
        if keep:
            keep(Snapshot((epoch,), tensors))
        return (epoch,)

    def _tell_memory(self) -> None:
        share = -(-self.task.recipe.batch_size // self.peers.size)
        needed = training_bytes(
            self.design.architecture,
            share,
            kernels=self.task.kernels,
            padding=self._expected.style.padding,
        )
        self.listener.notice(
            f"memory at the peak: about {needed / 2**30:.2g} GiB for {share} images of "
            f"{self.design.architecture.image_size} pixels at once, beside all images and torch "
            "itself"
        )

    def _tested(self, module: nn.Module, best: Path) -> tuple[float | None, float | None]:
        """Accuracy and score of the best weights on the test images; None if there are none."""
        if self.task.images.test is None:
            return None, None
        held = read_weights(best)
        module.load_state_dict(held.state)
        task = self.task.task(self.design.architecture, seed=self.task.source.seed)
        answering = held.header.answering
        return scored(
            module,
            task,
            self.task.images.test,
            runtime=Runtime(device=self.task.device),
            thresholds=(
                answering.thresholds_of(len(self.task.images.classes))
                if answering is not None and answering.several
                else None
            ),
        )

    def _choose_thresholds(self, module: nn.Module, best: Path) -> None:
        """Put the thresholds with the largest F1 on the validation images into the best weights.

        An interrupted call's are kept.
        """
        held, images = read_weights(best), self.task.images
        if held.header.answering is not None and held.header.answering.thresholds is not None:
            return
        module.load_state_dict(held.state)
        shown = EvaluationSet(
            images=images.validation,
            resolution=self.design.architecture.resolution,
            preparation=self.task.preparation,
            runtime=Runtime(device=self.task.device),
        )
        logits = shown.logits(module)
        found = Predictions(images.validation.labels, logits)
        thresholds, chosen = best_thresholds(found, least=FEWEST)
        answering = Answering(
            several=True,
            thresholds=tuple(thresholds.tolist()),
            chosen_on=f"validation images of {images.name}",
        )
        write_weights(best, held.state, replace(held.header, answering=answering))
        told = [f"{name} {own:.3f}" for name, own in zip(images.classes, thresholds, strict=True)]
        self.listener.notice(
            f"thresholds of the labels, by their largest F1 on the {len(found):,} validation "
            f"images: {', '.join(told)}"
        )
        if few := [name for name, by in zip(images.classes, chosen, strict=True) if not by]:
            self.listener.notice(
                f"fewer than {FEWEST} validation images have or lack {', '.join(few)}: 0.5 there"
            )
