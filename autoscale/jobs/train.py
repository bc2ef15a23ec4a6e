"""Train one network for good: a family's member, a design or a published network."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.rounding import at_resolution
from autoscale.errors import InvalidSetting
from autoscale.jobs.curves import training_point
from autoscale.jobs.family import load_member
from autoscale.jobs.family_weights import require_not_gone, weights_beside
from autoscale.jobs.inheritance import Begun, suited
from autoscale.jobs.names import NO_WEIGHTS
from autoscale.jobs.record import Record
from autoscale.jobs.start import Start
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.train_settings import TrainSettings
from autoscale.jobs.workers.kernels import accelerated, choose_kernels
from autoscale.jobs.workers.memory import training_bytes
from autoscale.jobs.workers.proxy import Proxy, recipe_named
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener, Progress, Silent
from autoscale.models.count import is_member, load_architecture
from autoscale.models.expected import Expected
from autoscale.network.build import Network, build
from autoscale.network.freeze import freeze
from autoscale.network.threads import threads_of_torch
from autoscale.runs.checkpoint import read_snapshot, write_snapshot
from autoscale.runs.contents import TrainingResult
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.runs.tensorboard import Curves, Point, require_tensorboard
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.scaling.family import Member
from autoscale.settings.function import takes_settings
from autoscale.training.chance import chance_warning
from autoscale.training.failures import OutOfTime as OutOfTime  # for who calls `train`
from autoscale.training.fit import evaluate, fit
from autoscale.training.head.features import read_features
from autoscale.training.head.logistic import fit_head
from autoscale.training.parts import classifier_of
from autoscale.training.process_group import ProcessGroup, joined
from autoscale.training.recipe import Recipe
from autoscale.training.state import Epoch, Snapshot, best_epoch, is_over
from autoscale.training.task import Runtime, TrainingTask, device_named

STEP = "train"
#: The file of a training in progress.
LAST = "last.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished training."""

    name: str
    epochs: tuple[Epoch, ...]
    best: Epoch  # the most accurate on the validation images, the first of equals
    test_accuracy: float | None  # of the best weights; None without test images
    macs: int
    params: int
    weights: Path  # of the best epoch

    @property
    def result(self) -> TrainingResult:
        """What is kept of it, and told."""
        best, last = self.best.accuracy, self.epochs[-1].accuracy
        assert best is not None
        assert last is not None
        return TrainingResult(
            name=self.name,
            epochs=len(self.epochs),
            best_epoch=self.best.number,
            validation_accuracy=best,
            last_validation_accuracy=last,
            test_accuracy=self.test_accuracy,
            macs=self.macs,
            params=self.params,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is to be trained."""

    name: str
    architecture: Architecture
    dropout: float = 0.0
    drop_path: float = 0.0


@takes_settings(TrainSettings)
def train(
    run: str | Path = "runs/train",
    *,
    settings: TrainSettings,
    listener: Listener | None = None,
) -> Trained:
    """Train a network and keep its best and its last weights in `run`/train.

    The same call continues a broken training after its last whole epoch, to the same bits. Under
    torchrun the processes share every batch; the first of them writes.

    The style, the mean and the deviation of the trained network are those of the weights that it
    starts from: as given, else as `expected.expected_by` finds out.

    Args:
        run: the run directory; this step writes its `train` folder.
        listener: told of progress; by default nobody.

    Returns:
        The epochs, the best one, and the file of its weights.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    listener = listener or Silent()
    if settings.tensorboard:
        require_tensorboard()
    with joined() as peers, threads_of_torch(settings.threads):
        if peers.rank != 0:
            listener = Silent()
        return _begun(settings, StepFolder(Path(run), STEP), peers, listener).run()


def _begun(
    settings: TrainSettings, step: StepFolder, peers: ProcessGroup, listener: Listener
) -> "_Training":
    """The training with its network, its start and its images read."""
    device = _device_for(peers, settings.device)
    settings = _with_member_weights(settings, step, listener)
    design = _design(settings)
    size = settings.resolution or design.architecture.resolution
    start = Start.of(
        replace(settings, weights=None) if settings.weights == NO_WEIGHTS else settings,
        at_resolution(design.architecture, size),
        network=settings.network,
    )
    for note in start.notes:
        listener.notice(note)
    lessons = Lessons.of(
        settings, unlabelled=settings.unlabelled, device=device, threads=settings.threads
    )
    task = Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed,
            limit=settings.limit,
            strict=settings.strict,
            white_level=start.expected.preparation.white_level,
        ),
        recipe=_recipe(settings),
        kernels=choose_kernels(settings.kernels, device=device, listener=listener),
        device=device,
        threads=settings.threads,
        transfer=Transfer(start=start, lessons=lessons),
        inheriting_rate=None,  # the recipe has it, see `_at_suited_rate`
    ).load(size=size, test=True, listener=listener)
    architecture = _fitted(design, size, len(task.images.classes), listener)
    if settings.learning_rate is None:
        task = _at_suited_rate(task, start, architecture, listener)
    return _Training(
        settings=settings,
        design=replace(design, architecture=architecture),
        task=task,
        step=step,
        peers=peers,
        listener=listener,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """One training, as one of its processes does it."""

    settings: TrainSettings
    design: Design  # for these images
    task: Proxy  # with its images
    step: StepFolder
    peers: ProcessGroup
    listener: Listener

    def run(self) -> Trained:
        """Train from the first epoch, or from where an earlier call got to, and say how it went."""
        last = self.step.file(LAST)
        journal = Journal(self.step.file("epochs.jsonl"))
        keeper = _Keeper(self.step, journal, self.header(), self.task.recipe.epochs, self.listener)
        if self.peers.rank != 0:
            return self._trained(read_snapshot(last), keeper)
        with self.step.locked():
            notes = {
                "device": self.task.device,
                **self.task.transfer.told,
            }  # what was asked for may be "auto"
            record = Record(settings=self.settings, facts=self.facts(), notes=notes)
            resume = record.begin(
                self.step, journal, self.listener, read=lambda _: read_snapshot(last)
            )
            trained = self._trained(resume, keeper)
            self.step.write_result("result.json", trained.result.to_dict())
            told = chance_warning(
                trained.best.accuracy or 0.0,
                self.task.images.validation.labels,
                self.task.images.classes,
            )
            if told:
                self.listener.notice(f"warning: {told}")
            return trained

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
        how = f"recipe {self.settings.recipe}, {self.task.recipe.epochs} epochs"
        if self.settings.frozen.features:
            how = "the classifier alone"
        begun = f", begun with weights of {origin.name} as far as they fit" if origin else ""
        taught = f", taught by {lessons.name}" if lessons else ""
        return Header(
            architecture=self.design.architecture.to_dict(),
            style=self._expected.style,
            preparation=self._expected.preparation,
            classes=self.task.images.classes,
            seed=self.task.source.seed,
            seen=self.task.images.sketch,
            accuracy_of=f"validation images of {self.task.images.name}",
            provenance=f"autoscale train, {how}{begun}{taught}",
            origin=self._expected.origin,
            licence=self._expected.licence,
        )

    def _trained(self, resume: Snapshot | None, keeper: "_Keeper") -> Trained:
        (module, begun), recipe = self._network(resume), self.task.recipe
        first, done = self.peers.rank == 0, resume.epochs if resume else ()
        if self.settings.tensorboard and first:
            size = self.design.architecture.resolution
            lessons = self.task.transfer.lessons
            further = lessons.unlabelled if lessons else None
            images = len(self.task.images.train) + len(further or ())
            keeper.draw(
                done, partial(training_point, recipe=recipe, images=images, resolution=size)
            )
        if not is_over(done, recipe):
            done = self._epochs(module, begun, resume, keeper)
        counted = cost(self.design.architecture)
        return Trained(
            name=self.design.name,
            epochs=done,
            best=best_epoch(done),
            test_accuracy=self._tested(module, keeper.best) if first else None,
            macs=counted.macs,
            params=counted.params,
            weights=keeper.best,
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
        keeper: "_Keeper",
    ) -> tuple[Epoch, ...]:
        """All epochs; `module` has the last one's weights then."""
        network, proxy = accelerated(module, self.task.kernels), self.task
        task = replace(
            proxy.task(self.design.architecture, seed=proxy.source.seed),
            evaluate_after=range(1, proxy.recipe.epochs + 1),
        )
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
        return fit(network, given, runtime, resume=resume, keep=keep).epochs

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
        accuracy = evaluate(
            network,
            task.validation,
            resolution=task.resolution,
            preparation=task.preparation,
            runtime=self._runtime,
        )
        now = time.perf_counter()
        epoch = Epoch(1, fitted.train_loss, accuracy, now - started, now - before)
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
            f"{self.design.architecture.resolution} pixels at once, beside all images and torch "
            "itself"
        )

    def _tested(self, module: nn.Module, best: Path) -> float | None:
        """Accuracy of the best weights on the test images; None if there are none."""
        if self.task.images.test is None:
            return None
        module.load_state_dict(read_weights(best).state)
        return evaluate(
            module,
            self.task.images.test,
            resolution=self.design.architecture.resolution,
            preparation=self._expected.preparation,
            runtime=Runtime(device=self.task.device),
        )


def _with_member_weights(
    settings: TrainSettings, step: StepFolder, listener: Listener
) -> TrainSettings:
    """With the weights that `autoscale family` wrote beside the member, unless others are named."""
    path = Path(settings.network)
    if settings.weights is not None or not (path.is_file() and is_member(path)):
        return settings
    found = weights_beside(path)
    if found is None:
        require_not_gone(path, step)
        return settings
    listener.notice(
        f"{path.stem} begins with the weights that family wrote beside it, {found}; --weights "
        f"{NO_WEIGHTS} begins with random ones"
    )
    return replace(settings, weights=str(found))


def _recipe(settings: TrainSettings) -> Recipe:
    """The recipe of that name, with what is given in place of its own."""
    recipe = recipe_named(settings.recipe, epochs=settings.epochs)
    if settings.batch_size is not None:
        recipe = recipe.with_batch(settings.batch_size)
    given = {
        name: value
        for name in ("learning_rate", "layer_decay", "patience")
        if (value := getattr(settings, name)) is not None
    }
    if settings.frozen.features:
        given["epochs"] = 1
    return replace(recipe, **given)


def _at_suited_rate(
    task: Proxy, start: Start, architecture: Architecture, listener: Listener
) -> Proxy:
    """At another rate than the recipe's where that suits the weights; a notice says so."""
    recipe = suited(task.recipe, start, architecture)
    if recipe != task.recipe:
        listener.notice(
            f"the peak learning rate is {recipe.learning_rate:g} in place of the recipe's "
            f"{task.recipe.learning_rate:g}, which suits weights of another design; "
            "--learning-rate sets it"
        )
    return replace(task, recipe=recipe)


def _device_for(peers: ProcessGroup, device: str) -> str:
    """
    Raises:
        InvalidSetting: if there is no such device, or several processes are to use another than a
            CPU.
    """
    named = str(device_named(device))
    if peers.size > 1 and named != "cpu":
        raise InvalidSetting(f"several processes train on cpu only, asked for {named}")
    return named


def metrics_table(epochs: Sequence[Epoch]) -> pd.DataFrame:
    """One row an epoch."""
    return pd.DataFrame([asdict(epoch) for epoch in epochs]).rename(columns={"number": "epoch"})


class _Keeper:
    """Writes what a training leaves behind after each epoch."""

    def __init__(
        self, step: StepFolder, journal: Journal, header: Header, epochs: int, listener: Listener
    ) -> None:
        self.best = step.file("best.safetensors")
        self._last, self._metrics = step.file(LAST), step.file("metrics.csv")
        self._journal, self._header = journal, header
        self._epochs, self._listener = epochs, listener
        self._curves: Curves | None = None

    def draw(self, done: Sequence[Epoch], point: Callable[[Sequence[Epoch]], Point]) -> None:
        """Write curves too, from the epochs that are done; `point` gives that of the last one."""
        self._point = point
        points = [point(done[:number]) for number in range(1, len(done) + 1)]
        self._curves = Curves(self._last.parent, points)

    def keep(self, snapshot: Snapshot) -> None:
        """The best weights first: the snapshot then stands for all that is on disk."""
        epoch, best = snapshot.epochs[-1], best_epoch(snapshot.epochs)
        if best is epoch:
            state = {name.removeprefix("network."): t for name, t in snapshot.weights.items()}
            write_weights(self.best, state, replace(self._header, accuracy=epoch.accuracy))
        write_snapshot(self._last, snapshot)
        write_text(self._metrics, metrics_table(snapshot.epochs).to_csv(index=False))
        self._journal.append(asdict(epoch))
        if self._curves:
            self._curves.add(self._point(snapshot.epochs))
        left = self._epochs - epoch.number
        self._listener.progress(
            Progress(
                done=epoch.number,
                total=self._epochs,
                note=f"epoch {epoch.number}: loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.4f}",
                best=f"{best.accuracy:.4f} after epoch {best.number}",
                seconds_left=left * sum(e.seconds for e in snapshot.epochs) / epoch.number,
            )
        )


def _design(settings: TrainSettings) -> Design:
    """The network by its name or file, with what is asked of its regularisation."""
    network = settings.network
    path = Path(network)
    if path.is_file() and is_member(path):
        member = load_member(path)
        if not isinstance(member, Member):
            raise InvalidSetting(f"{network} is a member of a model of your own; train it yourself")
        found = Design(
            name=member.name,
            architecture=member.architecture,
            dropout=member.dropout,
            drop_path=member.drop_path,
        )
    else:
        name = path.stem if path.suffix else network
        found = Design(name=name, architecture=load_architecture(network))
    return replace(
        found,
        dropout=found.dropout if settings.dropout is None else settings.dropout,
        drop_path=found.drop_path if settings.drop_path is None else settings.drop_path,
    )


def _fitted(design: Design, resolution: int, num_classes: int, listener: Listener) -> Architecture:
    """The design for these images, and a word about strides that it lost."""
    asked = replace(design.architecture, resolution=resolution, num_classes=num_classes)
    own = replace(design.architecture, num_classes=num_classes)
    fitted = at_resolution(own, resolution)
    if fitted != asked:
        listener.notice(
            f"strides are taken away for {resolution} pixels, reduction {asked.reduction} becomes "
            f"{fitted.reduction}: {cost(fitted).macs:,} multiply-adds instead of "
            f"{cost(asked).macs:,}"
        )
    return fitted
