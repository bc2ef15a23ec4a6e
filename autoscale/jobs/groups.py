"""Groups of settings that several commands share; a command's settings inherit from them.

Fields are listed in the order of the bases read from the last to the first, as dataclasses have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from autoscale.design.measures.registry import COSTS, with_file
from autoscale.errors import InvalidSetting
from autoscale.jobs.names import ENGINES, KERNEL_CHOICES, RECIPES, ROUNDINGS
from autoscale.models.settings import PreparationSettings, packaged_names, published_names
from autoscale.runs.sources.find import keep_names
from autoscale.settings import Groups, Settings, again, begun, in_words, option, settings_of

# What a parser or a completion needs is imported where it is asked for: building the command line
# reads this module, and `autoscale --help` must not wait for a library.


_TEACHER = "Teacher"  # a heading of the help


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """Where the images are."""

    # Their fingerprint binds a resumed run, not where they lie.
    data: str = option(
        "synthetic",
        "'synthetic' (drawn in memory), a folder with one sub-folder per class, with or without "
        "train/validation/test, or Parquet in the Hugging Face image layout.",
        place=True,
        binds="images",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data:
            raise InvalidSetting("data must not be empty; name a folder, or synthetic")


@dataclass(frozen=True, kw_only=True)
class WeightsSettings(PreparationSettings):
    """Weights that networks begin with, and whose they are.

    What the file holds binds a resumed run, not where it lies.
    """

    weights: str | None = option(
        None,
        "Start from these weights: a file (.safetensors, or tensors of PyTorch; our names, "
        "timm's, torchvision's, EfficientNet-PyTorch's or transformers'), a network whose weights "
        "an installed package brings (efficientnet-lite0), or hf:OWNER/NAME, with @REVISION if "
        "need be, of the Hugging Face hub. Of the classifier the rows of classes that the data has "
        "too go on; others start anew. Of those of another design of mbconv, separable or "
        "mobilenet-v3 blocks what fits is taken over, fitted by some training images.",
        complete=begun(packaged_names),
        place=keep_names,
        binds="start",
        panel="Weights",
    )
    weights_of: str | None = option(
        None,
        "The network that the weights are of: a published one or a design's YAML file. "
        "\\[default: as the file says, else the network itself, else the published one that they "
        "fit]",
        complete=begun(published_names),
        place=True,
        binds="inherits",
        panel="Weights",
    )

    @property
    def said_of_weights(self) -> list[str]:
        """The settings that say something of weights or of what they expect; not `white_level`."""
        names = (setting.name for setting in settings_of(WeightsSettings))
        return [n for n in names if n != "white_level" and getattr(self, n) is not None]


@dataclass(frozen=True, kw_only=True)
class LimitSettings(Settings):
    """What every network has to keep, whatever else is asked of it."""

    # The limits themselves bind a resumed run, not the words in which they were asked for.
    max_cost: tuple[str, ...] = option(
        (),
        "Most that each network may cost, as NAME=MOST: params=250K, memory=256K (bytes) or "
        f"latency=12ms; as often as you like. Costs: {in_words(COSTS)}.",
        flag="--limit",
        named=True,
        place=with_file,
        binds="max_cost",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_cost:
            from autoscale.design.measures.limits import split_limit

            for text in self.max_cost:
                split_limit(text)


def _boards() -> list[str]:
    from autoscale.devices.boards import board_names

    return board_names()


@dataclass(frozen=True, kw_only=True)
class BoardSettings(LimitSettings):
    """Where networks will run, and what they may cost there. (`device` is where they train.)"""

    # What it leaves a network binds a resumed run, not its name or where its file lies.
    board: str | None = option(
        None,
        "Every network must fit this board: a shipped one (autoscale boards) or a YAML file with "
        "its flash and RAM, and what the firmware needs of them.",
        place=True,
        complete=begun(_boards),
        binds="max_cost",
    )


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """Which of the images are used, and how they are read."""

    limit: int | None = option(None, "Use at most so many training images.")
    strict: bool = option(False, "Refuse unreadable images instead of skipping them.")
    white_level: int | None = again(
        PreparationSettings,
        "white_level",
        help="The number of a picture of 16 bits that is white: 1023 for 10 bits in them, 4095 for "
        "12, 16383 for 14. The later steps keep to it. \\[default: that of the weights, else "
        "65535]",
        panel="",
    )
    seed: int = option(0, "Of proposals, splits and trainings.", least=0)


@dataclass(frozen=True, kw_only=True)
class RecipeSettings(Settings):
    """How each network is trained. The recipe itself binds a resumed run, not its name."""

    recipe: str = option(
        "proxy",
        "Training recipe: {choices}.",
        choices=lambda: RECIPES,
        binds="recipe",
    )
    epochs: int | None = option(None, "Epochs of each training.", binds="recipe")


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(Settings):
    """A trained network whose answers networks learn from, beside the labels.

    What it holds binds a resumed run, not where it lies.

    Raises:
        InvalidSetting: if something is said of a teacher and none is named.
    """

    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "teacher_weight",
            "teacher_temperature",
            "teacher_crops",
            "teacher_resolution",
            "unlabelled",
        ),
        "teacher",
    )

    teacher: str | None = option(
        None,
        "Learn from this network's answers too: weights of ours (best.safetensors), published ones "
        "of a network known by its names, as --weights takes them, or an ONNX file. It answers "
        "each crop of the training images once. One of other classes, such as ImageNet's, gets a "
        "linear classifier of the data's own.",
        complete=begun(packaged_names),
        place=keep_names,
        binds="teacher",
        panel=_TEACHER,
    )
    teacher_weight: float | None = option(
        None,
        "Of its part of the loss, in 0..1; the labels have the rest. \\[default: 0.7]",
        least=0,
        binds="teacher_weight",
        panel=_TEACHER,
    )
    teacher_temperature: float | None = option(
        None,
        "By which the logits of both are divided in its part. \\[default: 1]",
        above=0,
        binds="teacher_temperature",
        panel=_TEACHER,
    )
    teacher_crops: int | None = option(
        None,
        "Crops of each image that it answers, one an epoch; more epochs see them again. "
        "\\[default: 16]",
        least=1,
        binds="teacher_crops",
        panel=_TEACHER,
    )
    teacher_resolution: int | None = option(
        None,
        "Pixels per side that it sees. \\[default: its own]",
        least=1,
        binds="teacher",
        panel=_TEACHER,
    )
    unlabelled: str | None = option(
        None,
        "A folder of pictures without classes, at any depth: they train with the teacher's answers "
        "alone, mixed with the others.",
        place=True,
        binds="unlabelled",
        panel=_TEACHER,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_weight is not None and self.teacher_weight > 1:
            raise InvalidSetting(f"teacher_weight must be at most 1, got {self.teacher_weight:g}")


@dataclass(frozen=True, kw_only=True)
class DeviceSettings(Settings):
    """Where the arithmetic is done. It changes last digits, so a change on resuming is told."""

    device: str = option("cpu", "cpu, or a CUDA device such as cuda:0.", binds=False)
    threads: int = option(
        1,
        "Threads of one training. More than one pays on idle cores only.",
        least=1,
        binds=False,
    )


@dataclass(frozen=True, kw_only=True)
class KernelSettings(Settings):
    """What computes trainings. What it came to binds a resumed run, not the wish."""

    kernels: str = option(
        "auto",
        "What computes trainings. {choices}. The later steps keep to it.",
        choices=lambda: KERNEL_CHOICES,
        binds="kernels",
    )


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(Settings):
    """How many train at once, where, and what a mishap costs.

    Results do not depend on it, except that with several at once a search knows less when it
    proposes.

    Raises:
        InvalidSetting: for values that nothing can train with.
    """

    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("address", "cpus_per_trial", "gpus_per_trial"), "engine"
    )

    workers: int = option(
        1,
        "Trainings at once, each in a process of its own if more than one.",
        least=1,
        binds=False,
        panel="Workers",
    )
    trial_timeout: float | None = option(
        None,
        "Seconds after which a training is cut and counts as failed; it then runs in a worker "
        "process.",
        above=0,
        binds=False,
        panel="Workers",
    )
    retries: int = option(
        1,
        "How often a training is repeated whose worker died.",
        least=0,
        binds=False,
        panel="Workers",
    )
    engine: str = option(
        "local",
        "{choices}.",
        choices=lambda: ENGINES,
        binds=False,
        panel="Workers",
    )
    address: str | None = option(
        None,
        "Of a running Ray cluster, host:port or auto. \\[default: one on this machine]",
        binds=False,
        panel="Workers",
    )
    cpus_per_trial: float = option(
        1.0, "CPUs that Ray sets aside for a training.", above=0, binds=False, panel="Workers"
    )
    gpus_per_trial: float = option(
        0.0,
        "GPUs that Ray sets aside for a training; 0.5 lets two share one.",
        least=0,
        binds=False,
        panel="Workers",
    )

    @property
    def ray_share(self) -> tuple[float, float]:
        """CPUs and GPUs that Ray sets aside for one training; fractions share a device."""
        return self.cpus_per_trial, self.gpus_per_trial

    @property
    def inline(self) -> bool:
        """Whether trainings are done in this process."""
        return self.engine == "local" and self.workers == 1 and self.trial_timeout is None


@dataclass(frozen=True, kw_only=True)
class ScalingBaseSettings(Settings):
    """Which network is scaled; by default the baseline that the run's search found.

    Raises:
        InvalidSetting: if both kinds of base are named, or a resolution without either.
    """

    exclusive: ClassVar[Groups] = (("baseline", "model"),)

    # What they come to, the base itself, binds a resumed run.
    baseline: str | None = option(
        None,
        "Scale this instead of the run's own baseline: a published network (efficientnet-b0, "
        "resnet-18) or a design's YAML file.",
        place=True,
        complete=begun(published_names),
        binds="base",
        panel="Base",
    )
    model: str | None = option(
        None,
        "Scale a model of your own: package.module:build, a function of depth and width "
        "(multipliers) and resolution (pixels), and of num_classes if it takes that, that gives "
        "an nn.Module. Costs are traced.",
        binds="base",
        panel="Base",
    )
    resolution: int | None = option(
        None,
        "Pixels per side of that base. \\[default: its own; 224 for a model]",
        least=1,
        binds="base",
        panel="Base",
    )
    rounding: str | None = option(
        None,
        f"How multipliers become whole blocks, channels and pixels: {in_words(ROUNDINGS)}; behind "
        "it ',divisor=4' and ',fixed-ends' (stem and head keep their width). \\[default: the "
        "base's family's own, else tf]",
        binds="base",
        panel="Base",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.named and self.resolution is not None:
            raise InvalidSetting(
                "the resolution of a run's own baseline is the search's; leave --resolution out or "
                "name a base with --baseline or --model"
            )
        if self.rounding is not None:
            if self.model is not None:
                raise InvalidSetting(
                    f"{self.model} rounds for itself; leave --rounding out with --model"
                )
            from autoscale.design.rounding import rounding_policy

            rounding_policy(self.rounding)

    @property
    def named(self) -> bool:
        """Whether the base is something else than the run's own baseline."""
        return self.baseline is not None or self.model is not None


@dataclass(frozen=True, kw_only=True)
class BaseWeightsSettings(ScalingBaseSettings, WeightsSettings):
    """A base and the weights that networks scaled from it begin with.

    Raises:
        InvalidSetting: for weights with a model of the user's own.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        said = self.said_of_weights
        if self.model is not None and said:
            raise InvalidSetting(
                "weights go into designs of autoscale, not into a model of your own; leave "
                f"--{said[0].replace('_', '-')} out"
            )


def place_of(data: str) -> str:
    """Where images lie, in a form that holds in every working directory."""
    return data if data == "synthetic" else str(Path(data).resolve())
