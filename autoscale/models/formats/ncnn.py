"""A network as ncnn's files, converted by pnnx and run by ncnn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autoscale.models.formats.check import Answers, Check
from autoscale.models.formats.format import File, Format
from autoscale.models.formats.use import Use
from autoscale.models.load import Model
from autoscale.models.settings import ExportSettings
from autoscale.network.interchange.ncnn import (
    HALVES,
    INPUT,
    LAYERS,
    NUMBERS,
    OUTPUT,
    converted,
    opened,
)


class NCNN(Format):
    """Layers as text and their numbers, for phones and single-board computers."""

    name = "ncnn"
    files = (LAYERS, NUMBERS)
    extra = "ncnn"
    by_name = True

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """Numbers are stored in float32; by itself pnnx halves them."""
        shape = list(check.images[:1].shape)
        layers, numbers = converted(check.onnx, shape)
        compared = check.compare(self.name, _answers(layers, numbers), alone=True)
        return [
            self.written(folder / NUMBERS, numbers, compared),
            self.written(folder / LAYERS, layers, compared),
        ]

    def use(self, settings: ExportSettings) -> Use | None:
        """By ncnn's module for Python."""
        return Use(
            needs="ncnn",
            imports="import ncnn",
            opened="network = ncnn.Net()\n"
            f"for half in {HALVES}:  # which it would use by itself\n"
            '    setattr(network.opt, f"use_{half}", False)\n'
            f'network.load_param(str(here / "{LAYERS}"))\n'
            f'network.load_model(str(here / "{NUMBERS}"))',
            answered="with network.create_extractor() as running:\n"
            f'    running.input("{INPUT}", ncnn.Mat(images[0]).clone())\n'
            f'    logits = np.array(running.extract("{OUTPUT}")[1])',
        )


def _answers(layers: bytes, numbers: bytes) -> Answers:
    """What ncnn answers in float32, on one thread of the CPU."""
    import ncnn

    network = opened(layers, numbers)

    def answers(images: Tensor) -> Tensor:
        with network.create_extractor() as running:
            pixels = images[0].contiguous().numpy()  # which a Mat does not keep alive
            running.input(INPUT, ncnn.Mat(pixels).clone())
            _, found = running.extract(OUTPUT)
            return torch.from_numpy(np.array(found))[None]

    return answers
