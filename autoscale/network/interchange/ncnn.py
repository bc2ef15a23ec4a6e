"""A network for ncnn: its files, from an ONNX file by pnnx, and the network that they make.

Everything stays in float32; by themselves pnnx and ncnn store halves.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoscale.errors import ExportProblem, first_line

LAYERS, NUMBERS = "model.ncnn.param", "model.ncnn.bin"
#: What the network calls what goes in and what comes out.
INPUT, OUTPUT = "in0", "out0"
_SECONDS = 600  # after which a conversion is given up
#: Options of a network (`use_...`) that store or compute in less than float32.
HALVES = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage")


def converted(onnx: bytes, shape: Sequence[int]) -> tuple[bytes, bytes]:
    """The files of the layers and of their numbers.

    Args:
        onnx: an ONNX file.
        shape: of the images, (1, C, H, W).

    Raises:
        ExportProblem: if pnnx gives none.
    """
    import pnnx

    program = Path(pnnx.__file__).with_name("pnnx")
    sides = ",".join(str(side) for side in shape)
    with TemporaryDirectory(prefix="autoscale-ncnn-") as place:
        Path(place, "model.onnx").write_bytes(onnx)
        asked = [str(program), "model.onnx", f"inputshape=[{sides}]", "fp16=0"]
        try:
            done = subprocess.run(
                asked, cwd=place, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            return Path(place, LAYERS).read_bytes(), Path(place, NUMBERS).read_bytes()
        except subprocess.TimeoutExpired as problem:
            said = first_line(problem)
        except FileNotFoundError:
            said = f"it ended with {done.returncode}: {done.stderr.strip()[-200:]!r}"
    raise ExportProblem(f"pnnx gives no files for ncnn: {said}; leave ncnn out")


def opened(layers: bytes, numbers: bytes, *, threads: int = 1) -> Any:
    """The network of both files, an `ncnn.Net` on the CPU.

    Raises:
        ExportProblem: if ncnn does not read them.
    """
    import ncnn

    network: Any = ncnn.Net()
    network.opt.num_threads, network.opt.use_vulkan_compute = threads, False
    for half in HALVES:
        setattr(network.opt, f"use_{half}", False)
    with TemporaryDirectory(prefix="autoscale-ncnn-") as place:
        paths = [Path(place, LAYERS), Path(place, NUMBERS)]
        for path, content in zip(paths, (layers, numbers), strict=True):
            path.write_bytes(content)
        if network.load_param(str(paths[0])) or network.load_model(str(paths[1])):
            raise ExportProblem("ncnn does not read what pnnx wrote; leave ncnn out")
    return network
