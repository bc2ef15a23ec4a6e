"""What every format of `export` is: when a network can have it, and how it is written."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from autoscale import distribution
from autoscale.errors import InvalidSetting
from autoscale.models.formats.check import Check, Compared
from autoscale.models.formats.use import Use
from autoscale.models.load import Model
from autoscale.models.quantized.files import Comparison
from autoscale.models.settings import ExportSettings
from autoscale.runs.store import write_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One written file."""

    path: Path
    format: str
    bytes: int
    sha256: str
    # Largest difference of a logit from torch's, on noise over `BATCHES` and on validation images
    # where data are named; of int8, on these alone. None if it was not run.
    difference: float | None
    # Share of validation images with torch's first answer; None without such.
    agreement: float | None = None


class Format(ABC):
    """A way to write a network for other programs."""

    name: ClassVar[str]  # as `--to` takes it
    files: ClassVar[tuple[str, ...]]  # that it may write
    extra: ClassVar[str | None] = None  # of autoscale, whose packages it needs
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)  # of its numbers, as `--dtype` takes them
    by_name: ClassVar[bool] = False  # written only where it is asked for by name

    def impossible(self, model: Model) -> str | None:
        """Why a network cannot have it, in a sentence; None if it can."""
        return None

    @property
    def missing(self) -> bool:
        """Whether a package is not installed that it needs."""
        return self.extra is not None and bool(distribution.missing(self.extra))

    def in_int8(self, settings: ExportSettings) -> bool:
        """Whether it is written in int8."""
        return settings.dtype == "int8" and "int8" in self.dtypes

    def require(self, model: Model, settings: ExportSettings) -> None:
        """Refuse, before anything is written, what could not be.

        Raises:
            InvalidSetting: if the network cannot have it, or it cannot have the numbers that are
                asked for or has no images to calibrate them on, or a package is missing.
        """
        if settings.dtype not in self.dtypes and self.name in settings.formats:
            raise InvalidSetting(
                f"{self.name} has no {settings.dtype} numbers; it can have "
                f"{' and '.join(self.dtypes)}: give --dtype {self.dtypes[0]}, or leave "
                f"--to {self.name} out"
            )
        if self.in_int8(settings) and settings.data is None:
            raise InvalidSetting(
                "--dtype int8 needs images to calibrate on; give --data, as for train"
            )
        if reason := self.impossible(model):
            raise InvalidSetting(reason)
        if self.extra is not None:
            distribution.require(self.extra, self.name)

    @abstractmethod
    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """Write it, after what can be run here was run and held against torch.

        Raises:
            ExportProblem: if it does not give torch's logits.
            StorageProblem: if the disk does not take it.
        """

    def use(self, settings: ExportSettings) -> Use | None:
        """How its file is used from a script; None if it is not, or has functions of its own."""
        return None

    def notes(self, files: Sequence[File]) -> list[str]:
        """What a person should know of these files of it, in sentences."""
        return []

    def written(self, path: Path, content: bytes, compared: Compared | None = None) -> File:
        """Write a file of it."""
        return write_file(path, content, self.name, compared)

    def written_in_int8(self, path: Path, content: bytes, compared: Comparison) -> File:
        """Write a file of it in int8, which need not answer as torch does."""
        found = Compared(compared.difference, compared.agreement)
        return write_file(path, content, f"{self.name}, int8", found)


def write_file(path: Path, content: bytes, format: str, compared: Compared | None = None) -> File:
    """Write a file, and say what it is."""
    write_bytes(path, content)
    return file_at(path, format, compared)


def file_at(path: Path, format: str, compared: Compared | None = None) -> File:
    """What a file that was written is."""
    difference, agreement = compared or (None, None)
    content = path.read_bytes()
    return File(
        path=path,
        format=format,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        difference=difference,
        agreement=agreement,
    )


@torch.inference_mode()
def answer(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A network's logits."""
    return network(images)
