"""A network as a LiteRT file, in float32 or int8."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from autoscale.errors import InvalidSetting
from autoscale.models.formats.format import Check, File, Format
from autoscale.models.load import Model
from autoscale.models.quantized import files
from autoscale.models.quantized.calibrated import calibrate, graph_of
from autoscale.models.quantized.calibrated import impossible as no_operations
from autoscale.models.settings import ExportSettings


class LiteRT(Format):
    """For phones, cameras and microcontrollers."""

    name = "litert"
    files = tuple(files.FILES.values())
    extra = "litert"

    def impossible(self, model: Model) -> str | None:
        """It needs a design, of layers that runtimes have."""
        return no_operations(model)

    def require(self, model: Model, settings: ExportSettings) -> None:
        """int8 needs images too."""
        super().require(model, settings)
        if settings.dtype == "int8" and settings.data is None:
            raise InvalidSetting(
                "--dtype int8 needs images to calibrate on; give --data, as for train"
            )

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """The float file is held against torch as any other."""
        if check.settings.dtype == "int8":
            return [self._in_int8(model, folder, check.settings)]
        graph = graph_of(model)
        content = files.content(model, graph)

        def answers(images: Tensor) -> Tensor:
            pixels = files.to_pixels(images, model)
            return torch.from_numpy(files.file_logits(content, pixels, graph))

        difference = check.difference(self.name, answers)
        return [self.written(folder / files.FILES["float32"], content, difference)]

    def _in_int8(self, model: Model, folder: Path, settings: ExportSettings) -> File:
        """Held against torch on validation images; it differs, and how much is said."""
        assert settings.data is not None
        found = calibrate(model, settings.data, settings)
        content, pixels = files.content(model, found.network), found.held_out
        compared = files.Comparison(
            files.float_logits(found.graph, pixels),
            files.file_logits(content, pixels, found.network),
        )
        file = self.written(folder / files.FILES["int8"], content, compared.difference)
        return replace(file, format=f"{self.name}, int8", agreement=compared.agreement)

    def notes(self, written: Sequence[File]) -> list[str]:
        """It takes other numbers than the other formats, and need not answer as torch does."""
        told = []
        for file in written:
            kind = "float32" if file.agreement is None else "bytes"
            told.append(
                f"{file.path.name} takes pixels 0..255 of shape (N, S, S, 3), {kind}; input.json "
                "in it, which is a ZIP archive too, says the rest"
            )
            if file.agreement is not None:
                told.append(
                    f"{file.path.name} gives the first answer of the float network for "
                    f"{100 * file.agreement:.1f} % of held-out images; autoscale quantize compares "
                    "accuracies and layers"
                )
        return told
