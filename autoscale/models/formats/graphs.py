"""A network as a traced graph: a program of torch.export, an ONNX file."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from autoscale.errors import InvalidSetting
from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format, answer
from autoscale.models.formats.use import Use
from autoscale.models.input_spec import answer_metadata, text_files
from autoscale.models.load import Model
from autoscale.models.quantized.calibrated import batches
from autoscale.models.quantized.calibrated import impossible as no_operations
from autoscale.models.quantized.files import Comparison, float_logits, input_data
from autoscale.models.settings import ExportSettings
from autoscale.network.interchange.onnx import onnx_logits, onnx_session, to_torch_export
from autoscale.quantization.files.onnx import to_onnx as graph_to_onnx

PROGRAM = "model.pt2"
#: The ONNX file by the numbers in it.
ONNX: Mapping[str, str] = {"float32": "model.onnx", "int8": "model-int8.onnx"}


class TorchExport(Format):
    """A program for `torch.export.load`."""

    name = "torch-export"
    files = (PROGRAM,)

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """How pictures are prepared, and the names of classes, are files within it."""
        texts = text_files(
            model.preparation, model.resolution, model.header.classes, model.header.answering
        )
        content = to_torch_export(
            model.network, resolution=model.resolution, aspect=model.aspect, files=texts
        )
        program = torch.export.load(io.BytesIO(content)).module()
        compared = check.compare(self.name, lambda images: answer(program, images))
        return [self.written(folder / PROGRAM, content, compared)]

    def use(self, settings: ExportSettings) -> Use | None:
        """By torch alone."""
        return Use(
            needs="torch",
            imports="import torch",
            opened=f'network = torch.export.load(here / "{PROGRAM}").module()',
            answered="logits = network(torch.from_numpy(images)).detach().numpy()",
        )


class Onnx(Format):
    """An ONNX file, run by ONNX Runtime."""

    name = "onnx"
    files = tuple(ONNX.values())
    extra = "export"
    dtypes = ("float32", "int8")

    def require(self, model: Model, settings: ExportSettings) -> None:
        """In int8 it is written from a design, as a LiteRT file is."""
        super().require(model, settings)
        if self.in_int8(settings) and (reason := no_operations(model, "onnx in int8")):
            raise InvalidSetting(reason)

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """How pictures are prepared, and the names of classes, are its metadata."""
        if self.in_int8(check.settings):
            return [self._in_int8(model, folder, check)]
        content = check.onnx
        compared = check.compare(self.name, lambda images: onnx_logits(content, images))
        return [self.written(folder / ONNX["float32"], content, compared)]

    def use(self, settings: ExportSettings) -> Use | None:
        """By ONNX Runtime."""
        in_int8 = self.in_int8(settings)
        given = '"pixels": pixels.transpose(2, 0, 1)[None]' if in_int8 else '"images": images'
        return Use(
            needs="onnxruntime",
            imports="import onnxruntime",
            opened="network = onnxruntime.InferenceSession("
            f'here / "{ONNX["int8" if in_int8 else "float32"]}")',
            answered=f"(logits,) = network.run(None, {{{given}}})",
            takes="pixels" if in_int8 else "images",
        )

    def _in_int8(self, model: Model, folder: Path, check: Check) -> File:
        """As the LiteRT file is, but for weights that have 7 bits: see `files.onnx`."""
        found = check.calibrated_for_pairs
        told = input_data(model, found.network) | {"layout": "NCHW", "logits": {"dtype": "float32"}}
        meant = answer_metadata(model.header.classes, model.header.answering)
        told_of = {"input": json.dumps(told), **meant}
        content = graph_to_onnx(found.network, takes="pixels", metadata=told_of)
        session = onnx_session(content)
        logits = [
            session.run(None, {"pixels": part.numpy()})[0] for part in batches(found.held_out)
        ]
        true = float_logits(found.graph, found.held_out)
        compared = Comparison(true, np.concatenate(logits))
        return self.written_in_int8(folder / ONNX["int8"], content, compared)

    def notes(self, written: Sequence[File]) -> list[str]:
        """In int8 it takes other numbers, and need not answer as torch does."""
        return [
            f"{file.path.name} takes pixels 0..255, bytes of shape (N, C, H, W), and gives the "
            f"first answer of the float network for {100 * file.agreement:.1f} % of validation "
            "images"
            for file in written
            if file.path.name == ONNX["int8"] and file.agreement is not None
        ]
