"""A network as a graph of runtimes' operations, and in int8 after calibration on images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoscale.datasets.data import classes_in, load
from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.datasets.pictures.selection import Selection
from autoscale.design.architecture import Architecture
from autoscale.design.style import Padding
from autoscale.errors import InvalidArchitecture, InvalidSetting
from autoscale.models.inference.images import cut_groups
from autoscale.models.load import Model
from autoscale.models.settings import CalibrationSettings
from autoscale.quantization.arithmetic import WEIGHT
from autoscale.quantization.graph import Graph
from autoscale.quantization.kernels_of import kernels_of
from autoscale.quantization.lower import lower, require_operations
from autoscale.quantization.post_training import after_training
from autoscale.quantization.quantized import QuantizedGraph

#: Images of one pass.
BATCH = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """A network in int8."""

    graph: Graph  # the float graph that it stands for
    network: QuantizedGraph
    which: str  # a sentence: the images that it was calibrated on
    held_out: NDArray[np.uint8]  # validation images (N, H, W, C)


def impossible(model: Model, format: str = "litert") -> str | None:
    """Why a network has no LiteRT file, or another one of its operations; None if it can."""
    if model.architecture is None:
        return f"{model.name} is a module of your own, so there is no design to write as {format}"
    try:
        require_operations(model.architecture)
    except InvalidArchitecture as problem:
        return str(problem)
    return None


def graph_of(model: Model) -> Graph:
    """The network as operations.

    Raises:
        InvalidSetting: for a module of the user's, which has no design.
        InvalidArchitecture: if a design has layers that runtimes lack.
    """
    if model.architecture is None:
        raise InvalidSetting(str(impossible(model)))
    return lowered(
        model.network,
        model.architecture,
        padding=model.style.padding,
        preparation=model.preparation,
    )


def lowered(
    network: nn.Module, architecture: Architecture, *, padding: Padding, preparation: Preparation
) -> Graph:
    """A network of a design as operations.

    Raises:
        InvalidArchitecture: if the design has layers that runtimes lack.
    """
    return lower(
        architecture,
        kernels_of(network),
        padding=padding,
        mean=preparation.mean,
        deviation=preparation.deviation,
    )


def calibrate(
    model: Model, data: str, settings: CalibrationSettings, *, most: int = WEIGHT
) -> Calibrated:
    """The network in int8, after a look at some training images.

    Args:
        most: the largest magnitude of a weight.

    Raises:
        InvalidSetting: as `graph_of`, or if the network has no weights.
        InvalidArchitecture: as `graph_of`.
        DataProblem: if the images cannot be read.
    """
    if not model.trained:
        raise InvalidSetting(
            f"{model.name} has no weights, so nothing can be calibrated; name a .safetensors file, "
            "or give one with --weights"
        )
    graph = graph_of(model)
    found = load(
        data,
        size=model.resolution,
        selection=Selection(
            seed=model.header.seed or 0,
            limit=max(settings.calibration_images, len(classes_in(data))),
            test=False,
            group_by=_groups(model, data, settings),
        ),
        preparation=model.preparation,
    )
    images = found.train.pixels
    graph, network = after_training(graph, batches(images), method=settings.ranges, most=most)  # type: ignore[arg-type]
    return Calibrated(
        graph=graph,
        network=network,
        which=f"{len(images):,} training images of {shown(data)}",
        held_out=found.validation.pixels,
    )


def _groups(model: Model, data: str, settings: CalibrationSettings) -> str | None:
    asked = getattr(settings, "group_by", None)
    return cut_groups(model, data, split="train", asked=asked)


def held_out(model: Model, data: str, settings: CalibrationSettings) -> NDArray[np.uint8]:
    """The validation images of a data set (N, H, W, C), as the network's training cut them.

    Raises:
        DataProblem: if the images cannot be read.
    """
    cut = Selection(
        seed=model.header.seed or 0,
        limit=len(classes_in(data)),
        test=False,
        group_by=_groups(model, data, settings),
    )
    found = load(data, size=model.resolution, selection=cut, preparation=model.preparation)
    return found.validation.pixels


def batches(pixels: NDArray[np.uint8]) -> list[Tensor]:
    """(N, H, W, C) bytes as batches (n, C, H, W)."""
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return list(whole.split(BATCH))
