"""Settings of the images: where they are, which are used, how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoscale.datasets.sources.hub import SCHEME
from autoscale.errors import InvalidSetting
from autoscale.models.settings import GroupSettings, PreparationSettings
from autoscale.settings.command import Settings
from autoscale.settings.option import again, option


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """Where the images are."""

    # Their fingerprint binds a resumed run, not where they lie.
    data: str = option(
        "synthetic",
        "'synthetic' (drawn in memory), a folder with one sub-folder per class, with or without "
        "train/validation/test, a list (.csv, .tsv, .jsonl), Parquet in the Hugging Face image "
        "layout, .tar, .npz, or hf:OWNER/NAME.",
        place=True,
        binds="images",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data:
            raise InvalidSetting("data must not be empty; name a folder, or synthetic")


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
    group_by: str | None = again(GroupSettings, "group_by")
    seed: int = option(0, "Of proposals, splits and trainings.", least=0)


def place_of(data: str) -> str:
    """Where images lie, in a form that holds in every working directory."""
    named = data == "synthetic" or data.startswith(SCHEME)
    return data if named else str(Path(data).resolve())
