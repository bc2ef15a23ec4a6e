"""Settings of a training of one network for good; light, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoscale.aspect import Aspect
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import DataSettings, ImageSettings
from autoscale.jobs.groups.networks import WEIGHTS, WeightsSettings
from autoscale.jobs.groups.recipe import EPOCHS, OwnRecipe, RecipeSettings, either_way
from autoscale.jobs.groups.time import TimeSettings
from autoscale.jobs.groups.tracking import CurveSettings
from autoscale.jobs.groups.training import (
    TEACHER,
    BalanceSettings,
    TransferSettings,
)
from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings
from autoscale.jobs.names import NO_WEIGHTS
from autoscale.jobs.train.freeze import Frozen
from autoscale.metrics.names import METRICS, require_metric
from autoscale.models.settings import LoadSettings, MetricSettings, published_names
from autoscale.settings.command import Groups, settings_of
from autoscale.settings.option import again, begun, in_words, option

#: The fields of a recipe that have options of their own.
TYPED = either_way(
    *("epochs", "batch_size", "learning_rate", "layer_decay"),
    *("start_size", "start_regularisation", "patience"),
)


@dataclass(frozen=True, kw_only=True)
class TrainSettings(OwnRecipe, TransferSettings, BalanceSettings, CurveSettings):
    """What is trained, on which images, and how.

    The recipe, the design and the weights themselves bind a resumed training, not their names.
    """

    command: ClassVar[str] = "train"
    usual_recipe: ClassVar[str] = "full"
    may_drop: ClassVar[bool] = True
    exclusive: ClassVar[Groups] = (*TYPED, ("folds", "hours"))
    needs: ClassVar[Mapping[str, str]] = {"unlabelled": "teacher"}

    network: str = option(
        help="A family member's YAML file (runs/photos/family/phi-2.yaml), a design's, or a "
        "published network (efficientnet-b0).",
        argument=True,
        complete=begun(published_names),
        place=True,
        binds="network",
    )
    data: str = again(DataSettings, "data", "synthetic")
    weights: str | None = again(
        WeightsSettings,
        "weights",
        help=f"{WEIGHTS} none: random "
        "ones. \\[default: those that `family` wrote beside the member, if it did, else random "
        "ones]",
    )
    recipe: str = again(RecipeSettings, "recipe", "full")
    set: tuple[str, ...] = again(RecipeSettings, "set")
    epochs: int | None = again(
        RecipeSettings, "epochs", help="Passes over the images. \\[default: the recipe's]"
    )
    batch_size: int | None = option(
        None,
        "Images a step; the learning rate follows. \\[default: the recipe's]",
        binds="recipe",
        about=EPOCHS,
    )
    learning_rate: float | None = option(
        None,
        "At the peak of the recipe's schedule, for the batch size as it is. "
        "\\[default: the recipe's, in proportion to the batch size]",
        above=0,
        binds="recipe",
        about=EPOCHS,
    )
    layer_decay: float | None = option(
        None,
        "Learning rate of the stem, a stage or the head by that of the part after it, above 0 and "
        "at most 1. \\[default: the recipe's]",
        above=0,
        binds="recipe",
        about=EPOCHS,
    )
    start_size: float | None = option(
        None,
        "Side of the first epochs' images by that of the last, above 0 and at most 1: they grow in "
        "four steps (progressive learning), and early epochs are short. \\[default: the recipe's]",
        above=0,
        binds="recipe",
        about=EPOCHS,
    )
    start_regularisation: float | None = option(
        None,
        "Dropout, stochastic depth and augmentation of the first epochs by those of the last, "
        "above 0 and at most 1: they grow in the same four steps. \\[default: the recipe's]",
        above=0,
        binds="recipe",
        about=EPOCHS,
    )
    freeze: str | None = option(
        None,
        "What stays as --weights has it: stem, a number of stages (the stem with them), norms "
        "(with their statistics), features (all but the classifier, which is fitted in one go by "
        "logistic regression); 2,norms is both.",
    )
    patience: int | None = option(
        None,
        "End after so many epochs without a better --metric on validation images; 0 never does. "
        "\\[default: the recipe's]",
        least=0,
        binds="recipe",
        about=EPOCHS,
    )
    resolution: int | None = option(
        None,
        "Pixels per side; with --aspect, of the height. Where a side is below 128, strides are "
        "taken away until the last map has 4 x 4. \\[default: the design's own]",
        least=1,
        binds="network",
    )
    aspect: Aspect | None = again(
        LoadSettings,
        "aspect",
        help="Of images that are no squares, the width divided by the height: 4/3. \\[default: the "
        "design's own]",
        binds="network",
    )
    dropout: float | None = option(
        None, "\\[default: the member's, else 0]", binds="network", about=EPOCHS
    )
    drop_path: float | None = option(
        None,
        "Stochastic depth. \\[default: the member's, else 0]",
        binds="network",
        about=EPOCHS,
    )
    metric: str = again(
        MetricSettings,
        "metric",
        help="What decides which epoch is best, and when patience ends, on validation images. "
        f"{in_words(METRICS)}.",
    )
    limit: int | None = again(ImageSettings, "limit")
    strict: bool = again(ImageSettings, "strict", False)
    group_by: str | None = again(ImageSettings, "group_by")
    seed: int = again(ImageSettings, "seed", 0, help="Of weights, order and augmentation.")
    device: str = again(
        DeviceSettings, "device", "auto", help="auto, cpu, or a CUDA device such as cuda:0."
    )
    threads: int = again(DeviceSettings, "threads", 1, help="Threads of each process.")
    kernels: str = again(
        KernelSettings,
        "kernels",
        "auto",
        help="What computes the training. {choices}.",
    )
    precision: str = again(
        KernelSettings,
        "precision",
        help="Of maps and products on a CPU; weights, sums and evaluations are float32. {choices}.",
    )
    unlabelled: str | None = option(
        None,
        "A folder of pictures without classes, at any depth: they train with the teacher's answers "
        "alone, mixed with the others.",
        place=True,
        binds="unlabelled",
        panel=TEACHER,
    )
    hours: float | None = again(
        TimeSettings,
        "hours",
        help="Most that this may take, earlier calls with --hours included: as many epochs as fit "
        "in by timed steps, --epochs at most, chosen before the first.",
        about=EPOCHS,
    )
    folds: int | None = option(
        None,
        "Train so many networks of the same design and recipe, each without one fold of the "
        "images, which it then answers: so every image is answered once, by a network that has not "
        "seen it. \\[default: one network]",
        least=2,
    )
    time_limit: float | None = option(
        None,
        "Seconds, after which it fails; finished epochs are kept.",
        above=0,
        binds=False,
        about=EPOCHS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_metric(self.metric)
        if self.freeze is not None and self.weights in (None, NO_WEIGHTS):
            raise InvalidSetting(
                f"--freeze {self.freeze} keeps weights that nothing has trained; give --weights, "
                "or leave it out"
            )
        if self.frozen.features:
            self._require_one_fit()

    def _require_one_fit(self) -> None:
        """
        Raises:
            InvalidSetting: if something is asked of epochs, of which there are none.
        """
        given = (s for s in settings_of(type(self)) if getattr(self, s.name) != s.default)
        asked = [setting.flag for setting in given if setting.option.about == EPOCHS]
        if asked:
            raise InvalidSetting(
                f"--freeze features fits the classifier in one go, without epochs; leave out "
                f"{' and '.join(asked)}"
            )

    @property
    def frozen(self) -> Frozen:
        """What is not trained."""
        return Frozen.read(self.freeze)
