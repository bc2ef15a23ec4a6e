"""A network's LiteRT file, and what that answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.models.input_spec import answer_files, answer_metadata, preparation_data
from autoscale.models.load import Model
from autoscale.models.quantized.calibrated import BATCH
from autoscale.quantization.execute import run
from autoscale.quantization.files.litert import to_litert
from autoscale.quantization.files.run_litert import Interpreter
from autoscale.quantization.graph import Graph
from autoscale.quantization.quantized import QuantizedGraph

#: The file names by the type of the numbers in them.
FILES: Mapping[str, str] = {"float32": "model.tflite", "int8": "model-int8.tflite"}
#: Of the file within the file that says what goes in and comes out.
INPUT = "input.json"


class Comparison(NamedTuple):
    """A file's logits beside the float network's, for the same images."""

    true: NDArray[np.float32]  # (N, classes)
    found: NDArray[np.float32]

    @property
    def difference(self) -> float:
        """The largest one of a logit."""
        return float(np.abs(self.found - self.true).max())

    @property
    def agreement(self) -> float:
        """Share of the images whose largest logit is of the same class."""
        return float((self.found.argmax(axis=1) == self.true.argmax(axis=1)).mean())


def content(model: Model, network: Graph | QuantizedGraph) -> bytes:
    """The bytes of the file, with what a program needs to know in it."""
    classes, answering = model.header.classes, model.header.answering
    told = input_data(model, network)
    files = {INPUT: json.dumps(told, indent=2) + "\n", **answer_files(classes, answering)}
    metadata = {"input": json.dumps(told), **answer_metadata(classes, answering)}
    return to_litert(network, metadata=metadata, files=files)


def input_data(model: Model, network: Graph | QuantizedGraph) -> dict[str, Any]:
    """What goes into the file and what comes out, as plain data."""
    (height, width), quantized = model.image_size, isinstance(network, QuantizedGraph)
    channels = model.preparation.channels
    kind = "uint8" if quantized else "float32"
    told = preparation_data(model.preparation, height)
    steps = told["steps"][:-2]
    steps.append(f"As {kind} of shape (N, {height}, {width}, {channels}), numbers 0..255.")
    for name in ("mean", "deviation", "scale"):
        del told[name]
    told |= {"layout": "NHWC", "dtype": kind, "values": [0, 255], "steps": steps}
    logits: dict[str, Any] = {"dtype": "int8" if quantized else "float32"}
    if isinstance(network, QuantizedGraph):
        of = network.maps[network.graph.output.name]
        logits |= {"scale": of.scale, "zero_point": of.zero_point}
    return told | {"logits": logits}


def file_logits(
    file: bytes, pixels: NDArray[Any], network: Graph | QuantizedGraph
) -> NDArray[np.float32]:
    """What LiteRT answers for `pixels` (N, H, W, C): logits (N, classes) as numbers."""
    interpreter = Interpreter(file)
    parts = [
        interpreter.run(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)
    ]
    found = np.concatenate(parts)
    if isinstance(network, QuantizedGraph):
        return network.maps[network.graph.output.name].numbers(found).astype(np.float32)
    return found.astype(np.float32)


def float_logits(graph: Graph, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the float graph answers for `pixels` (N, H, W, C)."""
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return torch.cat([run(graph, part) for part in whole.split(BATCH)]).numpy()


def to_pixels(images: Tensor, model: Model) -> NDArray[np.float32]:
    """Normalised images (N, C, H, W) back as numbers 0..255 (N, H, W, C), not rounded."""
    mean = torch.tensor(model.preparation.mean, dtype=torch.float64).view(-1, 1, 1)
    deviation = torch.tensor(model.preparation.deviation, dtype=torch.float64).view(-1, 1, 1)
    pixels = 255 * (images.double() * deviation + mean)
    return pixels.permute(0, 2, 3, 1).contiguous().float().numpy()
