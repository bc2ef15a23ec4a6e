"""What one design is worth: build it, train it on the images, score it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from autoscale.datasets.data import ImageData
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.datasets.pictures.selection import Selection, within_limit
from autoscale.design.architecture import Architecture
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.jobs.inheritance import Begun, Inheritance, suited
from autoscale.jobs.other_channels import TakesImages
from autoscale.jobs.teaching.lessons import Pupils, Taught
from autoscale.jobs.workers.kernels import cutter
from autoscale.jobs.workers.realise import realise
from autoscale.jobs.workers.several import several_notes, suited_to_several
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import NOTHING, Transfer
from autoscale.listener import Listener, Silent
from autoscale.metrics.choice import ACCURACY, MetricChoice
from autoscale.metrics.metric import Metric
from autoscale.models.settings import DTYPES
from autoscale.network.build import Network as Built
from autoscale.scaling.scalable import Network
from autoscale.training.augmentation.augment import require_channels
from autoscale.training.head.features import read_features
from autoscale.training.head.logistic import FittedHead, fit_head
from autoscale.training.loss.balance import AS_THEY_ARE, BALANCED, Balance
from autoscale.training.loss.losses import balanced_weights, hard_loss
from autoscale.training.parts import classifier_of
from autoscale.training.recipe import INHERITING_RATE, Recipe
from autoscale.training.task import Runtime, TrainingTask


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """How designs are judged: images, recipe, and what computes. Scores of one can be compared.

    It is plain data until `load` gives it the images: so it travels to workers, which load the
    images themselves, and is recorded with a run.
    """

    source: ImageSource
    recipe: Recipe
    kernels: str = "none"  # what computes the passes, one of `kernels.KERNELS`
    device: str = "cpu"
    threads: int = 1  # of torch; more pay on idle cores only, and change the last digits
    dtype: str = "float32"  # of the network that is scored, one of `models.settings.DTYPES`
    transfer: Transfer = NOTHING  # what the networks get from other ones
    # Peak rate of those that begin with weights, see `Recipe.inheriting`; None: the recipe's, which
    # older versions had.
    inheriting_rate: float | None = INHERITING_RATE
    balance: Balance = AS_THEY_ARE  # what is done about uneven classes; it alters the recipe
    chosen: MetricChoice = ACCURACY  # what networks are judged by
    size: int = 0  # pixels in height of the images
    test: bool = False  # whether test images are there, to judge on if a training asks for it
    fingerprint: str = ""  # of the images
    loaded: ImageData | None = field(default=None, compare=False, repr=False)
    inheritance: Inheritance | None = field(default=None, compare=False, repr=False)
    taught: Taught | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise InvalidSetting(f"threads must be at least 1, got {self.threads}")
        if self.dtype not in DTYPES:
            raise InvalidSetting(f"no dtype {self.dtype!r}; choose from {', '.join(DTYPES)}")
        if self.dtype != "float32" and not self.chosen.usual:
            raise InvalidSetting(
                f"networks in {self.dtype} are judged by accuracy, and --metric "
                f"{self.chosen.name} is asked for; leave --metric or --dtype out"
            )
        if self.transfer.lessons is not None:
            self.balance.require_no_teacher()
            self.recipe.require_crops("a teacher's answers")
        if (suited_recipe := self.balance.suited(self.recipe)) != self.recipe:
            object.__setattr__(self, "recipe", suited_recipe)

    @property
    def images(self) -> ImageData:
        """The images, once they are loaded."""
        assert self.loaded is not None, "load the images first"
        return self.loaded

    @property
    def metric(self) -> Metric | None:
        """What networks are judged by, for the classes of the images; None for accuracy."""
        if self.chosen.usual:
            return None
        return self.chosen.for_classes(self.images.classes, several=self.images.several)

    @property
    def preparation(self) -> Preparation:
        """What the networks expect of pictures."""
        return self.transfer.start.expected.preparation

    @property
    def runtime(self) -> Runtime:
        """What computes a training."""
        return Runtime(device=self.device, cut=cutter(self.kernels))

    def for_design(self, design: TakesImages) -> Proxy:
        """The same for networks that take the images of a design or a space."""
        return replace(self, transfer=self.transfer.for_design(design))

    def load(self, *, size: int, test: bool = False, listener: Listener | None = None) -> Proxy:
        """With the images, `size` pixels in height, and with what networks get from others.

        Args:
            test: read the test images too, if the data has any.
            listener: told what a person should know.

        Raises:
            DataProblem: if images cannot be read, or are others than those of `fingerprint`.
            InvalidSetting: if the teacher sees other images or can tell nothing of their classes,
                or the recipe alters colours and they have others.
            RunConflict: if weights or teacher are others than those that the work began with.
        """
        ready = replace(self, transfer=self.transfer.read())
        ready.transfer.require_teachable()
        images = self.source.load(
            size=size,
            test=test,
            listener=listener or Silent(),
            preparation=self.preparation,
        )
        if self.fingerprint and images.fingerprint != self.fingerprint:
            raise DataProblem(
                f"the images in {self.source.data} have changed since the work began; restore them "
                "and repeat the command, finished work is kept"
            )
        if (lessons := ready.transfer.lessons) is not None and lessons.held is not None:
            lessons.require_classes(images.classes)
        told = listener or Silent()
        ready = replace(ready, transfer=ready.transfer.for_images(images.train, told))
        ready = ready.having(images, size=size)
        ready.require_metric()
        for note in several_notes(ready, self):
            (listener or Silent()).notice(note)
        require_channels(self.recipe, images.train.pixels.shape[3])
        return ready

    def require_metric(self) -> None:
        """Refuse images of which the metric says nothing.

        Raises:
            InvalidSetting: naming what is lacking.
        """
        if (metric := self.metric) is None:
            return
        for part, images in (("validation", self.images.validation), ("test", self.images.test)):
            if images is not None:
                metric.require(images.labels, self.images.classes, part=part)

    def having(self, images: ImageData, *, size: int) -> Proxy:
        """With these images, which are `size` pixels in height."""
        start = self.transfer.start
        return replace(
            suited_to_several(self) if images.several else self,
            size=size,
            test=images.test is not None,
            fingerprint=images.fingerprint,
            loaded=images,
            inheritance=Inheritance(start, images, seed=self.source.seed) if start.held else None,
        )

    def within(self, *, images: int | None = None, epochs: int | None = None) -> Proxy:
        """The same with fewer training images, or another number of epochs.

        The images are in the proportions of the classes, and those of a smaller number are among
        those of a larger one; they are those that `--limit` takes, and the seed of the images
        decides which.

        Args:
            images: as many at most; None leaves all.
            epochs: None leaves the recipe's.

        Raises:
            InvalidSetting: for fewer images than classes, or where a teacher answers all of them.
        """
        changed = self
        if epochs is not None and epochs != self.recipe.epochs:
            changed = replace(self, recipe=replace(self.recipe, epochs=epochs))
        if images is None:
            return changed
        loaded = self.images
        chosen = Selection(seed=self.source.seed, limit=images)
        kept = within_limit(loaded.train.labels, chosen, len(loaded.classes))
        if kept is None:
            return changed
        if self.transfer.lessons is not None:
            raise InvalidSetting(
                "a teacher answers all training images, and a subset is asked for; leave the "
                "teacher or the subset out"
            )
        return changed.having(replace(loaded, train=loaded.train.subset(kept)), size=self.size)

    def answered(self, listener: Listener) -> Proxy:
        """With the answers of its teacher, if it has one.

        Those that are not in the cache are computed, and kept there. Every training learns from
        the same crops, those of the images' seed; its own decides their order.

        Raises:
            AutoscaleError: as `Lessons.taught`.
        """
        if self.transfer.lessons is None:
            return self
        lessons, taught = self.transfer.lessons.taught(self._pupils, listener=listener)
        return replace(self, transfer=replace(self.transfer, lessons=lessons), taught=taught)

    @property
    def teacher_seconds(self) -> float:
        """Seconds that `answered` will take; 0 without a teacher, or where all is in the cache."""
        lessons = self.transfer.lessons
        return 0.0 if lessons is None else lessons.seconds(self._pupils)

    @property
    def _pupils(self) -> Pupils:
        return Pupils(
            images=self.images,
            source=self.source,
            preparation=self.preparation,
            recipe=self.recipe,
        )

    def for_worker(self) -> Proxy:
        """As plain data that holds in every process and working directory."""
        return replace(
            self,
            source=replace(self.source, data=self.source.place),
            transfer=self.transfer.for_worker(),
            loaded=None,
            inheritance=None,
            taught=None,
        )

    def record(self) -> dict[str, Any]:
        """What decides a score, as plain data."""
        return {
            **self.source.record(),
            "recipe": asdict(self.recipe),
            "kernels": self.kernels,
            "images": self.fingerprint,
            **({} if self.dtype == "float32" else {"dtype": self.dtype}),
            **self.chosen.record(),
            **self.balance.record(),
            **self.transfer.record(),
            **self._rate_of_inheriting,
            **({"known_classes": self.inheritance.known_classes} if self.inheritance else {}),
        }

    @property
    def _rate_of_inheriting(self) -> dict[str, Any]:
        rate = self.inheriting_rate
        return (
            {} if rate is None or self.transfer.start.origin is None else {"inheriting_rate": rate}
        )

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        *,
        notes: Mapping[str, Any],
        device: str = "cpu",
        threads: int = 1,
    ) -> Proxy:
        """Read what `record` gave, perhaps among other things; images are to be loaded.

        Args:
            notes: where they lie, `data`, and what `Transfer.from_record` asks of them.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        return cls(
            source=ImageSource.from_record(record, data=notes["data"]),
            recipe=Recipe(**record["recipe"]),
            kernels=record["kernels"],
            dtype=record.get("dtype", "float32"),
            chosen=MetricChoice.from_record(record),
            balance=Balance.from_record(record),
            device=device,
            threads=threads,
            transfer=Transfer.from_record(record, notes, device=device, threads=threads),
            inheriting_rate=record.get(
                "inheriting_rate", None if "start" in record else INHERITING_RATE
            ),
        )

    def recipe_of(self, network: Network) -> Recipe:
        """By which a network is trained: at a lower rate where it begins with weights."""
        if self.inheriting_rate is None or not isinstance(network, Architecture):
            return self.recipe
        return suited(self.recipe, self.transfer.start, network, rate=self.inheriting_rate)

    def task(self, network: Network, *, seed: int) -> TrainingTask:
        """A training on the images, without a teacher's answers."""
        labels, classes, balance = self.images.train.labels, self.images.classes, self.balance
        weigh = balance.class_weights == BALANCED
        return TrainingTask(
            train=self.images.train,
            validation=self.images.validation,
            recipe=self.recipe_of(network),
            resolution=network.resolution,
            seed=seed,
            preparation=self.preparation,
            metric=self.metric,
            loss=hard_loss(balance, labels, classes),
            class_weights=balanced_weights(labels, len(classes)) if weigh else None,
            balanced=balance.sampling == BALANCED,
        )

    def realised(self, network: Network) -> nn.Module:
        """A network as the start's weights expect it, with fresh ones."""
        return realise(
            network,
            norm_momentum=self.recipe.norm_momentum,
            style=self.transfer.start.expected.style,
        )

    def begin(self, module: nn.Module, network: Network) -> Begun | None:
        """Put the start's weights into a fresh network; None where there are none."""
        if self.inheritance is None:
            return None
        assert isinstance(module, Built)
        assert isinstance(network, Architecture)
        return self.inheritance.into(module, network)

    def fit_first(
        self, network: nn.Module, task: TrainingTask, begun: Begun | None
    ) -> FittedHead | None:
        """Fit the classifier alone before the first step, if the recipe asks for that.

        It is fitted where it is new and its features are not; the validation images choose its
        penalty.

        Args:
            begun: how the network began.
        """
        if begun is None or not (self.recipe.head_first and begun.new_classifier):
            return None
        if self.images.several:
            return None  # the fit is of one class for each image; `load` says so
        return fit_head(classifier_of(network), *read_features(network, task, self.runtime))
