"""A network as a traced graph: a program of torch.export, an ONNX file."""

import io
from pathlib import Path

import torch

from autoscale.models.formats.format import Check, File, Format, answer
from autoscale.models.input_spec import metadata, text_files
from autoscale.models.load import Model
from autoscale.network.interchange.onnx import onnx_logits, to_onnx, to_torch_export

PROGRAM = "model.pt2"
ONNX = "model.onnx"


class TorchExport(Format):
    """A program for `torch.export.load`."""

    name = "torch-export"
    files = (PROGRAM,)

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """How pictures are prepared, and the names of classes, are files within it."""
        texts = text_files(model.preparation, model.resolution, model.header.classes)
        content = to_torch_export(model.network, resolution=model.resolution, files=texts)
        program = torch.export.load(io.BytesIO(content)).module()
        difference = check.difference(self.name, lambda images: answer(program, images))
        return [self.written(folder / PROGRAM, content, difference)]


class Onnx(Format):
    """An ONNX file, run by ONNX Runtime."""

    name = "onnx"
    files = (ONNX,)
    extra = "export"

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """How pictures are prepared, and the names of classes, are its metadata."""
        told = metadata(model.preparation, model.resolution, model.header.classes)
        content = to_onnx(model.network, resolution=model.resolution, metadata=told)
        difference = check.difference(self.name, lambda images: onnx_logits(content, images))
        return [self.written(folder / ONNX, content, difference)]
