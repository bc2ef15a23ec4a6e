"""A network as a LiteRT file, in float32 or int8."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format
from autoscale.models.formats.use import Use
from autoscale.models.load import Model
from autoscale.models.quantized import files
from autoscale.models.quantized.calibrated import graph_of
from autoscale.models.quantized.calibrated import impossible as no_operations
from autoscale.models.settings import ExportSettings


class LiteRT(Format):
    """For phones, cameras and microcontrollers."""

    name = "litert"
    files = tuple(files.FILES.values())
    extra = "litert"
    dtypes = ("float32", "int8")

    def impossible(self, model: Model) -> str | None:
        """It needs a design, of layers that runtimes have."""
        return no_operations(model)

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """The float file is held against torch as any other."""
        if self.in_int8(check.settings):
            return [self._in_int8(model, folder, check)]
        graph = graph_of(model)
        content = files.content(model, graph)

        def answers(images: Tensor) -> Tensor:
            pixels = files.to_pixels(images, model)
            return torch.from_numpy(files.file_logits(content, pixels, graph))

        compared = check.compare(self.name, answers)
        return [self.written(folder / files.FILES["float32"], content, compared)]

    def use(self, settings: ExportSettings) -> Use | None:
        """By LiteRT's interpreter."""
        in_int8 = self.in_int8(settings)
        file = files.FILES["int8" if in_int8 else "float32"]
        given = "pixels[None]" if in_int8 else "pixels[None].astype(np.float32)"
        return Use(
            needs="ai-edge-litert",
            imports="from ai_edge_litert.interpreter import Interpreter",
            opened=f'network = Interpreter(str(here / "{file}")).get_signature_runner()',
            answered=f'logits = network(pixels={given})["logits"]',
            takes="pixels",
            scaled=(
                'scale, zero = network.get_output_details()["logits"]["quantization"]\n'
                "logits = scale * (logits.astype(np.float64) - zero)"
                if in_int8
                else ""
            ),
        )

    def _in_int8(self, model: Model, folder: Path, check: Check) -> File:
        """Held against torch on validation images; it differs, and how much is said."""
        found = check.calibrated
        content, pixels = files.content(model, found.network), found.held_out
        compared = files.Comparison(
            files.float_logits(found.graph, pixels),
            files.file_logits(content, pixels, found.network),
        )
        return self.written_in_int8(folder / files.FILES["int8"], content, compared)

    def notes(self, written: Sequence[File]) -> list[str]:
        """It takes other numbers than the other formats, and need not answer as torch does."""
        told = []
        for file in written:
            in_int8 = file.path.name == files.FILES["int8"]
            kind = "bytes" if in_int8 else "float32"
            told.append(
                f"{file.path.name} takes pixels 0..255 of shape (N, H, W, C), {kind}; input.json "
                "in it, which is a ZIP archive too, says the rest"
            )
            if in_int8 and file.agreement is not None:
                told.append(
                    f"{file.path.name} gives the first answer of the float network for "
                    f"{100 * file.agreement:.1f} % of held-out images; autoscale quantize compares "
                    "accuracies and layers"
                )
        return told
