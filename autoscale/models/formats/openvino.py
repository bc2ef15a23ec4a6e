"""A network as an OpenVINO file (IR), run by OpenVINO."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoscale.devices.runtimes.openvino import IN_FLOAT32
from autoscale.models.formats.check import Answers, Check
from autoscale.models.formats.format import File, Format
from autoscale.models.formats.use import Use
from autoscale.models.input_spec import metadata
from autoscale.models.load import Model
from autoscale.models.settings import ExportSettings

GRAPH, NUMBERS = "model.xml", "model.bin"
#: Under what the graph's `rt_info` says how pictures are prepared and what classes are called.
KEY = "autoscale"


class OpenVINO(Format):
    """A graph and its numbers, for processors, graphics and accelerators of Intel's."""

    name = "openvino"
    files = (GRAPH, NUMBERS)
    extra = "openvino"
    by_name = True

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """It is read from the ONNX file, and takes what that takes."""
        told = metadata(
            model.preparation, model.resolution, model.header.classes, model.header.answering
        )
        graph, numbers = _converted(check.onnx, told)
        compared = check.compare(self.name, _answers(graph, numbers))
        return [
            self.written(folder / NUMBERS, numbers, compared),
            self.written(folder / GRAPH, graph, compared),
        ]

    def use(self, settings: ExportSettings) -> Use | None:
        """By OpenVINO, on the processor."""
        return Use(
            needs="openvino",
            imports="import openvino",
            opened=f"exact = {IN_FLOAT32}  # by itself bfloat16 where the processor can\n"
            f'network = openvino.Core().compile_model(here / "{GRAPH}", "CPU", exact)',
            answered="logits = network(images)[0]",
        )


def _converted(onnx: bytes, told: dict[str, str]) -> tuple[bytes, bytes]:
    """Both files of the network in an ONNX file."""
    import openvino

    found = openvino.Core().read_model(onnx)
    for place, operation in enumerate(found.get_ordered_ops()):
        if operation.get_friendly_name() == operation.get_name():  # counts up in each process
            operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
    for name, text in told.items():
        found.set_rt_info(text, [KEY, name])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, GRAPH)
        openvino.save_model(found, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def _answers(graph: bytes, numbers: bytes) -> Answers:
    """What OpenVINO answers in float32, on one thread of the CPU."""
    import openvino

    core: Any = openvino.Core()
    wanted = {**IN_FLOAT32, "INFERENCE_NUM_THREADS": 1}
    ready = core.compile_model(core.read_model(graph, numbers), "CPU", wanted)

    def answers(images: Tensor) -> Tensor:
        return torch.from_numpy(ready(images.numpy())[0].copy())

    return answers
