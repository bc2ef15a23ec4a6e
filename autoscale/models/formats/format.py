"""What every format of `export` is: when a network can have it, and how it is written."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from autoscale import distribution
from autoscale.errors import ExportProblem, InvalidSetting
from autoscale.models.load import Model
from autoscale.models.reference import Reference
from autoscale.models.settings import ExportSettings
from autoscale.runs.store import write_bytes

#: Batches on which a format is held against torch.
BATCHES = (1, 5)
#: Largest difference of a logit, in units of the largest logit where that is above 1.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One written file."""

    path: Path
    format: str
    bytes: int
    sha256: str
    # Largest difference of a logit from torch's on noise, over `BATCHES`; None if it was not run.
    difference: float | None
    # Of int8, share of held-out images whose largest logit is of the class that torch's is; there
    # `difference` is over these images too.
    agreement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a format's answers are held against."""

    images: Tensor  # (N, 3, S, S), normalised noise; N is the largest of `BATCHES`
    expected: Mapping[int, Tensor]  # torch's logits by batch
    reference: Reference
    settings: ExportSettings

    @property
    def num_classes(self) -> int:
        """Logits of an image."""
        return self.expected[1].shape[-1]

    def difference(self, format: str, answers: Callable[[Tensor], Tensor]) -> float:
        """The largest difference of a logit from torch's.

        Raises:
            ExportProblem: if it is too large.
        """
        largest = 0.0
        for batch, expected in self.expected.items():
            difference = float((answers(self.images[:batch]) - expected).abs().max())
            limit = TOLERANCE * max(1.0, float(expected.abs().max()))
            if not difference <= limit:
                raise ExportProblem(
                    f"{format} gives logits that differ by {difference:.2g} from torch's for "
                    f"a batch of {batch}, over {limit:.2g}; leave it out with --to"
                )
            largest = max(largest, difference)
        return largest


class Format(ABC):
    """A way to write a network for other programs."""

    name: ClassVar[str]  # as `--to` takes it
    files: ClassVar[tuple[str, ...]]  # that it may write
    extra: ClassVar[str | None] = None  # of autoscale, whose packages it needs

    def impossible(self, model: Model) -> str | None:
        """Why a network cannot have it, in a sentence; None if it can."""
        return None

    @property
    def missing(self) -> bool:
        """Whether a package is not installed that it needs."""
        return self.extra is not None and bool(distribution.missing(self.extra))

    def require(self, model: Model, settings: ExportSettings) -> None:
        """Refuse, before anything is written, what could not be.

        Raises:
            InvalidSetting: if the network cannot have it, or a package is missing.
        """
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

    def notes(self, files: Sequence[File]) -> list[str]:
        """What a person should know of these files of it, in sentences."""
        return []

    def written(self, path: Path, content: bytes, difference: float | None = None) -> File:
        """Write a file of it."""
        return write_file(path, content, self.name, difference)


def write_file(path: Path, content: bytes, format: str, difference: float | None = None) -> File:
    """Write a file, and say what it is."""
    write_bytes(path, content)
    return file_at(path, format, difference)


def file_at(path: Path, format: str, difference: float | None = None) -> File:
    """What a file that was written is."""
    content = path.read_bytes()
    return File(
        path=path,
        format=format,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        difference=difference,
    )


@torch.inference_mode()
def answer(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A network's logits."""
    return network(images)
