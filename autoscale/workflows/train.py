"""Train one network for good: a family's member, a design or a published network."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.family import Member
from autoscale.design.scaling import fit_strides
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.threads import threads_of_torch
from autoscale.network.weights import STYLES, class_rows, load_weights
from autoscale.runs.checkpoint import read_snapshot, write_snapshot
from autoscale.runs.store import Journal, Step, write_text
from autoscale.runs.tensorboard import Curves, Point, require_tensorboard
from autoscale.runs.weights import Header, Weights, file_digest, read_weights, write_weights
from autoscale.training.fit import Epoch, Snapshot, device_named, evaluate, fit
from autoscale.training.fit import OutOfTime as OutOfTime  # for who calls `train`
from autoscale.training.peers import joined
from autoscale.training.preparation import OURS, Channels
from autoscale.workflows.chance import chance_warning
from autoscale.workflows.count import is_member, load_architecture
from autoscale.workflows.curves import training_point
from autoscale.workflows.evaluate import Task, recipe_named
from autoscale.workflows.expected import Asked, Expected, expected_by, rows_kept
from autoscale.workflows.family import load_member
from autoscale.workflows.kernels import accelerated, choose_kernels, cutter
from autoscale.workflows.memory import training_bytes
from autoscale.workflows.progress import Listener, Progress, Silent

STEP = "train"
#: Below so many pixels a network made for larger images is taken with fewer strides.
SMALL = 128


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is to be trained."""

    name: str
    architecture: Architecture
    dropout: float = 0.0
    drop_path: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a training starts from: weights of a file, or random ones."""

    held: Weights | None
    expected: Expected  # of the network and its pictures, from the first step to the last

    @classmethod
    def of(cls, weights: str | None, *, network: str, asked: Asked) -> "Start":
        """Read the file, if there is one.

        Raises:
            InvalidSetting: if it holds no weights, or does not tell what they expect.
        """
        held = read_weights(weights) if weights is not None else None
        return cls(held=held, expected=expected_by(held, weights, network=network, asked=asked))

    def put_into(self, module: nn.Module, classes: Sequence[str]) -> list[str]:
        """The weights into a fresh network for these classes; what to know, in sentences.

        Raises:
            InvalidSetting: if they are another network's.
        """
        if self.held is None:
            return []
        rows, note = rows_kept(self.expected.classes, class_rows(self.held.state), classes)
        return [*load_weights(module, self.held.state, rows=rows), *([note] if note else [])]


def train(
    network: str | Path,
    run: str | Path = "runs/train",
    *,
    data: str | Path = "synthetic",
    recipe: str = "full",
    epochs: int | None = None,
    batch_size: int | None = None,
    resolution: int | None = None,
    dropout: float | None = None,
    drop_path: float | None = None,
    seed: int = 0,
    limit: int | None = None,
    strict: bool = False,
    white_level: int | None = None,
    device: str = "auto",
    threads: int = 1,
    kernels: str = "auto",
    weights: str | Path | None = None,
    style: str | None = None,
    mean: Channels | None = None,
    deviation: Channels | None = None,
    interpolation: str | None = None,
    time_limit: float | None = None,
    tensorboard: bool = False,
    listener: Listener | None = None,
) -> Trained:
    """Train a network and keep its best and its last weights in `run`/train.

    The same call continues a broken training after its last whole epoch, to the same bits. Under
    torchrun the processes share every batch; the first of them writes.

    Args:
        network: a family member's or a design's YAML file, or the name of a published network.
        run: the run directory; this step writes its `train` folder.
        data: "synthetic", a folder with one sub-folder per class, or Parquet files.
        recipe: full, small-images, efficientnet (the paper's), sgd, or proxy.
        epochs: instead of the recipe's.
        batch_size: instead of the recipe's; the learning rate follows in proportion.
        resolution: pixels per side instead of the design's own. Below 128 strides are taken away
            until the last map has 4 x 4 pixels.
        white_level: the number of a picture of 16 bits that is white, such as 4095 for 12 bits; by
            default that of `weights`, else 65535. It is kept with the trained weights.
        dropout: instead of the member's; a design and a published network have 0.
        drop_path: likewise, stochastic depth.
        seed: of the cut into splits, initial weights, order and augmentation.
        limit: use at most so many training images.
        strict: refuse unreadable images instead of skipping them.
        device: "auto" is the first CUDA device if there is one, else the CPU.
        threads: of torch in each process.
        kernels: "native" (compiled for this CPU), "torch" or "none"; "auto" takes the fastest that
            this machine has.
        weights: start from this file, `.safetensors` or a PyTorch file of tensors under our names
            or those of timm, torchvision or EfficientNet-PyTorch. Of its classifier the rows of
            classes that the data has too go on, by name; all others start anew.
        style: autoscale, timm or tf: the padding and batch-norm epsilon that the weights expect,
            and that the trained network has. By default what the file says or its names tell.
        mean: of red, green and blue in 0..1, as the weights expect it subtracted; by default what
            `expected.expected_by` finds out. It stays the trained network's.
        deviation: likewise, divided by.
        interpolation: bilinear or bicubic, of resizing pictures; likewise.
        time_limit: seconds of this call. When they are over it fails; finished epochs are kept.
        tensorboard: write curves for TensorBoard too, those of earlier epochs included.
        listener: told of progress; by default nobody.

    Returns:
        The epochs, the best one, and the file of its weights.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    network, run, listener = str(network), Path(run), listener or Silent()
    weights = None if weights is None else str(weights)
    if tensorboard:
        require_tensorboard()
    chosen = recipe_named(recipe, epochs=epochs)
    if batch_size is not None:
        chosen = chosen.with_batch(batch_size)
    with joined() as peers, threads_of_torch(threads):
        first = peers.rank == 0
        if not first:
            listener = Silent()
        device = str(device_named(device))
        if peers.size > 1 and device != "cpu":
            raise InvalidSetting(f"several processes train on cpu only, asked for {device}")
        design = _design(network, dropout=dropout, drop_path=drop_path)
        start = Start.of(
            weights,
            network=network,
            asked=Asked(
                style=style,
                mean=mean,
                deviation=deviation,
                interpolation=interpolation,
                white_level=white_level,
            ),
        )
        expected = start.expected
        for note in expected.notes:
            listener.notice(note)
        size = resolution or design.architecture.resolution
        task = Task(
            data=str(data),
            recipe=chosen,
            seed=seed,
            limit=limit,
            strict=strict,
            white_level=expected.preparation.white_level,
            kernels=choose_kernels(kernels, device=device, listener=listener),
        )
        images = task.load(
            size=size, test=True, listener=listener, preparation=expected.preparation
        )
        design = replace(
            design, architecture=_fitted(design.architecture, size, len(images.classes), listener)
        )
        step = Step(run, STEP)
        journal = Journal(step.file("epochs.jsonl"))
        settings = {
            "task": task.settings(),
            "images": images.fingerprint,
            "network": {**asdict(design), "architecture": design.architecture.to_dict()},
            "processes": peers.size,
        }
        if weights is not None:  # by content: the file may move
            settings["start"] = file_digest(weights)
        apart = replace(expected.preparation, white_level=OURS.white_level)  # which is the task's
        if (expected.style, apart) != (STYLES["autoscale"], OURS):
            settings["expects"] = asdict(expected.style) | apart.to_dict()
        header = Header(
            architecture=design.architecture.to_dict(),
            style=expected.style,
            preparation=expected.preparation,
            classes=images.classes,
            seed=seed,
            seen=images.sketch,
            accuracy_of=f"validation images of {images.name}",
            provenance=f"autoscale train, recipe {recipe}, {chosen.epochs} epochs",
        )
        keeper = _Keeper(step, journal, header, chosen.epochs, listener)
        point = partial(training_point, recipe=chosen, images=len(images.train), resolution=size)

        def work(resume: Snapshot | None) -> Trained:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                module = build(
                    design.architecture,
                    dropout=design.dropout,
                    drop_path=design.drop_path,
                    norm_momentum=chosen.norm_momentum,
                    **expected.style.options,
                )
            if resume is not None:
                listener.notice(f"going on after epoch {len(resume.epochs)} of {chosen.epochs}")
            else:
                for note in start.put_into(module, images.classes):
                    listener.notice(note)
            done = resume.epochs if resume else ()
            if tensorboard and first:
                keeper.draw(done, point)
            if len(done) < chosen.epochs:
                share = -(-chosen.batch_size // peers.size)
                needed = training_bytes(
                    design.architecture,
                    share,
                    kernels=task.kernels,
                    padding=expected.style.padding,
                )
                listener.notice(
                    f"memory at the peak: about {needed / 2**30:.2g} GiB for {share} "
                    f"images of {size} pixels at once, beside all images and torch itself"
                )
                done = fit(
                    accelerated(module, task.kernels),
                    images.train,
                    images.validation,
                    chosen,
                    resolution=size,
                    seed=seed,
                    device=device,
                    evaluate_after=range(1, chosen.epochs + 1),
                    resume=resume,
                    keep=keeper.keep if first else None,
                    peers=peers,
                    cut=cutter(task.kernels),
                    time_limit=time_limit,
                    preparation=expected.preparation,
                ).epochs
            best = best_epoch(done)
            test = None
            if images.test is not None and first:
                module.load_state_dict(read_weights(keeper.best).state)
                test = evaluate(
                    module,
                    images.test,
                    resolution=size,
                    device=device,
                    preparation=expected.preparation,
                )
            counted = cost(design.architecture)
            return Trained(
                name=design.name,
                epochs=done,
                best=best,
                test_accuracy=test,
                macs=counted.macs,
                params=counted.params,
                weights=keeper.best,
            )

        last = step.file("last.safetensors")
        if not first:
            return work(read_snapshot(last))
        with step.locked():
            resume = step.begin(
                settings,
                notes={"data": task.place, "device": device},
                journal=journal,
                read=lambda _: read_snapshot(last),
            )
            trained = work(resume)
            step.write_result(
                "result.json",
                {
                    "name": trained.name,
                    "epochs": len(trained.epochs),
                    "best_epoch": trained.best.number,
                    "validation_accuracy": trained.best.accuracy,
                    "last_validation_accuracy": trained.epochs[-1].accuracy,
                    "test_accuracy": trained.test_accuracy,
                    "macs": trained.macs,
                    "params": trained.params,
                },
            )
            told = chance_warning(
                trained.best.accuracy or 0.0, images.validation.labels, images.classes
            )
            if told:
                listener.notice(f"warning: {told}")
            return trained


def best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """The most accurate of those that were evaluated, the first of equals."""
    return max(
        (epoch for epoch in epochs if epoch.accuracy is not None),
        key=lambda epoch: (epoch.accuracy, -epoch.number),
    )


def metrics_table(epochs: Sequence[Epoch]) -> pd.DataFrame:
    """One row an epoch."""
    return pd.DataFrame([asdict(epoch) for epoch in epochs]).rename(columns={"number": "epoch"})


class _Keeper:
    """Writes what a training leaves behind after each epoch."""

    def __init__(
        self, step: Step, journal: Journal, header: Header, epochs: int, listener: Listener
    ) -> None:
        self.best = step.file("best.safetensors")
        self._last, self._metrics = step.file("last.safetensors"), step.file("metrics.csv")
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


def _design(network: str, *, dropout: float | None, drop_path: float | None) -> Design:
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
    if dropout is not None:
        found = replace(found, dropout=dropout)
    return found if drop_path is None else replace(found, drop_path=drop_path)


def _fitted(
    architecture: Architecture, resolution: int, num_classes: int, listener: Listener
) -> Architecture:
    """The design for these images; with fewer strides where they are small and not its own size."""
    asked = replace(architecture, resolution=resolution, num_classes=num_classes)
    if resolution == architecture.resolution or resolution >= SMALL:
        return asked
    fitted = fit_strides(asked)
    if fitted != asked:
        listener.notice(
            f"strides are taken away for {resolution} pixels, reduction {asked.reduction} becomes "
            f"{fitted.reduction}: {cost(fitted).macs:,} multiply-adds instead of "
            f"{cost(asked).macs:,}"
        )
    return fitted
