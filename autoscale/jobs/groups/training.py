"""Settings of what a network minimises, and what it learns from beside the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.networks import WeightsSettings
from autoscale.jobs.groups.recipe import EPOCHS
from autoscale.models.settings import packaged_names
from autoscale.runs.sources.find import keep_names
from autoscale.settings.command import Groups, Settings, settings_of
from autoscale.settings.option import begun, in_words, option
from autoscale.training.loss.balance import (
    CLASS_WEIGHTS,
    LOSSES,
    SAMPLINGS,
    USUAL,
    Balance,
    loss_names,
)

TEACHER, UNEVEN = "Teacher", "Uneven classes"  # headings of the help


@dataclass(frozen=True, kw_only=True)
class BalanceSettings(Settings):
    """What is done about classes of uneven size.

    Raises:
        InvalidSetting: for a loss that there is not, or two that would make up for the same twice.
    """

    exclusive: ClassVar[Groups] = (("class_weights", "sampling"),)

    loss: str = option(
        USUAL,
        f"What a training minimises. {in_words(LOSSES)}. All but cross-entropy leave out the "
        "recipe's label smoothing.",
        complete=begun(loss_names),
        binds="loss",
        about=EPOCHS,
        panel=UNEVEN,
    )
    sampling: str = option(
        "shuffled",
        "Which training images an epoch shows. {choices}.",
        choices=lambda: SAMPLINGS,
        binds="sampling",
        about=EPOCHS,
        panel=UNEVEN,
    )
    class_weights: str = option(
        "none",
        "By which the loss of an image counts, by its class. {choices}.",
        choices=lambda: CLASS_WEIGHTS,
        binds="class_weights",
        about=EPOCHS,
        panel=UNEVEN,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "loss", self.balance.loss)

    @property
    def balance(self) -> Balance:
        """The three together."""
        return Balance(loss=self.loss, sampling=self.sampling, class_weights=self.class_weights)


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
        about=EPOCHS,
        panel=TEACHER,
    )
    teacher_weight: float | None = option(
        None,
        "Of its part of the loss, in 0..1; the labels have the rest. \\[default: 0.7]",
        least=0,
        binds="teacher_weight",
        panel=TEACHER,
    )
    teacher_temperature: float | None = option(
        None,
        "By which the logits of both are divided in its part. \\[default: 1]",
        above=0,
        binds="teacher_temperature",
        panel=TEACHER,
    )
    teacher_crops: int | None = option(
        None,
        "Crops of each image that it answers, one an epoch; more epochs see them again. "
        "\\[default: 16]",
        least=1,
        binds="teacher_crops",
        panel=TEACHER,
    )
    teacher_resolution: int | None = option(
        None,
        "Pixels per side that it sees; of the height where the networks have an aspect. "
        "\\[default: its own]",
        least=1,
        binds="teacher",
        panel=TEACHER,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_weight is not None and self.teacher_weight > 1:
            raise InvalidSetting(f"teacher_weight must be at most 1, got {self.teacher_weight:g}")

    @property
    def said_of_teacher(self) -> list[str]:
        """The settings that say something of a teacher."""
        names = (setting.name for setting in settings_of(TeacherSettings))
        return [name for name in names if getattr(self, name) is not None]


@dataclass(frozen=True, kw_only=True)
class TransferSettings(WeightsSettings, TeacherSettings):
    """What networks get from others: weights that they begin with, and a teacher's answers."""
