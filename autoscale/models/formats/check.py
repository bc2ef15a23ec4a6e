"""What the answers of every format are held against: torch's, to noise and to images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.errors import ExportProblem
from autoscale.models.inference.passes import to_network_input
from autoscale.models.input_spec import metadata
from autoscale.models.load import Model
from autoscale.models.quantized.calibrated import BATCH, Calibrated, calibrate, held_out
from autoscale.models.quantized.files import Comparison
from autoscale.models.reference import Reference
from autoscale.models.settings import ExportSettings
from autoscale.network.interchange.onnx import to_onnx
from autoscale.quantization.arithmetic import WEIGHT_IN_PAIRS

#: Batches on which a format is held against torch.
BATCHES = (1, 5)
#: Largest difference of a logit, in units of the largest logit where that is above 1.
TOLERANCE = 1e-4
#: Validation images that a format in float answers at most.
IMAGES = 256

Answers = Callable[[Tensor], Tensor]


class Compared(NamedTuple):
    """How near a format's answers come to torch's."""

    difference: float  # largest one of a logit
    agreement: float | None  # share of validation images with torch's first answer; None without


def onnx_content(model: Model) -> bytes:
    """The bytes of a network's ONNX file in float32, with what a program needs to know in it."""
    told = metadata(
        model.preparation, model.resolution, model.header.classes, model.header.answering
    )
    return to_onnx(model.network, resolution=model.resolution, aspect=model.aspect, metadata=told)


@dataclass(frozen=True, kw_only=True, eq=False)
class Check:
    """What a format's answers are held against."""

    model: Model
    images: Tensor  # (N, C, H, W), normalised noise; N is the largest of `BATCHES`
    expected: Mapping[int, Tensor]  # torch's logits by batch
    reference: Reference
    settings: ExportSettings

    @property
    def num_classes(self) -> int:
        """Logits of an image."""
        return self.expected[1].shape[-1]

    @cached_property
    def onnx(self) -> bytes:
        """Its ONNX file in float32, for every format that is made of it."""
        return onnx_content(self.model)

    @cached_property
    def calibrated(self) -> Calibrated:
        """The network in int8, for every format that has it."""
        assert self.settings.data is not None, "int8 needs images"
        return calibrate(self.model, self.settings.data, self.settings)

    @cached_property
    def calibrated_for_pairs(self) -> Calibrated:
        """The same with weights of 7 bits, for runtimes that add up products in pairs."""
        assert self.settings.data is not None, "int8 needs images"
        return calibrate(self.model, self.settings.data, self.settings, most=WEIGHT_IN_PAIRS)

    @cached_property
    def validation(self) -> NDArray[np.uint8] | None:
        """Some validation images (N, H, W, C), spread evenly; None if no data were named."""
        if self.settings.data is None:
            return None
        pixels = held_out(self.model, self.settings.data, self.settings)
        chosen = np.linspace(0, len(pixels) - 1, min(IMAGES, len(pixels))).round().astype(int)
        return pixels[chosen]

    @cached_property
    def answered(self) -> Tensor:
        """Torch's logits for the validation images."""
        assert self.validation is not None
        with torch.inference_mode():
            parts = [self.model.network(part) for part in self._prepared]
        return torch.cat(parts)

    def compare(self, format: str, answers: Answers, *, alone: bool = False) -> Compared:
        """Hold a format in float32 against torch.

        Args:
            answers: logits of normalised images (N, C, H, W), for each of `BATCHES` and others.
            alone: it takes one image at a time, which it is then given.

        Raises:
            ExportProblem: if a logit differs by too much.
        """
        ask = _one_by_one(answers) if alone else answers
        largest = 0.0
        for batch, expected in self.expected.items():
            found = ask(self.images[:batch])
            where = f"for a batch of {batch}"
            largest = max(largest, _difference(format, found, expected, where))
        if self.validation is None:
            return Compared(largest, None)
        found = torch.cat([ask(part) for part in self._prepared])
        largest = max(largest, _difference(format, found, self.answered, "for validation images"))
        of_both = Comparison(self.answered.numpy(), found.numpy())
        return Compared(largest, of_both.agreement)

    @property
    def _prepared(self) -> list[Tensor]:
        assert self.validation is not None
        return [
            to_network_input(self.validation[start : start + BATCH], self.model)
            for start in range(0, len(self.validation), BATCH)
        ]


def _difference(format: str, found: Tensor, expected: Tensor, where: str) -> float:
    """
    Raises:
        ExportProblem: if it is too large.
    """
    difference = float((found - expected).abs().max())
    limit = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= limit:
        raise ExportProblem(
            f"{format} gives logits that differ by {difference:.2g} from torch's {where}, over "
            f"{limit:.2g}; leave it out with --to"
        )
    return difference


def _one_by_one(answers: Answers) -> Answers:
    return lambda images: torch.cat([answers(image[None]) for image in images])
