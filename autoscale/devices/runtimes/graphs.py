"""Designs as the files that runtimes read, for timing: their numbers need not be good.

A design becomes a graph of operations without being traced, which takes a second or less, and is
calibrated on noise: the time of an int8 network does not depend on its scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoscale.aspect import Aspect
from autoscale.design.style import Style
from autoscale.errors import InvalidArchitecture, InvalidSetting
from autoscale.network.interchange.onnx import to_onnx
from autoscale.quantization.calibration import observe
from autoscale.quantization.files.onnx import to_onnx as graph_to_onnx
from autoscale.quantization.graph import Graph
from autoscale.quantization.kernels_of import kernels_of
from autoscale.quantization.lower import lower
from autoscale.quantization.quantized import quantized

if TYPE_CHECKING:
    from autoscale.devices.runtimes.runtime import Precision, Subject
    from autoscale.quantization.quantized import QuantizedGraph

#: Of each channel: noise of a standard normal is within 0..255 but for one number in forty.
_MEAN, _DEVIATION = (0.5, 0.5, 0.5), (0.225, 0.225, 0.225)
_CALIBRATED_ON = 2  # images
#: What the steps of every map cover at least, at each end.
_LEAST_RANGE = 0.05


def graph_of(subject: Subject, dtype: Precision, runtime: str) -> Graph | QuantizedGraph:
    """The operations of a design, in float32 or int8.

    Raises:
        InvalidSetting: for a module of the user's, which has no design.
        InvalidArchitecture: for layers that there is no such operation for.
    """
    if subject.design is None:
        raise InvalidSetting(
            f"{runtime} runs designs in {dtype}, and {type(subject.network).__name__} is a module "
            "of your own; choose runtime onnxruntime or openvino in float32, or eager"
        )
    design = subject.design
    graph = lower(
        design,
        kernels_of(subject.network),
        padding=Style().padding,
        mean=_MEAN,
        deviation=_DEVIATION,
    )
    if dtype != "int8":
        return graph
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(_CALIBRATED_ON, *subject.images.shape[1:], generator=generator)
    seen = observe(graph, [to_pixels(noise).byte()], moments=False)
    return quantized(graph, {name: _wide(one.low, one.high) for name, one in seen.maps.items()})


def _wide(low: float, high: float) -> tuple[float, float]:
    """A range that covers some of what is above 0, and below where anything is.

    Signals of a fresh network may vanish on the way, and where scales are a million times apart
    LiteRT ends the program and XNNPACK leaves the operation to slower kernels.
    """
    return (min(low, -_LEAST_RANGE) if low < 0 else low), max(high, _LEAST_RANGE)


def onnx_file(subject: Subject, dtype: Precision, runtime: str) -> bytes:
    """An ONNX file: of a design by its operations, else of what torch exports.

    Raises:
        InvalidSetting: if the packages of the extra `export` are missing, or for int8 of what is no
            design.
        InvalidArchitecture: for int8 of layers that there is no such operation for.
    """
    if dtype == "int8" or (subject.design is not None and subject.folded):
        try:
            return graph_to_onnx(graph_of(subject, dtype, runtime))
        except InvalidArchitecture:
            if dtype == "int8":
                raise
    height, width = subject.images.shape[2:]
    return to_onnx(subject.network, resolution=height, aspect=Aspect(width, height))


def to_pixels(images: Tensor) -> Tensor:
    """Normalised images as pixels 0..255, cut off there."""
    spread = torch.tensor(_DEVIATION).view(3, 1, 1)
    return (255 * (images * spread + torch.tensor(_MEAN).view(3, 1, 1))).round().clamp(0, 255)
