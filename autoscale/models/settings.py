"""Settings of what is done with one network; light, so that the command line may read them all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from autoscale.aspect import Aspect, aspect_of, written
from autoscale.datasets.pictures.group_by import GroupBy
from autoscale.datasets.pictures.preparation import (
    MEASURED,
    MOST_BANDS,
    OURS,
    Area,
    Channels,
    Interpolation,
    Preparation,
    in_bands,
    ours,
)
from autoscale.design.style import STYLES
from autoscale.devices.timing.conditions import Conditions
from autoscale.errors import InvalidSetting
from autoscale.metrics.names import (
    METRICS,
    USUAL,
    metric_names,
    require_metric,
    with_metric_file,
)
from autoscale.runs.sources.find import keep_names
from autoscale.runs.sources.packages import PACKAGES
from autoscale.settings.command import Groups, Settings
from autoscale.settings.option import again, begun, in_words, option

#: Which images of a data set; "auto" is all of a source without splits that the network was not
#: trained on, else test where there are such, else validation.
SPLITS = ("auto", "test", "validation", "train", "all")

#: What each format of `export` is, quickest first.
FORMATS: Mapping[str, str] = {
    "safetensors": "weights that say which network they belong to",
    "python": "a module that needs torch, and Pillow and numpy for pictures",
    "timm": "names and blocks of timm's EfficientNet",
    "torch-export": "a .pt2 program for torch.export.load",
    "onnx": "needs the extra export",
    "litert": "a .tflite file for phones, cameras and microcontrollers, needs the extra litert",
    "openvino": "an .xml and a .bin file for Intel's runtime, needs the extra openvino",
    "ncnn": "a .param and a .bin file for phones, needs the extra ncnn",
    "coreml": "an .mlpackage for Apple's devices, needs the extra coreml",
    "c-array": "the int8 .tflite file as C source for TensorFlow Lite Micro, needs the extra "
    "litert",
}

#: Of the numbers in files that can have both.
DTYPES = ("float32", "int8")

#: How the range of a map's int8 steps is chosen.
RANGES: Mapping[str, str] = {
    "mse": "what costs the least squared error",
    "min-max": "all that was seen",
    "percentile": "all but one number in ten thousand at each end",
}

#: What flops means by each convention, of `design.cost.CONVENTIONS`.
CONVENTIONS: Mapping[str, str] = {
    "paper": "multiply-adds of convolutions and linear layers",
    "biases": "and added biases",
    "fvcore": "what fvcore reports by default, which counts norms and global pooling too and "
    "leaves out what it does not know; --op-cost does not change it",
    "two-flops": "two for each multiply-add",
}

_EXPECTED = "What the weights expect"
_MEASURED = "measured"  # how `MEASURED` is typed


def channels(text: str, *, option: str) -> Channels:
    """Three numbers out of "0.485,0.456,0.406", one for each band, or one for all channels.

    Raises:
        InvalidSetting: if they are not that.
    """
    try:
        values = [float(part) for part in re.split(r"[,\s]+", text.strip())]
    except ValueError:
        values = []
    if not 1 <= len(values) <= MOST_BANDS:
        raise InvalidSetting(
            f"{option} must be 3 numbers for red, green and blue, such as 0.485,0.456,0.406, or "
            f"one for all, or one for each band; got {text!r}"
        )
    return tuple(values if len(values) > 1 else values * 3)


def _mean(text: str) -> Channels:
    return MEASURED if text.strip() == _MEASURED else channels(text, option="--mean")


def _for_channels(name: str, values: Channels, count: int) -> Channels:
    """A mean or deviation for each of so many channels; the same for all, if it is one number.

    Raises:
        InvalidSetting: if it is several, and not as many.
    """
    if len(values) == count:
        return values
    if len(values) in (1, 3) and len({*values}) == 1:
        return values[:1] * count
    if count == 1:
        raise InvalidSetting(
            f"{name} must be one number, for the images are grey; got {_in_a_row(values)}"
        )
    raise InvalidSetting(
        f"{name} must be {count} numbers or one, for the images have {count} channels; got "
        f"{_in_a_row(values)}"
    )


def _in_a_row(values: Channels) -> str:
    return ",".join(map(repr, values)) if values != MEASURED else _MEASURED


def published_names() -> list[str]:
    """Published networks."""
    from autoscale.design.published import NETWORKS

    return list(NETWORKS)


def packaged_names() -> list[str]:
    """Networks whose weights a package brings."""
    return list(PACKAGES)


def published_names_and_families() -> list[str]:
    """Published networks and their families."""
    from autoscale.design.published import FAMILIES, NETWORKS

    return [*FAMILIES, *NETWORKS]


@dataclass(frozen=True, kw_only=True)
class PreparationSettings(Settings):
    """What weights expect of the network and of pictures; None where that is left to the file.

    What it comes to binds a resumed training, not whether it was asked for.
    """

    style: str | None = option(
        None,
        "What the weights expect of the network: {choices}. tf are those of timm's "
        "tf_efficientnet..., with TensorFlow's padding, timm its others. \\[default: as the file "
        "says]",
        choices=lambda: STYLES,
        binds="expects",
        panel=_EXPECTED,
    )
    mean: Channels | None = option(
        None,
        "Of pixels in 0..1, as the weights expect it subtracted: 0.485,0.456,0.406, or one "
        "number; for a training also measured, of its training images, with the deviation. "
        "\\[default: as the file says, else as its names or timm's config.json beside it; measured "
        "for arrays of other than 1 or 3 bands]",
        parse=_mean,
        show=_in_a_row,
        binds="expects",
        panel=_EXPECTED,
    )
    deviation: Channels | None = option(
        None,
        "Of pixels in 0..1, as the weights expect them divided by it: 0.229,0.224,0.225, or one "
        "number. \\[default: as for --mean]",
        parse=lambda text: channels(text, option="--deviation"),
        show=_in_a_row,
        binds="expects",
        panel=_EXPECTED,
    )
    interpolation: Interpolation | None = option(
        None,
        "Of resizing pictures: {choices}. \\[default: as for --mean]",
        binds="expects",
        panel=_EXPECTED,
    )
    area: Area | None = option(
        None,
        "What of a picture becomes the image: {choices}; centre-square is the largest part in its "
        "middle that has the image's shape, a square or by --aspect, padded has all of it between "
        "borders of grey, squashed has all of it out of proportion. \\[default: as for --mean]",
        binds="expects",
        panel=_EXPECTED,
    )
    white_level: int | None = option(
        None,
        "The number of a picture of 16 bits that is white: 1023 for 10 bits in them, 4095 for "
        "12, 16383 for 14. \\[default: that of the weights, else 65535]",
        binds="white_level",
        panel=_EXPECTED,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mean == MEASURED and self.deviation is not None:
            raise InvalidSetting(
                f"--mean {_MEASURED} measures the deviation too, and --deviation "
                f"{_in_a_row(self.deviation)} is given; leave one of them out"
            )
        counts = [len(one) for one in (self.mean, self.deviation) if one and in_bands(len(one))]
        self.over(ours(counts[0]) if counts else OURS)  # refuses what nothing can be prepared by

    def over(self, known: Preparation) -> Preparation:
        """A preparation, with what is asked in place of what it says; a mean that is to be measured
        is left."""
        asked = {name: getattr(self, name, None) for name in known.to_dict()}
        said: dict[str, Any] = {
            name: value for name, value in asked.items() if value not in (None, MEASURED)
        }
        for name in said.keys() & {"mean", "deviation"}:
            said[name] = _for_channels(name, said[name], known.channels)
        return replace(known, **said)


def _groups(text: str) -> str:
    """
    Raises:
        InvalidSetting: if pictures cannot be grouped by that.
    """
    return GroupBy(text).text


@dataclass(frozen=True, kw_only=True)
class GroupSettings(Settings):
    """What lies in one part of the images only."""

    group_by: str | None = option(
        None,
        "Pictures of a group, such as a patient, a place or a day, lie in one part only: the "
        "column of a list or a table that tells it, or path:REGEX, whose first group in brackets "
        "does, on names.",
        parse=_groups,
    )


@dataclass(frozen=True, kw_only=True)
class ConventionSettings(Settings):
    """What a count means."""

    convention: str = option("paper", "What flops means. {choices}.", choices=lambda: CONVENTIONS)


@dataclass(frozen=True, kw_only=True)
class LoadSettings(PreparationSettings):
    """How a network that is named becomes one with weights."""

    weights: str | None = option(
        None,
        "Weights of a network that is named otherwise: a .safetensors file or a PyTorch file of "
        "tensors, a network whose weights an installed package brings (efficientnet-lite0), or "
        "hf:OWNER/NAME, with @REVISION if need be, of the Hugging Face hub.",
        complete=begun(packaged_names),
        place=keep_names,
    )
    resolution: int | None = option(
        None,
        "Pixels per side; with --aspect, of the height. \\[default: the network's own; 224 for a "
        "module]",
        least=1,
    )
    aspect: Aspect | None = option(
        None,
        "Of images that are no squares, the width divided by the height: 4/3. \\[default: the "
        "network's own; 1 for a module]",
        parse=aspect_of,
        show=written,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mean == MEASURED:
            raise InvalidSetting(
                f"--mean {_MEASURED} is for trainings, whose images are measured; the file of "
                "their weights says what came of it, so leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class PassSettings(LoadSettings):
    """How images go through a network."""

    batch: int = option(64, "Images of one pass.", least=1)
    device: str = option("auto", "auto, cpu, or a CUDA device such as cuda:0.")
    threads: int = option(1, "Threads of torch.", least=1)


@dataclass(frozen=True, kw_only=True)
class MetricSettings(Settings):
    """What decides which of several networks is best.

    Raises:
        InvalidSetting: if there is no such metric.
    """

    metric: str = option(
        USUAL,
        f"What decides which is best, on validation images. {in_words(METRICS)}.",
        place=with_metric_file,
        complete=begun(metric_names),
        binds="metric",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_metric(self.metric)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(PassSettings):
    """How good a network is, on which images."""

    data: str = option(
        help="A folder with one sub-folder per class, a list, Parquet, .tar, .npz, hf:OWNER/NAME, "
        "or 'synthetic'.",
        place=True,
    )
    split: str = option(
        "auto",
        "{choices}. auto: test where there are such; a folder without splits whole, but for what "
        "the network was trained on.",
        choices=lambda: SPLITS,
    )
    seed: int | None = option(
        None, "Of the cut, if the data has no splits. \\[default: the training's]"
    )
    group_by: str | None = again(
        GroupSettings,
        "group_by",
        help="What the cut keeps together, as for train. \\[default: as the training]",
    )
    against: str | None = option(
        None,
        "Another trained network, as MODEL: its answers to the same images, and which of the two "
        "is ahead.",
        place=True,
    )
    metrics: tuple[str, ...] = again(
        MetricSettings,
        "metric",
        (),
        flag="--metric",
        help="Say this too, with an interval over images. May be given several times. "
        f"{in_words(METRICS)}.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.metrics:
            require_metric(name)


@dataclass(frozen=True, kw_only=True)
class PredictSettings(PassSettings):
    """What a network sees in single images."""

    top: int | None = option(
        None,
        "Classes of each image, the most probable ones. \\[default: 3; where an image may have "
        "several labels, those whose probability is at least their threshold]",
        least=1,
    )


@dataclass(frozen=True, kw_only=True)
class AnsweringSettings(PassSettings):
    """Which images decide how logits become an answer, and where that is written."""

    data: str = again(EvaluateSettings, "data")
    seed: int | None = again(EvaluateSettings, "seed")
    reject: float | None = option(
        None,
        "Answer 'none of these' where no class is probable enough, so that this share of the "
        "validation images that are answered right is refused: 0.05. At most 0.5.",
        above=0,
    )
    unknown: str | None = option(
        None,
        "A folder of pictures that show none of the classes: which share of them is refused.",
        place=True,
    )
    reject_unknown: float | None = option(
        None,
        "The threshold is the smallest that refuses this share of the unknown pictures: 0.9.",
        above=0,
    )
    output: Path | None = option(
        None,
        "The file that is written. \\[default: NAME-calibrated.safetensors beside the weights]",
        place=True,
    )
    in_place: bool = option(False, "Write into the file of weights itself.")

    exclusive: ClassVar[Groups] = (("reject", "reject_unknown"), ("output", "in_place"))
    needs: ClassVar[Mapping[str, str]] = {"reject_unknown": "unknown"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reject is not None and self.reject > 0.5:
            raise InvalidSetting(
                f"reject must be at most 0.5, got {self.reject:g}; a network that refuses more of "
                "what it answers right is of little use"
            )
        if self.reject_unknown is not None and self.reject_unknown >= 1:
            raise InvalidSetting(
                f"reject_unknown must be below 1, got {self.reject_unknown:g}; give a share, such "
                "as 0.9"
            )


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings(LoadSettings):
    """How a network becomes one of int8."""

    calibration_images: int = option(
        256, "Training images that calibrate int8; all if there are fewer.", least=1
    )
    ranges: str = option("mse", "Of the steps of int8: {choices}.", choices=lambda: RANGES)


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings(CalibrationSettings):
    """What calibrates a network of int8, and which images it answers beside the float network."""

    data: str = again(EvaluateSettings, "data")
    split: str = again(EvaluateSettings, "split")
    seed: int | None = again(EvaluateSettings, "seed")
    group_by: str | None = again(EvaluateSettings, "group_by")
    threads: int = again(PassSettings, "threads")
    epochs: int = option(
        0,
        "Passes over the training images in which the int8 network learns, its steps as "
        "calibration found them. What is written is the best of them on the validation images, or "
        "what was before.",
        least=0,
    )
    learning_rate: float = option(0.02, "Of these epochs at their peak, in steps of int8.", above=0)

    needs: ClassVar[Mapping[str, str]] = {"learning_rate": "epochs"}


@dataclass(frozen=True, kw_only=True)
class ExportSettings(CalibrationSettings):
    """What is written of a network for other programs."""

    formats: tuple[str, ...] = option(
        (),
        "{choices}. May be given several times. \\[default: those before openvino that the "
        "network can have]",
        flag="--to",
        choices=lambda: FORMATS,
    )
    dtype: str = option(
        "float32",
        "Of the numbers in files: {choices}. int8 is there for onnx, litert and c-array.",
        choices=lambda: DTYPES,
    )
    data: str | None = option(
        None,
        "Images as for train: some training images calibrate int8, and validation images are "
        "answered by each file and by torch.",
        place=True,
    )
    group_by: str | None = again(EvaluateSettings, "group_by")
    measure: bool = option(False, "Measure the latency on this machine for the card.")

    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(("calibration_images", "ranges"), "dtype")


@dataclass(frozen=True, kw_only=True)
class LatencySettings(Conditions):
    """What networks that are named are timed under."""

    resolution: int | None = again(LoadSettings, "resolution")
    aspect: Aspect | None = again(LoadSettings, "aspect")
