"""What one design is worth: build it, train it on the images, score it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from autoscale.datasets.data import ImageData, Images, load
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.datasets.pictures.selection import Selection
from autoscale.design.architecture import Architecture
from autoscale.design.style import Style
from autoscale.errors import DataProblem, EvaluationFailed, InvalidSetting
from autoscale.jobs.groups import place_of
from autoscale.jobs.inheritance import Inheritance, suited
from autoscale.jobs.start import FRESH, Start
from autoscale.jobs.workers.answers import packed
from autoscale.jobs.workers.kernels import accelerated, cutter
from autoscale.listener import Listener, Silent
from autoscale.models.user_model import make
from autoscale.network.build import Network as Built
from autoscale.network.build import build
from autoscale.network.threads import threads_of_torch
from autoscale.runs.images import ImageCache
from autoscale.scaling.scalable import Network, cost_of
from autoscale.search.objective import Score
from autoscale.training.failures import TrainingFailed
from autoscale.training.fit import answered_right, fit
from autoscale.training.head.features import read_features
from autoscale.training.head.logistic import fit_head
from autoscale.training.parts import classifier_of
from autoscale.training.recipe import INHERITING_RATE, RECIPES, Recipe
from autoscale.training.state import Epoch
from autoscale.training.task import Runtime, TrainingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Where images lie, which of them are used, and how they are read."""

    data: str  # "synthetic", a folder, or Parquet files
    seed: int = 0  # of the cut into splits
    limit: int | None = None  # training images at most
    strict: bool = False  # refuse unreadable images instead of skipping them
    white_level: int = OURS.white_level  # of pictures of 16 bits, see `Preparation`

    def __post_init__(self) -> None:
        Preparation(white_level=self.white_level)  # refuses what is none
        if self.seed < 0:
            raise InvalidSetting(f"seed must be at least 0, got {self.seed}")
        if not self.data:
            raise InvalidSetting("data must not be empty; name a folder, or synthetic")

    @property
    def place(self) -> str:
        """`data` in a form that holds in every working directory."""
        return place_of(self.data)

    def record(self) -> dict[str, Any]:
        """What decides which images these are, as plain data; where they lie does not."""
        plain = asdict(self)
        del plain["data"]
        return plain

    def load(
        self, *, size: int, test: bool, listener: Listener, preparation: Preparation = OURS
    ) -> ImageData:
        """The images, `size` pixels per side; what a person should know is told to `listener`.

        They are decoded once and kept in the cache; processes share its pages.

        Args:
            test: read the test images too.
            preparation: what the network expects of pictures; their white level is the source's.

        Raises:
            DataProblem: for images that cannot be used.
        """
        images = load(
            self.data,
            size=size,
            selection=Selection(seed=self.seed, limit=self.limit, test=test),
            strict=self.strict,
            keep=ImageCache(notice=listener.notice),
            preparation=replace(preparation, white_level=self.white_level),
        )
        listener.notice(images.summary.sentence)
        for line in images.notices:
            listener.notice(f"warning: {line}")
        for line in images.unreadable[:5]:
            listener.notice(f"skipped {line}")
        if images.unreadable:
            listener.notice(
                f"{len(images.unreadable)} unreadable files skipped; --strict refuses them"
            )
        return images


def recipe_named(name: str, *, epochs: int | None = None) -> Recipe:
    """The recipe of that name, with another number of epochs if given.

    Raises:
        InvalidSetting: if there is none, or for fewer than one epoch.
    """
    if name not in RECIPES:
        raise InvalidSetting(f"no recipe {name!r}; choose from {', '.join(RECIPES)}")
    return RECIPES[name] if epochs is None else replace(RECIPES[name], epochs=epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that the parts of a training take."""

    begin: float  # putting weights of a start into the network
    epoch: float  # of images as large as the network's
    evaluation: float  # on the validation images


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
    start: Start = FRESH  # what the networks begin with, and what that expects
    # Peak rate of those that begin with weights, see `Recipe.inheriting`; None: the recipe's, which
    # older versions had.
    inheriting_rate: float | None = INHERITING_RATE
    size: int = 0  # pixels per side of the images
    test: bool = False  # whether test images are there, to judge on if a training asks for it
    fingerprint: str = ""  # of the images
    loaded: ImageData | None = field(default=None, compare=False, repr=False)
    inheritance: Inheritance | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise InvalidSetting(f"threads must be at least 1, got {self.threads}")

    @property
    def images(self) -> ImageData:
        """The images, once they are loaded."""
        assert self.loaded is not None, "load the images first"
        return self.loaded

    @property
    def runtime(self) -> Runtime:
        """What computes a training."""
        return Runtime(device=self.device, cut=cutter(self.kernels))

    def load(self, *, size: int, test: bool = False, listener: Listener | None = None) -> Proxy:
        """With the images, `size` pixels per side, and with the weights to start from, if any.

        Args:
            test: read the test images too, if the data has any.
            listener: told what a person should know.

        Raises:
            DataProblem: if images cannot be read, or are others than those of `fingerprint`.
            RunConflict: if the weights are others than those that the work began with.
        """
        ready = replace(self, start=self.start.read())
        images = self.source.load(
            size=size,
            test=test,
            listener=listener or Silent(),
            preparation=self.start.expected.preparation,
        )
        if self.fingerprint and images.fingerprint != self.fingerprint:
            raise DataProblem(
                f"the images in {self.source.data} have changed since the work began; restore them "
                "and repeat the command, finished work is kept"
            )
        return ready.having(images, size=size)

    def having(self, images: ImageData, *, size: int) -> Proxy:
        """With these images, which are `size` pixels per side."""
        return replace(
            self,
            size=size,
            test=images.test is not None,
            fingerprint=images.fingerprint,
            loaded=images,
            inheritance=Inheritance(self.start, images, seed=self.source.seed)
            if self.start.held
            else None,
        )

    def for_worker(self) -> Proxy:
        """As plain data that holds in every process and working directory."""
        return replace(
            self,
            source=replace(self.source, data=self.source.place),
            start=self.start.for_worker(),
            loaded=None,
            inheritance=None,
        )

    def record(self) -> dict[str, Any]:
        """What decides a score, as plain data."""
        return {
            **self.source.record(),
            "recipe": asdict(self.recipe),
            "kernels": self.kernels,
            "images": self.fingerprint,
            **self.start.settings(),
            **self._rate_of_inheriting,
            **({"known_classes": self.inheritance.known_classes} if self.inheritance else {}),
        }

    @property
    def _rate_of_inheriting(self) -> dict[str, Any]:
        rate = self.inheriting_rate
        return {} if rate is None or self.start.origin is None else {"inheriting_rate": rate}

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        *,
        data: str,
        weights: str | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> Proxy:
        """Read what `record` gave, perhaps among other things; images are to be loaded.

        Args:
            data: where they lie.
            weights: where those lie that networks begin with, if they do with any.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        names = ("seed", "limit", "strict", "white_level")
        return cls(
            source=ImageSource(data=data, **{name: record[name] for name in names}),
            recipe=Recipe(**record["recipe"]),
            kernels=record["kernels"],
            device=device,
            threads=threads,
            start=Start.from_record(record, file=weights),
            inheriting_rate=record.get(
                "inheriting_rate", None if "start" in record else INHERITING_RATE
            ),
        )

    def score(
        self,
        network: Network,
        *,
        seed: int,
        held_out: bool = False,
        answers: bool = False,
        rungs: Collection[int] = (),
        look: Callable[[int, float], bool] | None = None,
    ) -> Score:
        """Train, from scratch or from the weights of `start`, and measure accuracy.

        Accuracy is that on the validation images. The seed decides fresh weights, order of the
        images and augmentation, so designs that share it are compared on the same footing.

        Args:
            held_out: measure on the test images instead.
            answers: say of each image too whether it was answered right; not counted as time.
            rungs: epochs after which accuracy is measured as well.
            look: told each rung's epochs and accuracy; if it returns True, training ends there and
                the score is that of the rung. The learning rate is that of the whole training, so
                one that is not ended equals one without rungs.

        Raises:
            EvaluationFailed: if training diverges or memory runs out.
        """
        started, clock = time.perf_counter(), self._clock
        begun = clock()
        measured = self.images.test if held_out else self.images.validation
        assert measured is not None

        def on_epoch(epoch: Epoch) -> bool:
            if look is None or epoch.number not in rungs or epoch.accuracy is None:
                return False
            return look(epoch.number, epoch.accuracy)

        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                module = self._realised(network)
            task = replace(self._task(network, seed), validation=measured, evaluate_after=rungs)
            with threads_of_torch(self.threads):
                before = clock()
                inherited = self._inherit(module, network)
                inheriting = None if inherited is None else clock() - before
                ready = accelerated(module, self.kernels)
                if self._begins_with_head():
                    self._fit_head(ready, self._task(network, seed))
                fitted = fit(ready, task, self.runtime, on_epoch=on_epoch)
        except TrainingFailed as problem:
            raise EvaluationFailed(str(problem)) from None
        counted = cost_of(network)
        seconds, spent = time.perf_counter() - started, clock() - begun
        epochs = sum(epoch.seconds - epoch.evaluation_seconds for epoch in fitted.epochs)
        right = self._right(ready, measured, network) if answers else None
        return Score(
            accuracy=fitted.accuracy,
            macs=counted.macs,
            params=counted.params,
            activations=counted.activations,
            seconds=seconds,
            inherited=inherited,
            cpu_seconds=spent,
            epoch_cpu_seconds=spent * epochs / seconds / len(fitted.epochs),
            inheriting_cpu_seconds=inheriting,
            right=right,
        )

    def _right(self, module: nn.Module, images: Images, network: Network) -> str:
        """Which images a trained network answers right, as `answers.packed`."""
        with threads_of_torch(self.threads):
            found = answered_right(
                module,
                images,
                resolution=network.resolution,
                preparation=self.start.expected.preparation,
                runtime=self.runtime,
            )
        return packed(found)

    @property
    def _clock(self) -> Callable[[], float]:
        """Counts CPU-seconds of this process; the time, where another device computes."""
        return time.process_time if self.device == "cpu" else time.perf_counter

    def _fit_head(self, network: nn.Module, task: TrainingTask) -> None:
        """Fit the classifier alone; the validation images choose its penalty."""
        fit_head(classifier_of(network), *read_features(network, task, self.runtime))

    def recipe_of(self, network: Network) -> Recipe:
        """By which a network is trained: at a lower rate where it begins with weights."""
        if self.inheriting_rate is None or not isinstance(network, Architecture):
            return self.recipe
        return suited(self.recipe, self.start, network, rate=self.inheriting_rate)

    def _task(self, network: Network, seed: int) -> TrainingTask:
        return TrainingTask(
            train=self.images.train,
            validation=self.images.validation,
            recipe=self.recipe_of(network),
            resolution=network.resolution,
            seed=seed,
            preparation=self.start.expected.preparation,
        )

    def _begins_with_head(self) -> bool:
        """Whether a new classifier on a network's own weights is fitted before the first step."""
        own = self.start.held is not None and self.start.origin is None
        return self.recipe.head_first and own and self.start.new_classifier(self.images.classes)

    def _realised(self, network: Network) -> nn.Module:
        """A network as the start's weights expect it, with fresh ones."""
        return realise(
            network,
            norm_momentum=self.recipe.norm_momentum,
            style=self.start.expected.style,
        )

    def _inherit(self, module: nn.Module, network: Network) -> float | None:
        """Put the start's weights into a fresh network; the share of it that they are, if any."""
        if self.inheritance is None:
            return None
        assert isinstance(module, Built)
        assert isinstance(network, Architecture)
        return self.inheritance.into(module, network).inherited

    def estimate_seconds(self, networks: Sequence[Network]) -> float:
        """Seconds that training each of them once will take, from a few timed steps of two.

        The cheapest and the most expensive are timed, the others follow from their activations,
        which decide the time of small networks more than multiply-adds do. Where networks begin
        with weights of another design, taking these over is timed too.
        """
        sizes = [cost_of(network).activations for network in networks]
        low = networks[sizes.index(min(sizes))]
        high = networks[sizes.index(max(sizes))]
        fast = self._seconds(low)
        if min(sizes) == max(sizes):
            return fast * len(sizes)
        slope = (self._seconds(high) - fast) / (max(sizes) - min(sizes))
        return sum(fast + slope * (size - min(sizes)) for size in sizes)

    def _seconds(self, network: Network) -> float:
        """Seconds of one training, from a few steps of it."""
        pace, whole = self.pace(network), network.resolution
        sides = [self.recipe.resolution_at(n + 1, whole) for n in range(self.recipe.epochs)]
        epochs = sum((side / whole) ** 2 for side in sides)
        return pace.begin + pace.epoch * epochs + pace.evaluation

    def pace(self, network: Network) -> Pace:
        """How long the parts of a training take, from a few timed steps of it."""
        batch = self.recipe.batch_size
        few = replace(self.recipe, epochs=1)
        steps = max(1, min(5, len(self.images.train) // batch))
        module = accelerated(self._realised(network), self.kernels)

        def timed(images: Images) -> tuple[float, float]:
            task = TrainingTask(
                train=images,
                validation=images,
                recipe=few,
                resolution=network.resolution,
                seed=0,
                preparation=self.start.expected.preparation,
            )
            with threads_of_torch(self.threads):
                fitted = fit(module, task, self.runtime)
            return fitted.train_seconds, fitted.seconds - fitted.train_seconds

        timed(_first(self.images.train, batch))  # the first steps are slower than all others
        sample = _first(self.images.train, steps * batch)
        training, evaluation = timed(sample)
        epoch = max(1, len(self.images.train) // batch) * training / steps
        return Pace(
            begin=self._inheriting_seconds(network),
            epoch=epoch,
            evaluation=len(self.images.validation) * evaluation / len(sample),
        )

    def _inheriting_seconds(self, network: Network) -> float:
        """Seconds of putting the start's weights into a network."""
        if self.inheritance is None:
            return 0.0
        module = self._realised(network)
        assert isinstance(module, Built)
        assert isinstance(network, Architecture)
        with threads_of_torch(self.threads):
            return self.inheritance.seconds(module, network)


def realise(
    network: Network, *, norm_momentum: float = 0.1, style: Style | None = None
) -> nn.Module:
    """A network with weights from torch's global generator.

    Args:
        style: of a design; a user's network is as it was written.

    Raises:
        InvalidSetting: if a function of the user's fails or its answer does not fit.
    """
    if isinstance(network, Architecture):
        return build(network, norm_momentum=norm_momentum, **(style or Style()).options)
    return make(network)


def _first(images: Images, count: int) -> Images:
    return images.subset(range(min(count, len(images))))
