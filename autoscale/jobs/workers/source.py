"""Where the images of a run lie, and which of them are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from autoscale.datasets.data import ImageData, load
from autoscale.datasets.pictures.folds import Fold
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.datasets.pictures.selection import Selection
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.images import place_of
from autoscale.listener import Listener
from autoscale.runs.images import ImageCache


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Where images lie, which of them are used, and how they are read."""

    data: str  # "synthetic", a folder, or Parquet files
    seed: int = 0  # of the cut into splits
    limit: int | None = None  # training images at most
    strict: bool = False  # refuse unreadable images instead of skipping them
    group_by: str | None = None  # what lies in one part only, see `GroupBy`
    white_level: int = OURS.white_level  # of pictures of 16 bits, see `Preparation`
    fold: Fold | None = None  # which is the test, see `Selection`

    def __post_init__(self) -> None:
        Preparation(white_level=self.white_level)  # refuses what is none
        self.selection(test=True)  # refuses what cuts nothing
        if self.seed < 0:
            raise InvalidSetting(f"seed must be at least 0, got {self.seed}")
        if not self.data:
            raise InvalidSetting("data must not be empty; name a folder, or synthetic")

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, data: str) -> ImageSource:
        """Read what `record` gave, perhaps among other things.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        names = ("seed", "limit", "strict", "white_level")
        # Older records know no groups, and those without have none.
        groups, fold = record.get("group_by"), record.get("fold")
        return cls(
            data=data,
            group_by=groups,
            fold=None if fold is None else Fold(**fold),
            **{name: record[name] for name in names},
        )

    @property
    def place(self) -> str:
        """`data` in a form that holds in every working directory."""
        return place_of(self.data)

    def record(self) -> dict[str, Any]:
        """What decides which images these are, as plain data; where they lie does not."""
        plain = asdict(self)
        del plain["data"]
        if self.group_by is None:
            del plain["group_by"]
        if self.fold is None:
            del plain["fold"]
        return plain

    def selection(self, *, test: bool) -> Selection:
        """Which of the pictures these are."""
        return Selection(
            seed=self.seed, limit=self.limit, test=test, group_by=self.group_by, fold=self.fold
        )

    def load(
        self, *, size: int, test: bool, listener: Listener, preparation: Preparation = OURS
    ) -> ImageData:
        """The images, `size` pixels in height; what a person should know is told to `listener`.

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
            selection=self.selection(test=test),
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
