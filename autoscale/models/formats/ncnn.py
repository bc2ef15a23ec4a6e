"""A network as ncnn's files, converted by pnnx and run by ncnn."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoscale.errors import ExportProblem, first_line
from autoscale.models.formats.check import Answers, Check
from autoscale.models.formats.format import File, Format
from autoscale.models.formats.graphs import onnx_content
from autoscale.models.formats.use import Use
from autoscale.models.load import Model
from autoscale.models.settings import ExportSettings

LAYERS, NUMBERS = "model.ncnn.param", "model.ncnn.bin"
#: What ncnn's network calls what goes in and what comes out.
INPUT, OUTPUT = "in0", "out0"
_SECONDS = 600  # after which a conversion is given up


class NCNN(Format):
    """Layers as text and their numbers, for phones and single-board computers."""

    name = "ncnn"
    files = (LAYERS, NUMBERS)
    extra = "ncnn"
    by_name = True

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """Numbers are stored in float32; by itself pnnx halves them."""
        shape = list(check.images[:1].shape)
        layers, numbers = _converted(onnx_content(model), shape)
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
            f'network.load_param(str(here / "{LAYERS}"))\n'
            f'network.load_model(str(here / "{NUMBERS}"))',
            answered="with network.create_extractor() as running:\n"
            f'    running.input("{INPUT}", ncnn.Mat(images[0]).clone())\n'
            f'    logits = np.array(running.extract("{OUTPUT}")[1])',
        )


def _converted(onnx: bytes, shape: list[int]) -> tuple[bytes, bytes]:
    """Both files of the network in an ONNX file.

    Raises:
        ExportProblem: if pnnx gives none.
    """
    import pnnx

    program = Path(pnnx.__file__).with_name("pnnx")
    with tempfile.TemporaryDirectory() as place:
        Path(place, "model.onnx").write_bytes(onnx)
        asked = ["model.onnx", f"inputshape={shape}".replace(" ", ""), "fp16=0"]
        try:
            done = subprocess.run(
                [program, *asked], cwd=place, capture_output=True, text=True, timeout=_SECONDS
            )
            return Path(place, LAYERS).read_bytes(), Path(place, NUMBERS).read_bytes()
        except subprocess.TimeoutExpired as problem:
            said = first_line(problem)
        except FileNotFoundError:
            said = f"it ended with {done.returncode}: {done.stderr.strip()[-200:]!r}"
    raise ExportProblem(f"pnnx gives no files for ncnn: {said}; leave ncnn out with --to")


def _answers(layers: bytes, numbers: bytes) -> Answers:
    """What ncnn answers in float32, on one thread of the CPU."""
    import ncnn

    network: Any = ncnn.Net()
    network.opt.num_threads, network.opt.use_vulkan_compute = 1, False
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{half}", False)
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place, LAYERS), Path(place, NUMBERS)]
        for path, content in zip(paths, (layers, numbers), strict=True):
            path.write_bytes(content)
        network.load_param(str(paths[0]))
        network.load_model(str(paths[1]))

    def answers(images: Tensor) -> Tensor:
        with network.create_extractor() as running:
            pixels = images[0].contiguous().numpy()  # which a Mat does not keep alive
            running.input(INPUT, ncnn.Mat(pixels).clone())
            _, found = running.extract(OUTPUT)
            return torch.from_numpy(np.array(found))[None]

    return answers
