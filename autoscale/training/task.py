"""What a training is asked for, and what computes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.metrics.metric import Metric
from autoscale.training import crops
from autoscale.training.augmentation.augment import require_channels
from autoscale.training.crops import Cut
from autoscale.training.loss.losses import Binary, CrossEntropy, Loss, Weighted
from autoscale.training.nested.inner import Inner, Paths
from autoscale.training.process_group import ALONE, ProcessGroup
from autoscale.training.recipe import Recipe
from autoscale.training.teacher.teaching import UNLABELLED, Teaching


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingTask:
    """What a network is trained on, and how.

    Raises:
        InvalidSetting: if `resolution` is below 1, or `evaluate_after` holds a number that is no
            epoch of the recipe, or a loss of labels alone or balanced sampling meets smoothed
            labels or a teacher that it does not go with, or images with several labels what is of
            one, or the recipe alters images in a way that does not go with their channels, the loss
            or the teacher.
        DataProblem: if a set of images is empty, images to train on have no labels and no teacher,
            or a teacher did not answer all of them.
    """

    train: Images  # a last incomplete batch is dropped, unless it is the only one
    validation: Images
    recipe: Recipe
    # Pixels of the height that the network sees, the preparation's aspect giving the width; stored
    # images of another size are resized with antialiasing.
    resolution: int
    seed: int  # of order and augmentation
    # Numbers of epochs, from 1, that end with an evaluation of the weights that would be kept; a
    # `range` does. The last epoch is always evaluated.
    evaluate_after: Collection[int] = ()
    # Its mean and deviation are what the network expects of its input; the images were decoded by
    # the rest of it.
    preparation: Preparation = OURS
    # Decides which epoch is best, and is known of each that is evaluated; None for accuracy.
    metric: Metric | None = None
    # Of labels alone, neither smoothed nor beside a teacher; None for cross-entropy.
    loss: Loss | None = None
    # By which an image's loss counts, by its class, or for each class that it has where it may have
    # several; None where all count the same.
    class_weights: tuple[float, ...] | None = None
    # Whether an epoch draws all classes equally often; else it shows each image once.
    balanced: bool = False
    # A teacher's answers to the training images, of which some may then be `teaching.UNLABELLED`.
    teaching: Teaching | None = None
    # Networks inside the one that is trained, smallest first: two of them learn its answers in each
    # step; or, by turns, one of all learns the labels.
    inner: Sequence[Inner] = ()
    turns: bool = False
    # Gives for each step the networks that learn, slices of the weights that are trained; None
    # where these are those of a network.
    paths: Paths | None = None

    def __post_init__(self) -> None:
        for number in self.evaluate_after:
            if not 1 <= number <= self.recipe.epochs:
                raise InvalidSetting(
                    f"evaluate_after must hold epochs from 1 to {self.recipe.epochs}, the "
                    f"recipe's; got {number}"
                )
        require_images(self.train, self.resolution)
        require_images(self.validation, self.resolution)
        self._require_hard_labels()
        self._require_unaltered()
        if self.train.several:
            self._require_several()
            return
        if self.teaching is not None:
            self.teaching.require_answers(len(self.train))
        elif (nameless := int((self.train.labels == UNLABELLED).sum())) > 0:
            raise DataProblem(
                f"{nameless} of {len(self.train)} images have no label; they train with a "
                "teacher's answers only: name a teacher or leave them out"
            )

    def _require_unaltered(self) -> None:
        """
        Raises:
            InvalidSetting: if images are altered where their labels or a teacher know them.
        """
        require_channels(self.recipe, self.train.pixels.shape[3])
        if self.loss is not None:
            self.recipe.require_single_labels("a loss that is no cross-entropy")
        if self.teaching is not None:
            self.recipe.require_crops("a teacher's answers")

    def _require_hard_labels(self) -> None:
        """
        Raises:
            InvalidSetting: if something is asked of labels alone, and there is more than these.
        """
        if self.loss is not None and self.recipe.label_smoothing:
            raise InvalidSetting(
                f"label_smoothing must be 0 where the loss is no cross-entropy, got "
                f"{self.recipe.label_smoothing:g}"
            )
        if self.teaching is not None and (self.loss is not None or self.balanced):
            raise InvalidSetting(
                "a teacher's answers go with cross-entropy, and with images that are seen once an "
                "epoch; leave the teacher out, or loss and balanced"
            )

    def _require_several(self) -> None:
        """
        Raises:
            InvalidSetting: if something is asked that images with several labels do not go with.
        """
        if self.teaching is not None or self.balanced or self.recipe.label_smoothing:
            raise InvalidSetting(
                "images that may have several labels train without a teacher, balanced sampling "
                "and label smoothing; leave these out"
            )
        if self.loss is not None and not isinstance(self.loss, Binary):
            raise InvalidSetting(
                "the loss of images that may have several labels must be a Binary one, got "
                f"{type(self.loss).__name__}"
            )

    @property
    def image_size(self) -> ImageSize:
        """Of the images that the network sees."""
        return self.preparation.image_size(self.resolution)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return max(1, len(self.train) // self.recipe.batch_size)

    @property
    def moves(self) -> int:
        """Moves of the optimiser in an epoch; the last may be of fewer batches than the others."""
        return -(-self.steps // self.recipe.accumulate)

    @property
    def loss_of_labels(self) -> Loss:
        """What an image costs by its label, or by each of its classes where it may have several."""
        if self.train.several:
            binary = self.loss if isinstance(self.loss, Binary) else Binary()
            if self.class_weights is None:
                return binary
            return replace(binary, positives=torch.tensor(self.class_weights))
        loss = self.loss or CrossEntropy(self.recipe.label_smoothing)
        if self.class_weights is None:
            return loss
        return Weighted(loss, torch.tensor(self.class_weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Where a training is computed, with whom, and how long it may take.

    Raises:
        InvalidSetting: if `time_limit` is not above 0.
    """

    device: str = "cpu"  # as `device_named` takes it
    # The other processes that train the same network; each takes its part of every batch.
    peers: ProcessGroup = ALONE
    # Cuts augmented images out of the stored ones; a faster way changes no byte.
    cut: Cut = crops.cut
    # Seconds of one call of `fit`; a training that needs more fails, with its peers.
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.time_limit is not None and not self.time_limit > 0:
            raise InvalidSetting(f"time_limit must be above 0 seconds, got {self.time_limit}")


#: One process on the CPU, as long as it takes.
HERE = Runtime()


def device_named(name: str) -> torch.device:
    """The device; "auto" is the first CUDA device if there is one, else the CPU.

    Raises:
        InvalidSetting: if it is not there.
    """
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidSetting(f"cannot use the device {name!r} here; try 'cpu'") from error
    return device


def require_images(images: Images, resolution: int) -> None:
    """
    Raises:
        InvalidSetting: if `resolution` is below 1.
        DataProblem: if there are no images.
    """
    if resolution < 1:
        raise InvalidSetting(f"resolution must be at least 1 pixel; got {resolution}")
    if len(images) == 0:
        raise DataProblem("got 0 images; at least 1 is needed to train or evaluate")
